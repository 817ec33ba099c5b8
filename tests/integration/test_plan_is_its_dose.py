"""Is the exported dose that of the exported plan? The RT Ion Plan alone is simulated again, with another seed.

Fails when any factor (fractions, RBE, the scaling to the normalisation, MU per weight) is in one of the two and
not in the other, when a beam, layer or spot is lost, doubled or given another's weight, and when the uncertainty
that is told is not the spread that another seed shows.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as Polygon
from pydicom import Dataset, dcmread
from radiarch_common.plans import Beam, Objective, Prescription
from radiarch_common.watch import QuietWatch
from radiarch_planner.patient import occupancy_of
from radiarch_standalone.phantom import BODY_SIZE_MM, CENTRE_MM
from radiarch_testkit.ion_plan_reader import beams_of, fractions_of
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL
from scipy.interpolate import RegularGridInterpolator

DOSE_GRID_MM, RBE = 5.0, 1.1
ISOCENTRE_MM = (CENTRE_MM[0] + 12.0, CENTRE_MM[1] - 9.0, CENTRE_MM[2] + 7.0)
BEAMS = (
    Beam(name="steep", gantry_angle_deg=75.0, couch_angle_deg=15.0, range_shifter="rs-40"),
    Beam(name="flat", gantry_angle_deg=265.0, couch_angle_deg=350.0),
)
"""No symmetry: another order of beams, a lost couch, a mirrored axis or a lost range shifter gives another dose."""

FloatArray = npt.NDArray[np.float64]
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Simulated:
    """Dose as exported and as simulated again, Gy(RBE), and the standard error of the second; on one grid.

    ``target`` is the share of each voxel inside the target.
    """

    plan: Dataset
    dose: Dataset
    structures: Dataset
    report: dict[str, Any]
    exported: FloatArray
    again: FloatArray
    error: FloatArray
    target: FloatArray


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    bench = Bench(tmp_path_factory.mktemp("again"), dose_grid_mm=DOSE_GRID_MM)
    objectives = (
        Objective(structure="PTV", kind="DUniform", dose_gy_rbe=50.0, weight=10.0),
        Objective(structure="Core", kind="DMax", dose_gy_rbe=15.0, weight=5.0),
    )
    # To the noisy D95% of the final dose: a factor of several percent, which plan and dose must both have.
    asked = Prescription(target="PTV", dose_gy_rbe=50.0, fractions=25, normalisation="D95% = 100 %")
    plan, dose = bench.plan(
        **SMALL,
        beams=BEAMS,
        isocentre_mm=ISOCENTRE_MM,
        objectives=objectives,
        dose_grid_mm=DOSE_GRID_MM,
        rbe=RBE,
        prescription=asked,
    )
    spec = bench.spec.model_copy(update={"primaries_final": 400_000, "seed": 4711})
    prescription = spec.prescription.model_copy(update={"fractions": fractions_of(plan)})
    spec = spec.model_copy(update={"prescription": prescription})
    again = bench.engine.final_dose(bench.patient, beams_of(plan), spec, QuietWatch())
    return Simulated(
        plan=plan,
        dose=dose,
        structures=dcmread(bench.study.files[-1]),
        report=json.loads(bench.artifacts["plan.json"]),
        exported=dose.pixel_array.astype(np.float64) * float(dose.DoseGridScaling),
        again=again.dose_gy.astype(np.float64) * RBE,
        error=again.uncertainty_gy.astype(np.float64) * RBE,
        target=occupancy_of(bench.case, "PTV", bench.patient).astype(np.float64),
    )


def test_the_plan_gives_the_target_the_dose_that_was_exported(simulated: Simulated) -> None:
    exported, again = (float(np.average(d, weights=simulated.target)) for d in (simulated.exported, simulated.again))
    assert exported / again == pytest.approx(1.0, abs=0.01)


def test_the_plan_gives_every_voxel_the_dose_that_was_exported(simulated: Simulated) -> None:
    """Mean square of the difference over its variance: 1 when nothing but noise is between the two.

    The exported dose has half as many protons per beam as the second, hence twice its variance.
    """
    again = np.where(_outside_the_water(simulated.dose), 0.0, simulated.again)
    hot = again > 0.3 * again.max()
    chi = (simulated.exported - again)[hot] / (np.sqrt(3.0) * simulated.error[hot])
    assert np.count_nonzero(hot) > 1000
    assert float(np.mean(np.clip(chi, -5, 5) ** 2)) == pytest.approx(1.2, abs=0.25)


def test_the_prescription_is_that_of_all_fractions(simulated: Simulated) -> None:
    (wanted,) = (float(item.TargetPrescriptionDose) for item in simulated.plan.DoseReferenceSequence)
    doses = np.sort(_dose_inside(simulated, "PTV"))
    assert wanted == 50.0
    assert float(doses[int(0.05 * len(doses))]) == pytest.approx(wanted, rel=0.01)
    assert fractions_of(simulated.plan) == 25


def test_the_plan_could_fail_the_other_tests(simulated: Simulated) -> None:
    """Exchanged beams would show, and so would a factor left out: MU were in steps of 1/1024 before it."""
    mu = np.array([m for beam in beams_of(simulated.plan) for layer in beam.layers for m in layer.mu])
    assert np.mean(np.abs(mu * 1024 - np.rint(mu * 1024)) > 0.01) > 0.5
    one, two = beams_of(simulated.plan)
    assert abs(one.meterset_mu - two.meterset_mu) > 0.02 * two.meterset_mu
    assert {layer.energy_mev for layer in one.layers} != {layer.energy_mev for layer in two.layers}


def test_air_around_the_patient_has_no_dose(simulated: Simulated) -> None:
    """A few protons in the almost no mass of an air voxel are noise, and hotter than any target now and then."""
    outside = _outside_the_water(simulated.dose)
    assert np.count_nonzero(outside) > 1000
    assert simulated.exported[outside].max() == 0.0


@pytest.mark.parametrize("name", ["PTV", "Core"])
def test_the_dvh_is_that_of_the_exported_dose(simulated: Simulated, name: str) -> None:
    """By an oracle of its own: RTSTRUCT, RTDOSE, matplotlib's polygons and points of 1 x 1 x 0.5 mm."""
    doses = np.sort(_dose_inside(simulated, name))
    metrics = simulated.report["metrics"][name]
    for percent in (98, 95, 50, 5, 2):
        own = doses[int((1 - percent / 100) * len(doses))]
        assert own == pytest.approx(metrics[f"D{percent}%[Gy]"], abs=0.4), percent
    assert float(doses.mean()) == pytest.approx(metrics["Mean[Gy]"], abs=0.2)


def test_numbers_that_the_case_decided_are_said_to_be_its(simulated: Simulated) -> None:
    assert simulated.report["request"]["origins"]["dose_grid_slice_mm"] == "case"
    assert simulated.report["dose_grid"]["spacing_mm"] == [DOSE_GRID_MM, DOSE_GRID_MM, 5.0]
    assert simulated.report["request"]["spec"]["isocentre_mm"] == list(ISOCENTRE_MM)
    beams = simulated.report["request"]["spec"]["beams"]
    # One was asked for; the other was left to the planner, which needs none so deep.
    assert [beam["range_shifter"] for beam in beams] == ["rs-40", "none"]
    assert simulated.report["request"]["origins"]["beams.1.range_shifter"] == "case"
    assert "beams.0.range_shifter" not in simulated.report["request"]["origins"]


def test_the_range_shifter_is_read_from_the_plan_alone(simulated: Simulated) -> None:
    """Without it the first beam's protons would go 40 mm too deep, and the other tests would see it."""
    steep, flat = beams_of(simulated.plan)
    assert steep.range_shifter is not None
    assert (steep.range_shifter.id, steep.range_shifter.wet_mm, flat.range_shifter) == ("rs-40", 40.0, None)
    assert min(layer.energy_mev for layer in steep.layers) > min(layer.energy_mev for layer in flat.layers) + 10


def _dose_inside(simulated: Simulated, name: str) -> FloatArray:
    """Dose at points inside a structure, each standing for the same volume: shape (n,)."""
    record, structures = simulated.dose, simulated.structures
    x, y, z = (float(v) for v in record.ImagePositionPatient)
    axes = (
        z + np.asarray([float(v) for v in record.GridFrameOffsetVector]),
        y + DOSE_GRID_MM * np.arange(record.Rows),
        x + DOSE_GRID_MM * np.arange(record.Columns),
    )
    at = RegularGridInterpolator(axes, simulated.exported)
    (number,) = (roi.ROINumber for roi in structures.StructureSetROISequence if roi.ROIName == name)
    (drawn,) = (roi for roi in structures.ROIContourSequence if roi.ReferencedROINumber == number)
    found: list[FloatArray] = []
    for contour in drawn.ContourSequence:
        points = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
        (left, front), (right, back) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        xx, yy = np.meshgrid(np.arange(left + 0.5, right, 1.0), np.arange(front + 0.5, back, 1.0))
        inside = Polygon(points[:, :2]).contains_points(np.column_stack([xx.ravel(), yy.ravel()]))
        for dz in (-1.0, -0.5, 0.0, 0.5, 1.0):
            height = np.full(np.count_nonzero(inside), points[0, 2] + dz)
            found.append(at(np.column_stack([height, yy.ravel()[inside], xx.ravel()[inside]])))
    return np.concatenate(found)


def _outside_the_water(dose: Dataset) -> npt.NDArray[np.bool_]:
    """Voxels of an RTDOSE that have no part in the phantom's box of water: shape (z, y, x)."""
    spacing = [DOSE_GRID_MM, DOSE_GRID_MM, float(dose.GridFrameOffsetVector[1])]
    away = [
        np.abs(float(dose.ImagePositionPatient[axis]) + spacing[axis] * np.arange(size) - CENTRE_MM[axis])
        - (BODY_SIZE_MM[axis] + spacing[axis]) / 2
        for axis, size in enumerate((dose.Columns, dose.Rows, int(dose.NumberOfFrames)))
    ]
    return (away[2] >= 0)[:, None, None] | (away[1] >= 0)[:, None] | (away[0] >= 0)
