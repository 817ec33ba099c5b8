"""The engine follows protons by larger steps than its own, and its dose stays what it was."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.geometry import Grid
from radiarch_common.plans import PlanSpec
from radiarch_common.result import Layer, ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines import inputs
from radiarch_planner.engines.base import Patient
from radiarch_planner.engines.mcsquare import McsquareEngine

STEP_MM = 2.5
ENERGY_MEV = 160.0

pytestmark = pytest.mark.slow


def test_the_dose_is_that_of_the_engines_own_settings(
    make_engine: Callable[..., McsquareEngine],
    make_spec: Callable[..., PlanSpec],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when larger steps change range, dose or width of a beam in soft tissue and bone, by more than their noise.

    Bounds: depth of the distal 80 % and 20 % 0.3 mm, dose of a layer 2 % (its noise is 0.7 %), width 2 %.
    """
    grid = Grid(origin_mm=(-50.0, 1.25, -50.0), spacing_mm=(STEP_MM, STEP_MM, STEP_MM), size=(41, 84, 41))
    hu = np.zeros(grid.shape, dtype=np.float32)
    hu[:, 12:18] = 800.0
    engine, spec = make_engine(calibration="ucl-toshiba"), make_spec(primaries_final=200_000)
    dose = engine.final_dose(Patient(grid, hu, "HFS"), (_pencil(),), spec, QuietWatch()).dose_gy
    monkeypatch.setattr(inputs, "TRANSPORT", {})
    own = engine.final_dose(Patient(grid, hu, "HFS"), (_pencil(),), spec, QuietWatch()).dose_gy
    by_depth, expected = _layers(dose), _layers(own)
    assert not np.array_equal(by_depth, expected)
    for share in (0.8, 0.2):
        assert _distal_mm(by_depth, share) == pytest.approx(_distal_mm(expected, share), abs=0.3)
    before = slice(2, int(_distal_mm(expected, 0.8) / STEP_MM) - 3)
    assert by_depth[before] == pytest.approx(expected[before], rel=0.02)
    assert float(by_depth.sum()) == pytest.approx(float(expected.sum()), rel=0.003)
    for layer in (10, 30, 50):
        assert _width_mm(dose[:, layer]) == pytest.approx(_width_mm(own[:, layer]), rel=0.02)


def _pencil() -> ResultBeam:
    layer = Layer(energy_mev=ENERGY_MEV, x_mm=(0.0,), y_mm=(0.0,), mu=(1.0,), spot_fwhm_mm=(8.0, 9.0))
    return ResultBeam(
        number=1,
        name="Front",
        gantry_angle_deg=0.0,
        couch_angle_deg=0.0,
        isocentre_mm=(0.0, 100.0, 0.0),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        layers=(layer,),
    )


def _layers(dose: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return dose.astype(np.float64).sum(axis=(0, 2))


def _distal_mm(by_depth: npt.NDArray[np.float64], share: float) -> float:
    peak = int(by_depth.argmax())
    after = peak + int(np.argmax(by_depth[peak:] < share * by_depth[peak]))
    part = (by_depth[after - 1] - share * by_depth[peak]) / (by_depth[after - 1] - by_depth[after])
    return STEP_MM * (after - 1 + part)


def _width_mm(layer: npt.NDArray[np.float32]) -> float:
    """Half width of the profile along x at half its height, by its neighbours."""
    profile = layer.astype(np.float64)[18:23].sum(axis=0)
    middle = len(profile) // 2
    after = middle + int(np.argmax(profile[middle:] < profile[middle - 1 : middle + 2].mean() / 2))
    half = profile[middle - 1 : middle + 2].mean() / 2
    return STEP_MM * (after - 1 - middle + (profile[after - 1] - half) / (profile[after - 1] - profile[after]))
