"""Gy per MU, against NIST's tables: a wrong unit, proton count or water would show here and nowhere else.

The numbers from NIST are written here; the code under test shares none of them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.plans import PlanSpec
from radiarch_common.result import Layer, ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.mcsquare import McsquareEngine

# NIST PSTAR, liquid water: energy in MeV, total mass stopping power in MeV cm2/g, CSDA range in g/cm2.
PSTAR = np.array([[100.0, 7.289, 7.718], [125.0, 6.192, 11.46], [150.0, 5.445, 15.77], [175.0, 4.903, 20.62]])
# The beam data library's row for 150 MeV: MeanEnergy and ProtonsMU.
MEAN_ENERGY_MEV, PROTONS_PER_MU = 150.559, 115_140_000.0
JOULE_PER_MEV = 1.602176634e-13
SPACING_MM = 5.0

pytestmark = pytest.mark.slow


def log_log(x: float, column: int, of: int) -> float:
    return float(np.exp(np.interp(np.log(x), np.log(PSTAR[:, of]), np.log(PSTAR[:, column]))))


def field() -> ResultBeam:
    """10 x 10 cm of spots of 1 MU from the front, at 150 MeV, isocentre 2 cm deep."""
    places = np.arange(-50.0, 50.1, SPACING_MM)
    x, y = (axis.ravel() for axis in np.meshgrid(places, places))
    layer = Layer(energy_mev=150.0, x_mm=tuple(x), y_mm=tuple(y), mu=(1.0,) * len(x), spot_fwhm_mm=(8.0, 9.0))
    return ResultBeam(
        number=1,
        name="Front",
        gantry_angle_deg=0.0,
        couch_angle_deg=0.0,
        isocentre_mm=(0.0, 20.0, 0.0),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        layers=(layer,),
    )


def depth_dose(patient: Patient, dose_gy: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Depths in mm and the mean dose over the field's inner 5 x 5 cm."""
    x, z = (np.abs(patient.grid.axis_mm(axis)) < 25.0 for axis in (0, 2))
    middle = dose_gy[z][:, :, x].mean(axis=(0, 2), dtype=np.float64)
    surface_mm = patient.grid.edges_mm()[0][1]
    return patient.grid.axis_mm(1) - surface_mm, middle


@pytest.mark.parametrize(("nuclear", "least", "most"), [(False, 0.98, 1.02), (True, 1.03, 1.10)])
def test_dose_at_two_centimetres_is_fluence_times_stopping_power(
    nuclear: bool,
    least: float,
    most: float,
    make_engine: Callable[..., McsquareEngine],
    make_water: Callable[..., Patient],
    make_spec: Callable[..., PlanSpec],
) -> None:
    patient = make_water((-88.0, 0.5, -88.0), (4.0, 1.0, 4.0), (45, 190, 45))
    engine = make_engine(nuclear=nuclear)
    final = engine.final_dose(patient, (field(),), make_spec(primaries_final=300_000), QuietWatch())
    depth_mm, dose_gy = depth_dose(patient, final.dose_gy)
    near = np.abs(depth_mm - 20.0) <= 5.0
    energy = log_log(log_log(MEAN_ENERGY_MEV, 2, 0) - 2.0, 0, 2)
    protons_per_cm2 = PROTONS_PER_MU / (SPACING_MM / 10.0) ** 2
    expected_gy = protons_per_cm2 * log_log(energy, 1, 0) * JOULE_PER_MEV * 1000.0
    assert least <= dose_gy[near].mean() / expected_gy <= most

    peak = int(dose_gy.argmax())
    after = peak + int(np.argmax(dose_gy[peak:] < 0.8 * dose_gy[peak]))
    part = (dose_gy[after - 1] - 0.8 * dose_gy[peak]) / (dose_gy[after - 1] - dose_gy[after])
    assert depth_mm[after - 1] + part == pytest.approx(log_log(MEAN_ENERGY_MEV, 2, 0) * 10.0, abs=1.0)
