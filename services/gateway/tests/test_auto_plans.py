"""Rules on a real Orthanc: a study that comes is planned once, whatever dies in between.

The stages are played: what is shown is that the gateway asks, asks once, and says why it did not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from copy import deepcopy
from datetime import timedelta
from io import BytesIO
from typing import Any

import httpx
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from radiarch_common.catalogue import Catalogue
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.db import Database
from radiarch_gateway.hooks.models import WatchRow
from radiarch_gateway.rules.models import RuleSignatureRow
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.orthanc_server import OrthancServer
from radiarch_testkit.synthetic_study import STRUCTURE_SET_UID, STUDY_UID, SyntheticStudy
from sqlmodel import select

RULE: dict[str, Any] = {
    "title": "Everything with a PTV",
    "match": {"structures": ["ptv*", "body"]},
    "request": {
        "workflow": "proton-impt",
        "prescription": {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30},
        "machine": "room-1",
        "ct_calibration": "scanner-1",
    },
}


@pytest.fixture
def archive(orthanc: OrthancServer) -> Iterator[OrthancServer]:
    """An empty Orthanc that runs; it is left as it was found, also when a test has killed it."""
    orthanc.start()
    orthanc.clear()
    yield orthanc
    orthanc.start()
    orthanc.clear()


@pytest.fixture
def settings(settings: Settings, archive: OrthancServer) -> Settings:
    return settings.model_copy(update={"pacs": {"main": archive.watched}})


class Watched:
    """A gateway that watches, started and stopped by the test."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = AsyncExitStack()
        self.http: httpx.AsyncClient

    async def start(self) -> None:
        url = self._running.enter_context(served(create_app(self._settings)))
        self.http = await self._running.enter_async_context(httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=HANG_S))

    async def stop(self) -> None:
        await self._running.aclose()

    async def sign(self, rule: dict[str, Any] = RULE) -> str:
        """Make a rule and sign it."""
        await until(lambda: self.http.get("/info"), lambda answer: answer.json()["workflows"])
        made = await self.http.post("/rules", json=rule)
        assert made.status_code == 201, made.text
        signed = await self.http.post(f"/rules/{made.json()['id']}/versions/1/sign")
        assert signed.status_code == 200, signed.text
        return made.json()["id"]

    async def decisions(self) -> list[dict[str, Any]]:
        return (await self.http.get("/rules/decisions")).raise_for_status().json()["items"]

    async def plans(self) -> list[dict[str, Any]]:
        return (await self.http.get("/plans")).raise_for_status().json()["items"]

    async def decided(self, outcome: str) -> dict[str, Any]:
        """The latest decision, once it has this outcome."""
        found = await until(self.decisions, lambda all_of: all_of and all_of[0]["outcome"] == outcome)
        return found[0]

    async def read_to_the_end(self) -> None:
        """Returns when everything that is in the archive now has been read and judged."""
        before = (await self.watch())["looked_at"]

        def done(watch: dict[str, Any]) -> bool:
            return watch["looked_at"] != before and watch["changed_studies"] == 0

        await until(self.watch, done)
        before = (await self.watch())["looked_at"]
        await until(self.watch, done)

    async def watch(self) -> dict[str, Any]:
        return (await self.http.get("/hooks")).raise_for_status().json()["pacs"][0]


@pytest.fixture
async def watched(settings: Settings, stage_hand: StageHand, catalogue: Catalogue) -> AsyncIterator[Watched]:
    await stage_hand.offer(catalogue)
    found = Watched(settings)
    await found.start()
    yield found
    await found.stop()


def file_of(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


async def upload(archive: OrthancServer, datasets: list[Dataset]) -> None:
    for dataset in datasets:
        await asyncio.to_thread(archive.upload, file_of(dataset))


def fresh_meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def ours(study: SyntheticStudy, modality: str, sop_class_uid: str, number: int) -> Dataset:
    """Something that the exporter would leave in the study."""
    made = deepcopy(study.structure_set) if modality == "RTSTRUCT" else Dataset()
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime", "StudyID"):
        setattr(made, keyword, getattr(study.structure_set, keyword))
    made.file_meta = fresh_meta()
    made.SOPClassUID, made.Modality = sop_class_uid, modality
    made.SOPInstanceUID, made.SeriesInstanceUID = f"2.25.{number}", f"2.25.{number}00"
    made.Manufacturer = made.ManufacturerModelName = "Radiarch"
    return made


RT_ION_PLAN, RT_DOSE, RT_STRUCTURE_SET = (f"1.2.840.10008.5.1.4.1.1.481.{n}" for n in (8, 2, 3))


async def test_a_study_is_planned_once_and_what_we_export_plans_nothing(
    watched: Watched, archive: OrthancServer
) -> None:
    """Fails when a plan, a dose or a structure set of ours, or images sent again, make a second plan."""
    rule_id = await watched.sign()
    study = SyntheticStudy()
    await upload(archive, [*study.ct, study.structure_set])
    decision = await watched.decided("planned")
    (plan,) = await watched.plans()
    assert decision["plan_id"] == plan["id"]
    assert (decision["study_instance_uid"], decision["rule_version"]) == (STUDY_UID, 1)
    shown = (await watched.http.get(f"/plans/{plan['id']}")).json()
    assert (shown["segmentation_uid"], shown["pacs"]) == (STRUCTURE_SET_UID, "main")

    kinds = (("RTPLAN", RT_ION_PLAN), ("RTDOSE", RT_DOSE), ("RTSTRUCT", RT_STRUCTURE_SET))
    await upload(archive, [ours(study, kind, uid, n) for n, (kind, uid) in enumerate(kinds, start=7)])
    await upload(archive, [study.ct[0]])
    await watched.read_to_the_end()
    assert len(await watched.plans()) == len(await watched.decisions()) == 1

    changed = RULE | {"title": "Again, with more", "request": RULE["request"] | {"dose_grid_mm": 3.0}}
    assert (await watched.http.post(f"/rules/{rule_id}/versions", json=changed)).status_code == 201
    assert (await watched.http.post(f"/rules/{rule_id}/versions/2/sign")).status_code == 200
    await upload(archive, [ours(study, "RTDOSE", RT_DOSE, 11)])
    await watched.read_to_the_end()
    assert len(await watched.plans()) == 1, "a new version of the rule planned the study again"


async def test_an_incomplete_study_waits_says_why_and_is_planned_once_it_is_whole(
    watched: Watched, archive: OrthancServer
) -> None:
    """Fails when a plan is made on half of the CT, or when the other half does not wake it."""
    await watched.sign()
    study = SyntheticStudy()
    await upload(archive, study.ct[:5])
    assert (await watched.decided("waiting"))["why"] == ["The study has no RTSTRUCT (yet)."]
    await upload(archive, [study.structure_set])
    found = await until(watched.decisions, lambda all_of: len(all_of) == 2)
    assert found[0]["why"] == ["7 of 12 CT slices that were drawn on are not there (yet)."]
    await upload(archive, study.ct[5:])
    await watched.decided("planned")
    assert len(await watched.plans()) == 1


async def test_orthanc_killed_before_the_study_is_stable(watched: Watched, archive: OrthancServer) -> None:
    """Orthanc then never tells that the study is stable; there is no hook here at all."""
    await watched.sign()
    study = SyntheticStudy()
    await upload(archive, [*study.ct, study.structure_set])
    archive.kill()
    await until(watched.watch, lambda watch: watch["failures"] > 0)
    assert "Orthanc of PACS 'main'" in (await watched.watch())["last_error"]
    archive.start()
    await watched.decided("planned")
    await watched.read_to_the_end()
    assert len(await watched.plans()) == 1
    assert (await watched.watch())["last_error"] is None


async def test_gateway_down_during_the_upload(watched: Watched, archive: OrthancServer) -> None:
    """The cursor is in the database: what came while nobody looked is found afterwards."""
    await watched.sign()
    await watched.read_to_the_end()
    await watched.stop()
    study = SyntheticStudy()
    await upload(archive, [*study.ct, study.structure_set])
    await watched.start()
    await watched.decided("planned")
    await watched.read_to_the_end()
    assert len(await watched.plans()) == 1


async def test_another_archive_is_read_from_its_start_and_two_gateways_plan_once(
    watched: Watched, archive: OrthancServer, settings: Settings
) -> None:
    """Fails when a cursor beyond the end is waited for, and when two gateways plan what they both see."""
    await watched.sign()
    await watched.read_to_the_end()
    await watched.stop()
    database = Database(settings.database_url)
    with database.writing() as session:
        session.get_one(WatchRow, "main").cursor = 10**9
    database.close()
    study = SyntheticStudy()
    await upload(archive, [*study.ct, study.structure_set])
    await watched.start()
    other = Watched(settings)
    await other.start()
    try:
        await watched.decided("planned")
        await watched.read_to_the_end()
        assert len(await watched.plans()) == len(await watched.decisions()) == 1
        assert (await watched.watch())["cursor"] < 10**9
    finally:
        await other.stop()


async def test_what_came_before_the_signature_and_what_is_ambiguous_is_not_planned(
    watched: Watched, archive: OrthancServer, settings: Settings
) -> None:
    """Fails when a new rule plans an archive's past, or takes one of two structure sets by chance."""
    rule_id = await watched.sign()
    study = SyntheticStudy()
    again = deepcopy(study.structure_set)
    again.SOPInstanceUID, again.file_meta = f"{STRUCTURE_SET_UID}.2", fresh_meta()
    await upload(archive, [*study.ct, study.structure_set, again])
    assert "2 structure sets match" in (await watched.decided("refused"))["why"][0]
    database = Database(settings.database_url)
    with database.writing() as session:
        (signature,) = session.exec(select(RuleSignatureRow).where(RuleSignatureRow.rule_id == rule_id)).all()
        signature.signed_at += timedelta(hours=1)
    database.close()
    await upload(archive, [ours(study, "RTDOSE", RT_DOSE, 11)])
    found = await until(watched.decisions, lambda all_of: len(all_of) == 2)
    assert "before the rule was signed" in found[0]["why"][0]
    assert not await watched.plans()
