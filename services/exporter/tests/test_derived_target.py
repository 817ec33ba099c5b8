"""A plan on a target that the structure set does not have: nothing that goes out refers to a ROI that is not there."""

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from radiarch_common.case import Case, Structure
from radiarch_common.messages import ExportResult
from radiarch_common.objects import FolderStore
from radiarch_common.result import Result, ResultDraft, load_result, save_result
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.dvh_tables import dvh_csv, dvh_json
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.picture import dose_png
from radiarch_exporter.plan_json import plan_json
from radiarch_exporter.record import encoded
from radiarch_testkit.dciodvfy import remarks

MADE = "PTV -3 mm; voxels of 0.5 x 0.5 x 0.5 mm"


@pytest.fixture
def derived(objects: FolderStore, case: Case, result: Result) -> Result:
    """The same result, its target now derived from PTV."""
    drawn = case.manifest.structure("PTV")
    target = Structure(number=13, name="Inner", interpreted_type="", volume_cc=20.0, grid=drawn.grid, derived=MADE)
    manifest = result.manifest
    spec = manifest.resolved.spec
    prescription = spec.prescription.model_copy(update={"target": "Inner"})
    resolved = manifest.resolved.model_copy(update={"spec": spec.model_copy(update={"prescription": prescription})})
    curve = manifest.dvh[1].model_copy(update={"structure": "Inner", "number": 13, "derived": MADE})
    changed = manifest.model_copy(
        update={"resolved": resolved, "dvh": (*manifest.dvh, curve), "structures": (target,), "digests": {}}
    )
    share = np.rint(255 * case.occupancy(drawn)).astype(np.uint8)
    draft = ResultDraft(changed, result.dose_gy(), result.dose_gy_rbe(), result.uncertainty_gy(), {13: share})
    return save_result(objects, "results/abcdefgh12345678/1-1-78", draft)


def test_it_is_stored_with_the_result(objects: FolderStore, case: Case, derived: Result) -> None:
    again = load_result(objects, derived.key)
    [target] = again.manifest.structures
    np.testing.assert_array_equal(again.occupancy(target), case.occupancy(case.manifest.structure("PTV")))


def test_references_lead_to_drawn_structures_only(
    job: ExportResult, case: Case, derived: Result, tmp_path: Path
) -> None:
    manifest = derived.manifest
    plan, dose = ion_plan(job, case.manifest, manifest), rt_dose(job, case.manifest, manifest, derived.dose_gy_rbe())
    drawn = {structure.number for structure in case.manifest.structures}
    assert _referenced(plan) | _referenced(dose) == drawn, "PTV's and BODY's DVH refer to them"
    [wanted] = plan.DoseReferenceSequence
    assert wanted.DoseReferenceStructureType == "SITE"
    assert "derived target Inner" in wanted.DoseReferenceDescription
    for record in (plan, dose):
        assert remarks(encoded(record), tmp_path) == []


def test_tables_and_picture_have_it(job: ExportResult, case: Case, derived: Result) -> None:
    manifest = derived.manifest
    curves = {curve["structure"]: curve for curve in json.loads(dvh_json(manifest))["curves"]}
    assert (curves["Inner"]["derived"], curves["Inner"]["roi_number"]) == (MADE, None)
    assert (curves["PTV"]["derived"], curves["PTV"]["roi_number"]) == ("", 12)
    numbers = {row["structure"]: row["roi_number"] for row in csv.DictReader(StringIO(dvh_csv(manifest).decode()))}
    assert numbers == {"BODY": "7", "PTV": "12", "Inner": ""}
    document = json.loads(plan_json(job, case.manifest, manifest))
    assert document["derived_structures"] == {"Inner": {"volume_cc": 20.0, "made_of": MADE}}
    assert dose_png(job, case, derived).startswith(b"\x89PNG")


def _referenced(record: Dataset) -> set[int]:
    return {int(element.value) for element in record.iterall() if element.keyword == "ReferencedROINumber"}
