"""Does the exported dose lie where the exported plan says? The oracle reads DICOM only, and IEC 61217.

Fails when gantry, couch, spot axes, isocentre, the dose grid's origin or the patient axes are mixed up
anywhere between the spots and the RTDOSE.
"""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from radiarch_common.result import Layer, ResultBeam
from radiarch_standalone.phantom import BODY_SIZE_MM, CENTRE_MM
from radiarch_testkit.exported import centroid, dose_of, planned_ray
from radiarch_testkit.iec61217 import Ray, spot_ray
from radiarch_testkit.one_spot import Bench

ENERGY_MEV = 140.0
GANTRY_DEG, COUCH_DEG = 30.0, 15.0
ISOCENTRE_MM = (CENTRE_MM[0] + 12.0, CENTRE_MM[1] - 9.0, CENTRE_MM[2] + 7.0)
SPOT_MM = (21.0, -33.0)
PSTAR_CSDA_MM = {125.0: 114.6, 150.0: 157.7}
"""NIST PSTAR, protons in liquid water, 1 g/cm3."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """RTPLAN and RTDOSE of one off-axis spot."""
    bench = Bench(tmp_path_factory.mktemp("geometry"), dose_grid_mm=2.0)
    layer = Layer(
        energy_mev=ENERGY_MEV,
        x_mm=(SPOT_MM[0],),
        y_mm=(SPOT_MM[1],),
        mu=(4.0,),
        spot_fwhm_mm=bench.engine.model.fwhm_mm(ENERGY_MEV),
    )
    beam = ResultBeam(
        number=1,
        name="oblique",
        gantry_angle_deg=GANTRY_DEG,
        couch_angle_deg=COUCH_DEG,
        isocentre_mm=ISOCENTRE_MM,
        virtual_source_axis_distances_mm=bench.engine.model.reach.source_mm,
        nozzle_isocentre_distance_mm=bench.engine.model.data.nozzle_mm,
        layers=(layer,),
    )
    return bench.irradiate((beam,), primaries=200_000)


def test_the_dose_lies_on_the_spots_ray(exported: tuple[Dataset, Dataset]) -> None:
    plan, dose = exported
    assert planned_ray(plan).distance_mm(centroid(dose)) < 2.0


@pytest.mark.parametrize("change", ["mirrored gantry", "spot x", "spot y", "couch", "isocentre"])
def test_a_mirrored_plan_is_noticed(exported: tuple[Dataset, Dataset], change: str) -> None:
    """The oracle can fail: each way of mirroring this plan moves the ray off the dose."""
    plan, dose = exported
    ray = planned_ray(plan)
    beam = plan.IonBeamSequence[0]
    first = beam.IonControlPointSequence[0]
    vsad = (float(beam.VirtualSourceAxisDistances[0]), float(beam.VirtualSourceAxisDistances[1]))
    isocentre = np.asarray(ISOCENTRE_MM)
    x, y = SPOT_MM
    wrong = {
        "mirrored gantry": planned_ray(plan, mirror=True),
        "spot x": spot_ray(GANTRY_DEG, COUCH_DEG, isocentre, (-x, y), vsad),
        "spot y": spot_ray(GANTRY_DEG, COUCH_DEG, isocentre, (x, -y), vsad),
        "couch": spot_ray(GANTRY_DEG, 360.0 - COUCH_DEG, isocentre, (x, y), vsad),
        "isocentre": spot_ray(GANTRY_DEG, COUCH_DEG, np.asarray(CENTRE_MM), (x, y), vsad),
    }[change]
    assert float(first.GantryAngle) == GANTRY_DEG
    assert wrong.distance_mm(centroid(dose)) > 2.0
    assert wrong.distance_mm(centroid(dose)) > ray.distance_mm(centroid(dose))


def test_the_dose_ends_at_the_range(exported: tuple[Dataset, Dataset]) -> None:
    """Depth on its own: the falloff to 80 % along the ray, from where it enters the water."""
    plan, dose = exported
    ray = planned_ray(plan)
    entry = _entry_mm(ray)
    values, points = dose_of(dose)
    near = np.linalg.norm(np.cross(points - ray.source_mm, ray.direction), axis=1) < 12.0
    depth = (points[near] - ray.source_mm) @ ray.direction - entry
    edges = np.arange(0.0, 200.0, 1.0)
    total, _ = np.histogram(depth, edges, weights=values[near])
    count, _ = np.histogram(depth, edges)
    profile = total / np.maximum(count, 1)
    peak = int(profile.argmax())
    below = peak + int(np.argmax(profile[peak:] < 0.8 * profile[peak]))
    middle = edges[:-1] + 0.5
    r80 = np.interp(-0.8 * profile[peak], -profile[below - 1 : below + 1], middle[below - 1 : below + 1])
    # Between two rows of PSTAR the range goes with E**1.77 (Bragg-Kleeman) to better than 0.2 mm.
    low, high = PSTAR_CSDA_MM[125.0], PSTAR_CSDA_MM[150.0]
    power = np.log(high / low) / np.log(150.0 / 125.0)
    assert r80 == pytest.approx(low * (ENERGY_MEV / 125.0) ** power, abs=3.0)


def _entry_mm(ray: Ray) -> float:
    """Distance from the ray's start to where it enters the phantom's box of water."""
    low = np.asarray(CENTRE_MM) - np.asarray(BODY_SIZE_MM) / 2
    high = np.asarray(CENTRE_MM) + np.asarray(BODY_SIZE_MM) / 2
    first = (low - ray.source_mm) / ray.direction
    second = (high - ray.source_mm) / ray.direction
    return float(np.max(np.minimum(first, second)))


def test_planes_of_the_dose_are_planes_of_the_ct(exported: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    """Viewers overlay a dose wrongly when its planes lie between the slices."""
    _, dose = exported
    z = float(dose.ImagePositionPatient[2]) + np.asarray([float(v) for v in dose.GridFrameOffsetVector])
    bench = Bench(tmp_path, dose_grid_mm=2.0)
    slices = bench.case.manifest.grid.axis_mm(2)
    assert all(np.abs(slices - plane).min() < 1e-3 for plane in z)
