"""A result ends in the object store and in the PACS, whole, the same at every attempt, or not at all."""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from radiarch_common.case import Case
from radiarch_common.errors import StoppedError
from radiarch_common.messages import ExportResult
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs, StoreReport, WebPacs
from radiarch_common.result import Result
from radiarch_common.watch import QuietWatch
from radiarch_exporter.archive import ArchiveError
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.export import export_result
from radiarch_exporter.identity import Identity
from radiarch_exporter.record import encoded
from radiarch_testkit.orthanc_server import OrthancServer

FILES = ["RTPLAN.dcm", "RTDOSE.dcm", "dvh.json", "dvh.csv", "dose.png", "plan.json", "report.html", "report.pdf"]
NO_SPACE = "out of resources (0xA700)"


class HalfFullPacs(FolderPacs):
    """An archive whose disk is full after the first object."""

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        first, *rest = datasets
        stored = super().store([first]).stored
        return StoreReport(stored=stored, failed=tuple((str(d.SOPInstanceUID), NO_SPACE) for d in rest))


class ForgetfulPacs(FolderPacs):
    """An archive that says that it stored what it did not."""

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        return StoreReport(stored=tuple(str(d.SOPInstanceUID) for d in datasets), failed=())


class CancelledBeforeSending(QuietWatch):
    """A job that is cancelled while its files are made."""

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        super().progress(fraction, message, eta_seconds)
        if message.startswith("sending"):
            self.stopping.set()


@pytest.fixture
def pacs(tmp_path: Path) -> FolderPacs:
    return FolderPacs("main", tmp_path / "pacs")


def test_every_artifact_is_what_its_digest_says(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    artifacts = export_result(job, case, result, objects, pacs, QuietWatch())
    assert [a.name for a in artifacts] == FILES
    for artifact in artifacts:
        data = objects.get(artifact.key)
        assert artifact.key.startswith(f"artifacts/{job.job_id}/")
        assert (artifact.sha256, artifact.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (artifact.sop_instance_uid is not None) == artifact.name.endswith(".dcm")


def test_the_pacs_holds_plan_and_dose_in_series_of_their_own(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    artifacts = export_result(job, case, result, objects, pacs, QuietWatch())
    held = pacs.instances(case.manifest.study_instance_uid)
    assert {ref.modality for ref in held} == {"RTPLAN", "RTDOSE"}
    assert len({ref.series_instance_uid for ref in held}) == 2
    for ref in held:
        [artifact] = [a for a in artifacts if a.sop_instance_uid == ref.sop_instance_uid]
        assert pacs.instance(ref) == dcmread(BytesIO(objects.get(artifact.key)))


def test_another_attempt_in_an_empty_store_makes_the_same_bytes(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs, tmp_path: Path
) -> None:
    first = export_result(job, case, result, objects, pacs, QuietWatch())
    again = job.model_copy(update={"run": 2})
    second = export_result(again, case, result, FolderStore(tmp_path / "other"), pacs, QuietWatch())
    assert first == second
    assert len(pacs.instances(case.manifest.study_instance_uid)) == 2


def test_what_is_stored_already_is_sent_and_not_made_again(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs, tmp_path: Path
) -> None:
    """As after an upgrade between two attempts: the archive keeps old bytes, so the store's old bytes are sent."""
    plan, *_ = export_result(job, case, result, objects, pacs, QuietWatch())
    older = dcmread(BytesIO(objects.get(plan.key)))
    older.SoftwareVersions = "an older version"
    data = BytesIO()
    older.save_as(data)
    objects.put(plan.key, data.getvalue())
    archive = FolderPacs("main", tmp_path / "second-pacs")
    sent, *_ = export_result(job, case, result, objects, archive, QuietWatch())
    assert sent.sha256 == hashlib.sha256(data.getvalue()).hexdigest()
    [held] = [r for r in archive.instances(case.manifest.study_instance_uid) if r.modality == "RTPLAN"]
    found = archive.instance(held)
    assert found is not None
    assert found.SoftwareVersions == "an older version"


def test_another_result_of_the_job_has_other_uids_and_keys(job: ExportResult, result: Result) -> None:
    other = result.manifest.model_copy(update={"warnings": ("changed",)})
    ours, theirs = (Identity.of(job.job_id, m.digest) for m in (result.manifest, other))
    uids = {*vars(ours).values(), *vars(theirs).values()}
    assert len(uids) == 8
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


def test_a_partial_failure_of_the_archive_is_a_failure_with_its_reasons(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="stored 1 of 2 objects") as failure:
        export_result(job, case, result, objects, HalfFullPacs("main", tmp_path / "full"), QuietWatch())
    assert NO_SPACE in str(failure.value)
    assert "RTDOSE" in str(failure.value)
    mended = FolderPacs("main", tmp_path / "full")
    assert len(export_result(job, case, result, objects, mended, QuietWatch())) == len(FILES)


def test_an_object_that_is_not_there_afterwards_is_a_failure(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="not there after it was stored"):
        export_result(job, case, result, objects, ForgetfulPacs("main", tmp_path / "none"), QuietWatch())


@pytest.mark.parametrize("where", ["PixelData", "DoseComment", "ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID"])
def test_other_content_under_the_same_uid_is_found(
    where: str, job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    """An archive keeps what it has and says that all went well."""
    held = rt_dose(job, case.manifest, result.manifest, result.dose_gy_rbe())
    if where == "PixelData":
        held.PixelData = held.PixelData[:-1] + bytes([held.PixelData[-1] ^ 1])
    elif where == "DoseComment":
        del held.DoseComment
    else:
        held.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    pacs.store([_filed(held)])
    with pytest.raises(ArchiveError) as failure:
        export_result(job, case, result, objects, pacs, QuietWatch())
    assert str(failure.value).endswith(f"it differs in {where}")


def test_a_job_cancelled_before_sending_leaves_nothing_in_the_archive(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    with pytest.raises(StoppedError):
        export_result(job, case, result, objects, pacs, CancelledBeforeSending())
    assert pacs.instances(case.manifest.study_instance_uid) == []


def test_a_result_of_another_case_is_not_exported(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    other = Case(objects, "cases/" + "0" * 64, case.manifest)
    with pytest.raises(ValueError, match="was not made from case"):
        export_result(job, other, result, objects, pacs, QuietWatch())


def test_no_patient_outside_dicom(
    job: ExportResult, case: Case, result: Result, objects: FolderStore, pacs: FolderPacs
) -> None:
    watch = QuietWatch()
    artifacts = export_result(job, case, result, objects, pacs, watch)
    read = [objects.get(a.key) for a in artifacts if not a.name.endswith(".dcm")]
    read.append(repr((watch.reports, artifacts)).encode())
    for patient in ("Yamada", "太郎", "RA-0001", "19700101"):
        assert not [text for text in read if patient.encode() in text]


def test_a_real_archive_gives_back_what_it_was_sent(
    orthanc: OrthancServer, job: ExportResult, case: Case, result: Result, objects: FolderStore
) -> None:
    orthanc.clear()
    web = WebPacs("main", orthanc.settings)
    first = export_result(job, case, result, objects, web, QuietWatch())
    assert export_result(job, case, result, objects, web, QuietWatch()) == first
    held = {ref.sop_instance_uid: ref for ref in web.instances(case.manifest.study_instance_uid)}
    assert set(held) == {a.sop_instance_uid for a in first if a.sop_instance_uid}
    for artifact in first[:2]:
        assert artifact.dicomweb_url is not None
        assert artifact.dicomweb_url.endswith(f"/instances/{artifact.sop_instance_uid}")
    orthanc.clear()


def test_a_real_archive_that_holds_another_dose_under_the_uid_is_found_out(
    orthanc: OrthancServer, job: ExportResult, case: Case, result: Result, objects: FolderStore
) -> None:
    orthanc.clear()
    web = WebPacs("main", orthanc.settings)
    held = rt_dose(job, case.manifest, result.manifest, result.dose_gy_rbe() * 2)
    web.store([_filed(held)])
    with pytest.raises(ArchiveError, match="DoseGridScaling"):
        export_result(job, case, result, objects, web, QuietWatch())
    orthanc.clear()


def _filed(record: Dataset) -> Dataset:
    """As a reader of its file would have it."""
    return dcmread(BytesIO(encoded(record)))
