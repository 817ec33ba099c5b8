"""A case and a result made by hand: asymmetric everywhere, so that a swapped axis or sign shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.case import Case, CaseDraft, CaseManifest, Reference, Structure, load_case, save_case
from radiarch_common.geometry import Contour, Grid
from radiarch_common.messages import ExportResult
from radiarch_common.objects import FolderStore
from radiarch_common.plans import Beam, Goal, Objective, Pinned, PlanSpec, Prescription, ResolvedPlan, Robustness
from radiarch_common.quality import BeamStatistics, PlanIndices
from radiarch_common.result import (
    BeamRangeShifter,
    DvhCurve,
    GoalResult,
    Layer,
    Provenance,
    Result,
    ResultBeam,
    ResultDraft,
    ResultManifest,
    ScenarioResult,
    StructureLet,
    Uncertainty,
    save_result,
)
from radiarch_common.robustness import Scenario

CT_GRID = Grid(origin_mm=(-119.0, -87.5, -40.25), spacing_mm=(3.5, 3.5, 2.5), size=(68, 50, 36))
DOSE_GRID = Grid(origin_mm=(-98.0, -70.0, -35.25), spacing_mm=(4.0, 4.0, 5.0), size=(49, 37, 14))
CENTRE_MM = (21.0, -9.0, 2.25)
ISOCENTRE_MM = (20.123456789, -8.5, 3.0)
CT_UIDS = tuple(f"1.2.826.0.1.3680043.10.99.3.{k}" for k in range(CT_GRID.size[2]))
NAMES = {"ISO_IR 192": "山田^太郎=Yamada^Tarō", "ISO_IR 100": "Müller^Jürgen"}


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    """An object store of its own."""
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def charset() -> str:
    """The study's SpecificCharacterSet; parametrise a test by this name to change it."""
    return "ISO_IR 192"


@pytest.fixture
def case(objects: FolderStore, charset: str) -> Case:
    """Water cylinder with a denser rod, BODY and a target off its middle."""
    body = _ellipsoid(CT_GRID, (0.0, -2.0, 3.0), (100.0, 70.0, 1e6))
    target = _ellipsoid(CT_GRID, CENTRE_MM, (28.0, 18.0, 15.0))
    ct_hu = np.where(body > 0.5, 20, -1000) + np.where(_ellipsoid(CT_GRID, (-40.0, 25.0, 0), (9, 9, 1e6)) > 0.5, 700, 0)
    draft = CaseDraft(
        manifest=CaseManifest(
            grid=CT_GRID,
            structures=(_structure(7, "BODY", "EXTERNAL", body), _structure(12, "PTV", "PTV", target)),
            body=7,
            patient_position="HFS",
            frame_of_reference_uid="1.2.826.0.1.3680043.10.99.7",
            study_instance_uid="1.2.826.0.1.3680043.10.99.1",
            ct_series_instance_uid="1.2.826.0.1.3680043.10.99.2",
            ct_slices=tuple(_ct_reference(uid) for uid in CT_UIDS),
            structure_set=Reference(
                sop_class_uid="1.2.840.10008.5.1.4.1.1.481.3", sop_instance_uid="1.2.826.0.1.3680043.10.99.5"
            ),
            header=_header(charset),
            warnings=("Three voxels were padding and became air.",),
            digests={},
        ),
        ct_hu=ct_hu.astype(np.int16),
        occupancy={n: np.rint(255 * o).astype(np.uint8) for n, o in ((7, body), (12, target))},
        contours={12: [Contour(z_mm=2.25, points_mm=np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))]},
    )
    return load_case(objects, save_case(objects, draft))


@pytest.fixture
def result(objects: FolderStore, case: Case) -> Result:
    """Two beams whose dose is a blob that falls off differently along each axis and direction."""
    dose = _dose()
    manifest = ResultManifest(
        resolved=_resolved(),
        grid=DOSE_GRID,
        beams=(_beam(1, "LAO", 30.0, 15.0, 3), _beam(2, "RPO", 210.5, 0.0, 4)),
        uncertainty=Uncertainty(percent=1.7, voxels="PTV", batches=10),
        dvh=(_curve("BODY", 7, 2100.0, 20.0), _curve("PTV", 12, 31.5, 55.0)),
        goals=(
            GoalResult(goal=Goal(structure="PTV", metric="D95%[Gy]", op=">=", value=51.3), achieved=52.4, met=True),
            GoalResult(
                goal=Goal(structure="BODY", metric="V20Gy[cc]", op="<=", value=900.0, limit=1200.0, priority=2),
                achieved=1050.0,
                met=False,
                verdict="acceptable",
            ),
        ),
        indices=PlanIndices(
            target="PTV",
            prescription_gy_rbe=54.0,
            target_cc=31.5,
            covered_cc=29.25,
            isodose_cc=41.0,
            half_isodose_cc=190.0,
            homogeneity=0.0721,
            conformity=0.6625,
            gradient=4.634,
        ),
        beam_statistics=(_statistics(1, "LAO", 40, 38.5), _statistics(2, "RPO", 82, None)),
        objective_course=(12.5, 3.0, 1.0),
        provenance=_provenance(case.sha256),
        warnings=("The machine is not commissioned.",),
        timings={"beamlets": 12.0},
    )
    draft = ResultDraft(manifest, (dose / np.float32(1.1)), dose, dose * np.float32(0.02))
    return save_result(objects, "results/abcdefgh12345678/1-1-77", draft)


@pytest.fixture
def robust(result: Result, objects: FolderStore) -> Result:
    """The same result of a plan with errors of setup and range, LET, DVH objectives, and a beam with range shifter.

    The target's D95% falls to 46.1 Gy(RBE) in the scenario ``setup y -4 mm``, BODY's V20Gy rises to 1234 cm3 in the
    last one.
    """
    manifest = result.manifest
    asked = Robustness(
        setup_mm=(3.0, 4.0, 5.0), range_percent=3.5, optimise="worst case", primaries_per_scenario=400_000
    )
    spec = manifest.resolved.spec.model_copy(
        update={
            "robustness": asked,
            "uncertainty_percent": 1.5,
            "let_map": True,
            "objectives": (
                Objective(structure="PTV", kind="DUniform", dose_gy_rbe=54.0, weight=10.0, robust=True),
                Objective(structure="BODY", kind="DVHMax", dose_gy_rbe=20.0, volume_percent=30.0),
            ),
        }
    )
    d95 = (52.4, 50.2, 49.9, 51.0, 46.1, 50.0, 48.8, 51.1, 51.9)
    shifter = BeamRangeShifter(id="rs-40", description="40 mm of Lucite", wet_mm=46.2, isocentre_distance_mm=310.0)
    changed = manifest.model_copy(
        update={
            "resolved": manifest.resolved.model_copy(update={"spec": spec}),
            "beams": (manifest.beams[0].model_copy(update={"range_shifter": shifter}), manifest.beams[1]),
            "scenarios": tuple(
                _scenario(manifest.goals, scenario, dose, 1050.0 + 23.0 * k)
                for k, (scenario, dose) in enumerate(zip(asked.scenarios(), d95, strict=True))
            ),
            "let": (
                StructureLet(structure="BODY", mean_kev_um=2.31, maximum_kev_um=11.87),
                StructureLet(structure="PTV", mean_kev_um=3.04, maximum_kev_um=6.4),
            ),
            "objective_course": tuple(120.0 * 0.9**k + 0.5 for k in range(80)),
        }
    )
    return Result(objects, result.key, changed)


@pytest.fixture
def job(case: Case, result: Result) -> ExportResult:
    """The message that names case and result."""
    created_at = datetime(2026, 3, 14, 23, 30, 15, tzinfo=UTC)
    return ExportResult(
        job_id="abcdefgh12345678",
        run=1,
        created_at=created_at,
        deadline=created_at + timedelta(hours=24),
        pacs="main",
        request=_resolved(),
        case_key=case.key,
        result_key=result.key,
    )


def _ellipsoid(grid: Grid, centre: tuple[float, float, float], half: tuple[float, float, float]) -> npt.NDArray[Any]:
    x, y, z = (grid.axis_mm(axis) for axis in range(3))
    radius = np.sqrt(
        ((z[:, None, None] - centre[2]) / half[2]) ** 2
        + ((y[None, :, None] - centre[1]) / half[1]) ** 2
        + ((x[None, None, :] - centre[0]) / half[0]) ** 2
    )
    return np.clip((1.05 - radius) / 0.1, 0.0, 1.0)


def _dose() -> npt.NDArray[np.float32]:
    x, y, z = (DOSE_GRID.axis_mm(axis) - CENTRE_MM[axis] for axis in range(3))
    along = np.exp(-((np.where(x > 0, x / 45.0, x / 25.0)) ** 2))
    across = np.exp(-((np.where(y > 0, y / 18.0, y / 33.0)) ** 4))
    height = np.exp(-((np.where(z > 0, z / 15.0, z / 24.0)) ** 4))
    dose = 57.123 * height[:, None, None] * across[None, :, None] * along[None, None, :]
    return np.where(dose < 1e-3, 0.0, dose).astype(np.float32)


def _structure(number: int, name: str, kind: str, occupancy: npt.NDArray[Any]) -> Structure:
    volume = float(occupancy.sum()) * CT_GRID.voxel_volume_cc
    return Structure(number=number, name=name, interpreted_type=kind, volume_cc=volume, grid=CT_GRID)


def _ct_reference(uid: str) -> Reference:
    return Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=uid)


def _header(charset: str) -> dict[str, Any]:
    alphabetic, *rest = NAMES[charset].split("=")
    name = {"Alphabetic": rest[0], "Ideographic": alphabetic} if rest else {"Alphabetic": alphabetic}
    return {
        "00080005": {"vr": "CS", "Value": [charset]},
        "00080020": {"vr": "DA", "Value": ["20260311"]},
        "00080030": {"vr": "TM", "Value": ["101500"]},
        "00080050": {"vr": "SH", "Value": ["ACC 1"]},
        "00080090": {"vr": "PN"},
        "00081030": {"vr": "LO", "Value": ["Thorax für Planung"]},
        "00100010": {"vr": "PN", "Value": [name]},
        "00100020": {"vr": "LO", "Value": ["RA-0001"]},
        "00100030": {"vr": "DA", "Value": ["19700101"]},
        "00100040": {"vr": "CS", "Value": ["F"]},
        "0020000D": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.10.99.1"]},
        "00200010": {"vr": "SH", "Value": ["1"]},
    }


def _beam(number: int, name: str, gantry: float, couch: float, layers: int) -> ResultBeam:
    return ResultBeam(
        number=number,
        name=name,
        gantry_angle_deg=gantry,
        couch_angle_deg=couch,
        isocentre_mm=ISOCENTRE_MM,
        virtual_source_axis_distances_mm=(2320.0, 1860.5),
        nozzle_isocentre_distance_mm=421.0,
        layers=tuple(_layer(number, k) for k in range(layers)),
    )


def _layer(seed: int, index: int) -> Layer:
    random = np.random.default_rng(100 * seed + index)
    count = 1 + 13 * index
    return Layer(
        energy_mev=173.25 - 4.13 * index,
        x_mm=tuple(random.uniform(-30, 30, count)),
        y_mm=tuple(random.uniform(-20, 20, count)),
        mu=tuple(random.integers(20, 40_000, count) / 1024.0),
        spot_fwhm_mm=(12.3 + index / 3, 11.9),
    )


def _statistics(number: int, name: str, spots: int, delivery_s: float | None) -> BeamStatistics:
    return BeamStatistics(
        number=number,
        name=name,
        layers=3,
        spots=spots,
        lowest_energy_mev=164.99,
        highest_energy_mev=173.25,
        shallowest_range_mm=187.4,
        deepest_range_mm=203.8,
        meterset_mu=812.5,
        lowest_spot_mu=0.02,
        highest_spot_mu=38.1,
        delivery_s=delivery_s,
        delivery_basis=None if delivery_s is None else "1 s between energies, 3 ms for each spot, 30 MU/s (test)",
    )


def _scenario(goals: tuple[GoalResult, ...], scenario: Scenario, d95: float, v20_cc: float) -> ScenarioResult:
    target, body = goals
    judged = (
        target.model_copy(update={"achieved": d95, "met": d95 >= 51.3, "verdict": "met" if d95 >= 51.3 else "missed"}),
        body.model_copy(update={"achieved": v20_cc, "verdict": "acceptable" if v20_cc <= 1200.0 else "missed"}),
    )
    metrics = {"D98%[Gy]": d95 - 1.5, "D95%[Gy]": d95, "D50%[Gy]": 54.0, "D2%[Gy]": 56.5, "Max[Gy]": 108.5 - d95}
    return ScenarioResult(
        scenario=scenario,
        metrics={"PTV": metrics, "BODY": {"V20Gy[cc]": v20_cc}},
        goals=judged,
        uncertainty_percent=2.6,
    )


def _curve(name: str, number: int, volume_cc: float, edge: float) -> DvhCurve:
    dose = np.arange(0.0, 60.0, 0.5)
    volume = 100.0 / (1.0 + np.exp((dose - edge) / 1.5))
    return DvhCurve(
        structure=name,
        number=number,
        volume_cc=volume_cc,
        dose_gy_rbe=tuple(dose.tolist()),
        volume_percent=tuple(volume.tolist()),
        metrics={"D95%[Gy]": edge - 4.0, "Mean[Gy]": edge},
    )


def _provenance(case_sha256: str) -> Provenance:
    return Provenance(
        case_sha256=case_sha256,
        software={"radiarch-planner": "0.1.0", "opentps": "2.0.2"},
        engine="mcsquare",
        engine_build="MCsquare_linux",
        engine_sha256="e" * 64,
        cpu_vendor="AuthenticAMD",
        seed=4711,
        primaries_per_spot=1000,
        primaries_final=1_000_000,
        spots=87,
        dose_to="medium",
    )


def _resolved() -> ResolvedPlan:
    pinned = Pinned(id="proton-impt", version="1", sha256="a" * 64)
    spec = PlanSpec(
        prescription=Prescription(target="PTV", dose_gy_rbe=54.0, fractions=30, normalisation="D50% = 100 %"),
        beams=(
            Beam(name="LAO", gantry_angle_deg=30.0, couch_angle_deg=15.0),
            Beam(name="RPO", gantry_angle_deg=210.5),
        ),
        isocentre_mm=ISOCENTRE_MM,
        objectives=(Objective(structure="PTV", kind="DUniform", dose_gy_rbe=54.0),),
        goals=(Goal(structure="PTV", metric="D95%[Gy]", op=">=", value=51.3),),
        rbe=1.1,
        dose_grid_mm=4.0,
        spot_spacing_mm=5.0,
        layer_spacing_mm=5.0,
        target_margin_mm=5.0,
        minimum_spot_mu=0.01,
        maximum_spot_mu=100.0,
        primaries_per_spot=1000,
        primaries_final=1_000_000,
        batches=10,
        iterations=100,
        seed=4711,
    )
    return ResolvedPlan(
        workflow=pinned,
        machine=Pinned(id="generic-pencil-beam", version="1", sha256="b" * 64),
        ct_calibration=Pinned(id="schneider", version="1", sha256="c" * 64),
        spec=spec,
        origins={"prescription.dose_gy_rbe": "request", "isocentre_mm": "case", "machine": "deployment"},
    )
