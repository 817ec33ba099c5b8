"""What the importer hands on: the case, and who chose its structure set."""

from pathlib import Path

import pytest
from radiarch_common.messages import PlanCase
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs
from radiarch_common.run import Run
from radiarch_common.settings import Settings
from radiarch_importer.app import import_study
from radiarch_testkit.jobs import import_job
from radiarch_testkit.synthetic_study import STRUCTURE_SET_UID, STUDY_UID, SyntheticStudy


@pytest.mark.parametrize(("asked", "origin"), [(None, "case"), (STRUCTURE_SET_UID, "request")])
def test_who_chose_the_structure_set_is_told(tmp_path: Path, asked: str | None, origin: str) -> None:
    SyntheticStudy().write(tmp_path / "pacs")
    job = import_job().model_copy(update={"study_instance_uid": STUDY_UID, "segmentation_uid": asked})
    pacs = {"main": FolderPacs("main", tmp_path / "pacs")}
    run = Run("importer", job, 1, 1, FolderStore(tmp_path / "objects"), pacs, Settings())
    handed_on = import_study(job, run)
    assert isinstance(handed_on, PlanCase)
    assert handed_on.request.origins["segmentation_uid"] == origin
    assert handed_on.request.origins["rbe"] == "workflow"
    assert handed_on.request.spec == job.request.spec
