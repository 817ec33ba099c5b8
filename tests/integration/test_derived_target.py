"""A plan on a target that the plan itself derives, by the real engine: spots, dose and DVH are those of the target.

Fails when the spots cover what the target was made of instead, or when the target is lost on the way to the archive.
"""

import numpy as np
import pytest
from radiarch_common.derived import MarginStructure, RingStructure
from radiarch_common.plans import Beam, Goal, Objective
from radiarch_testkit.one_spot import Bench

pytestmark = pytest.mark.slow


def test_a_derived_target_is_planned_and_exported(tmp_path_factory: pytest.TempPathFactory) -> None:
    bench = Bench(tmp_path_factory.mktemp("derived"), dose_grid_mm=5.0)
    spec = bench.spec
    plan, dose = bench.plan(
        derived_structures=(
            MarginStructure(name="Boost", kind="margin", of="Core", margin_mm=4.0, crop_to="{body}"),
            RingStructure(name="Ring", kind="ring", of="Boost", from_mm=15.0, to_mm=40.0, crop_to="{body}"),
        ),
        prescription=spec.prescription.model_copy(update={"target": "Boost", "normalisation": "D50% = 100 %"}),
        beams=(Beam(name="G90", gantry_angle_deg=90.0), Beam(name="G270", gantry_angle_deg=270.0)),
        objectives=(
            Objective(structure="Boost", kind="DUniform", dose_gy_rbe=50.0, weight=10.0),
            Objective(structure="Ring", kind="DMax", dose_gy_rbe=20.0),
        ),
        goals=(Goal(structure="Boost", metric="D95%[Gy]", op=">=", value=40.0),),
        isocentre_mm=None,
        dose_grid_mm=5.0,
        primaries_per_spot=100,
        primaries_final=200_000,
        iterations=30,
    )
    [wanted] = plan.DoseReferenceSequence
    assert (wanted.DoseReferenceStructureType, "Boost" in wanted.DoseReferenceDescription) == ("SITE", True)
    drawn = {structure.number for structure in bench.case.manifest.structures}
    assert {int(e.value) for r in (plan, dose) for e in r.iterall() if e.keyword == "ReferencedROINumber"} <= drawn
    gy = dose.pixel_array * float(dose.DoseGridScaling)
    hot = np.argwhere(gy > 40.0)[:, ::-1] * [*dose.PixelSpacing[::-1], dose.SliceThickness] + dose.ImagePositionPatient
    core = bench.case.manifest.structure("Core")
    low, high = (np.asarray(edge) for edge in core.grid.edges_mm())
    centre, half = (low + high) / 2, (high - low) / 2
    assert hot.mean(axis=0) == pytest.approx(centre, abs=4.0)
    assert np.all(np.abs(hot - centre).max(axis=0) < half + 4.0 + 15.0), "near the core and its margin alone"
