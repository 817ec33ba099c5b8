"""A couch that is drawn and given a density counts, though it lies outside BODY; nothing else there does.

Fails when the slab is left out of the beam's way, is counted with what the CT shows of it, or pushes BODY off the
grid that the dose is given out on.
"""

from pathlib import Path

import numpy as np
import pytest
import radiarch_planner
from radiarch_common.case import Case, CaseDraft, CaseManifest, Reference, Structure, load_case, save_case
from radiarch_common.density import DensityOverride
from radiarch_common.geometry import Grid
from radiarch_common.objects import FolderStore
from radiarch_planner.engines.base import FloatArray
from radiarch_planner.machine import read_calibration
from radiarch_planner.patient import occupancy_of, patient_of
from radiarch_planner.placement import Anatomy, trace
from radiarch_planner.steering import BeamFrame

WATER = read_calibration(Path(radiarch_planner.__file__).parent / "ct_calibrations" / "water")
GRID = Grid(origin_mm=(-60.0, -60.0, -20.0), spacing_mm=(2.0, 2.0, 4.0), size=(61, 81, 11))
COUCH_HU, SLAB_MM, AIR_GAP_MM = -600.0, 20.0, 10.0
BODY_BACK_MM = 41.0


def between(axis: int, low: float, high: float) -> FloatArray:
    """Voxels whose centre lies between two planes: shape of GRID."""
    at = GRID.axis_mm(axis)
    along = ((at > low) & (at < high)).astype(np.float32)
    return np.broadcast_to(along.reshape([-1 if 2 - a == axis else 1 for a in range(3)]), GRID.shape).astype(np.float32)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Water from y = -41 to 41, a target in it, and 1 cm behind it a table, which the CT shows as lead."""
    body = between(0, -41, 41) * between(1, -41, BODY_BACK_MM)
    target = between(0, -9, 9) * between(1, -9, 9) * between(2, -9, 9)
    couch = between(1, BODY_BACK_MM + AIR_GAP_MM, BODY_BACK_MM + AIR_GAP_MM + SLAB_MM)
    shapes = {"BODY": body, "PTV": target, "Couch": couch}
    reference = Reference(sop_class_uid="1.2", sop_instance_uid="1.2.3")
    structures = tuple(
        Structure(number=n, name=name, interpreted_type="", volume_cc=float(s.sum()) * 0.016, grid=GRID)
        for n, (name, s) in enumerate(shapes.items(), 1)
    )
    manifest = CaseManifest(
        grid=GRID,
        structures=structures,
        body=1,
        patient_position="HFS",
        frame_of_reference_uid="1.2",
        study_instance_uid="1.2",
        ct_series_instance_uid="1.2",
        ct_slices=(reference,) * GRID.size[2],
        structure_set=reference,
        header={},
        digests={},
    )
    ct = np.where(body > 0, 0, np.where(couch > 0, 3000, 500)).astype(np.int16)
    occupancy = {n: np.rint(s * 255).astype(np.uint8) for n, s in enumerate(shapes.values(), 1)}
    objects = FolderStore(tmp_path)
    return load_case(objects, save_case(objects, CaseDraft(manifest, ct, occupancy, {1: [], 2: [], 3: []})))


def depth_of_target_mm(case: Case, gantry_deg: float, *overrides: DensityOverride) -> float:
    """Water-equivalent depth at which the axis enters the target; density is stopping power in this calibration."""
    patient = patient_of(case, WATER, 2.0, overrides)
    power = np.where(patient.ct_hu <= -999, 0, 1 + patient.ct_hu / 1000).astype(np.float32)
    target = occupancy_of(case, "PTV", patient)
    distance = np.where(target >= 0.5, 0, 100).astype(np.float32)
    frame = BeamFrame.of((0.0, 0.0, 0.0), gantry_deg, 0.0, (2000.0, 2000.0), "HFS")
    traced = trace(frame, Anatomy(patient.grid, power, target, distance, "HFS"), 5.0, 0.0)
    [middle] = np.flatnonzero(np.abs(traced.xy_mm).sum(axis=1) < 0.1)
    return float(traced.depth_mm[middle][traced.in_target[middle]].min())


COUCH = DensityOverride(structure="Couch", hu=COUCH_HU)


def test_a_beam_through_the_couch_is_shortened_by_its_water_equivalent(case: Case) -> None:
    """2 cm at 0.4 g/cm3 are 8 mm of water; the beam from the front does not meet it."""
    behind, front = 180.0, 0.0
    assert depth_of_target_mm(case, behind, COUCH) - depth_of_target_mm(case, behind) == pytest.approx(8.0, abs=0.5)
    assert depth_of_target_mm(case, front, COUCH) == pytest.approx(depth_of_target_mm(case, front), abs=1e-3)
    assert depth_of_target_mm(case, behind) == pytest.approx(BODY_BACK_MM - 9.0, abs=1.1)


def test_without_its_density_it_is_air(case: Case) -> None:
    patient = patient_of(case, WATER, 2.0)
    assert patient.warnings == ()
    assert patient.grid.edges_mm()[1][1] < BODY_BACK_MM + AIR_GAP_MM
    assert patient.ct_hu.max() == 0.0


def test_the_grid_holds_couch_and_body_and_the_plan_says_so(case: Case) -> None:
    alone, patient = patient_of(case, WATER, 2.0), patient_of(case, WATER, 2.0, [COUCH])
    (low, high), (own_low, own_high) = patient.grid.edges_mm(), alone.grid.edges_mm()
    assert all(a <= b for a, b in zip(low, own_low, strict=True))
    assert all(a >= b for a, b in zip(high, own_high, strict=True))
    assert high[1] >= BODY_BACK_MM + AIR_GAP_MM + SLAB_MM
    # Between the two, and beside them, is air; nothing is as dense as what the CT shows.
    y = patient.grid.axis_mm(1)
    gap = (y > BODY_BACK_MM + 2) & (y < BODY_BACK_MM + AIR_GAP_MM - 2)
    assert np.all(patient.ct_hu[:, gap] == -1000.0)
    assert patient.ct_hu.max() == 0.0
    slab = (y > BODY_BACK_MM + AIR_GAP_MM + 2) & (y < BODY_BACK_MM + AIR_GAP_MM + SLAB_MM - 2)
    assert np.allclose(patient.ct_hu[:, slab][..., 5:-5], COUCH_HU)
    [said] = patient.warnings
    volume = 122 * 20 * 44 / 1000
    assert f"{volume:.1f} cm3 of 'Couch' were calculated as -600 HU, {volume:.1f} cm3 of them outside BODY" in said
