"""A patient with planted names goes the whole way, and is erased: no byte is left but in the PACS.

Gateway, importer and broker are the real ones, as processes on their files; planner and exporter are played, and
leave what such stages leave.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from radiarch_common.bus import Bus, connect
from radiarch_common.cache_keys import key_of, mark_of
from radiarch_common.claims import Claims
from radiarch_common.delivery import end
from radiarch_common.messages import ExportResult, JobMessage, PlanCase, StageName
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_common.topology import CLAIMS, JOBS, bootstrap
from radiarch_gateway.db import Database
from radiarch_gateway.jobs.rebuild import rebuild
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_standalone.ports import free_port
from radiarch_standalone.processes import ServiceProcess
from radiarch_testkit.gateway import HANG_S, StageHand, until
from radiarch_testkit.offer import plan_body, small_catalogue
from radiarch_testkit.synthetic_study import STRUCTURE_SET_UID, STUDY_UID, SyntheticStudy

pytestmark = pytest.mark.slow
PLANTED = {
    "PatientName": "Zwiebelkuchen^Quirinia",
    "PatientID": "PLANTED-ID-90210",
    "PatientBirthDate": "19010203",
    "PatientComments": "Lindwurm im Keller",
    "StudyDescription": "Planted Description Xylophon",
    "AccessionNumber": "ACC-PLANTED-77",
    "ReferringPhysicianName": "Wunderlich^Ottokar",
    "StudyID": "PLANTEDSTUDY",
}
TARGET = "PTV-Knoblauch"
WORDS = [*PLANTED.values(), TARGET, STUDY_UID, STRUCTURE_SET_UID]


@dataclass
class Place:
    """Broker, gateway and importer on one folder, and a hand on the bus."""

    folder: Path
    broker: EmbeddedNats
    services: tuple[ServiceProcess, ...]
    settings: Settings
    hand: StageHand
    url: str

    @property
    def pacs(self) -> Path:
        return self.folder / "pacs"

    def holding(self, words: list[str] = WORDS) -> set[tuple[str, str]]:
        """Files besides those of the PACS, and which word stands in them."""
        return {
            (str(path.relative_to(self.folder)), word)
            for path in self.folder.rglob("*")
            if path.is_file() and not path.is_relative_to(self.pacs)
            for word in words
            if word.encode() in path.read_bytes()
        }


@pytest.fixture
async def place(nats_server: EmbeddedNats, tmp_path: Path) -> AsyncIterator[Place]:
    """All under one folder; the clients of the test find the broker again when it was started anew."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("RADIARCH_")} | {
        "RADIARCH_NATS_URL": nats_server.url,
        "RADIARCH_DATABASE_URL": f"sqlite:///{tmp_path / 'radiarch.db'}",
        "RADIARCH_OBJECTS_FOLDER": str(tmp_path / "objects"),
        "RADIARCH_PACS": json.dumps({"main": {"kind": "folder", "folder": str(tmp_path / "pacs")}}),
        "RADIARCH_AUTHENTICATION": "none",
        "RADIARCH_ACK_WAIT_S": "5",
        "RADIARCH_HTTP_PORT": str(port),
    }
    settings = Settings(nats_url=nats_server.url, database_url=env["RADIARCH_DATABASE_URL"], ack_wait_s=5.0)
    client = await connect(settings, "test")
    await bootstrap(client, settings)
    hand = StageHand(Bus(client))
    await hand.offer(small_catalogue())
    services = tuple(
        ServiceProcess(f"radiarch_{name}", env, tmp_path / "logs" / f"{name}.log") for name in ("gateway", "importer")
    )
    for service in services:
        service.start()
    yield Place(tmp_path, nats_server, services, settings, hand, f"http://127.0.0.1:{port}")
    for service in services:
        service.stop()
    await client.close()


def write_study(folder: Path) -> None:
    study = SyntheticStudy()
    for dataset in (*study.ct, study.structure_set):
        for keyword, value in PLANTED.items():
            setattr(dataset, keyword, value)
    study.structure_set.StructureSetROISequence[1].ROIName = TARGET
    study.write(folder)


async def hand_over(
    place: Place, stage: StageName, taken: type[JobMessage], gives: StageName | None, **keys: str
) -> None:
    """Play the end of a stage: claim its job, commit, and end the message as the stage runtime does."""
    bus = place.hand.bus
    subscription = await bus.js.pull_subscribe_bind(consumer=stage, stream=JOBS)
    (message,) = await subscription.fetch(1, timeout=HANG_S)
    await subscription.unsubscribe()
    job = taken.model_validate_json(message.data)
    claims = Claims(await bus.bucket(CLAIMS))
    claim = await claims.take(stage, job)
    if gives is not None:
        await bus.send_job(gives, ExportResult.of(job, **keys))
    await claims.end(claim, done=True)
    await end(bus, message)


async def play_planner(place: Place, objects: FolderStore, job_id: str) -> None:
    """Engine work and a result; a progress and a dead letter that name the target."""
    waiting = await until(lambda: place.hand.bus.waiting_job("planner", job_id), bool)
    case_key = PlanCase.model_validate_json(waiting or b"").case_key
    digest = hashlib.sha256(b"work").hexdigest()
    objects.put(mark_of(case_key.rpartition("/")[2], digest), b"")
    objects.put(key_of(digest), b"dose")
    result_key = f"results/{job_id}/1-1-1"
    objects.put(f"{result_key}/result.json", json.dumps({"structures": [TARGET]}).encode())
    await place.hand.say(job_id, "planner", "started")
    await place.hand.say(job_id, "planner", "progress", progress=0.5, message=f"Spots of {TARGET}")
    await place.hand.bus.send_dead_letter("planner", job_id, TARGET.encode(), f"letter-{job_id}")
    keys = {"case_key": case_key, "result_key": result_key}
    await place.hand.say(job_id, "planner", "finished", outputs=keys)
    await hand_over(place, "planner", PlanCase, "exporter", **keys)


async def play_exporter(place: Place, objects: FolderStore, job_id: str) -> None:
    """A file that bears the patient's name."""
    data = " ".join(PLANTED.values()).encode()
    key = f"artifacts/{job_id}/1/report.csv"
    objects.put(key, data)
    artifact: dict[str, Any] = {"name": "report.csv", "kind": "REPORT", "media_type": "text/csv", "key": key}
    artifact |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    await place.hand.say(job_id, "exporter", "finished", artifacts=[artifact])
    await hand_over(place, "exporter", ExportResult, None)


async def up(place: Place, client: httpx.AsyncClient) -> None:
    """Returns when the gateway takes plans."""

    async def ready() -> bool:
        try:
            return bool((await client.get("/info")).json()["workflows"])
        except httpx.TransportError:
            return False

    await until(ready, bool)


async def test_a_patient_is_erased_to_the_last_byte(place: Place) -> None:
    """Fails when a name, an id or a UID is left in object store, database, bus or logs, or comes back by a rebuild.

    Also when a file of the PACS goes or the audit trail changes. Before the erasure the words must be found in each
    of these places, or the search would prove nothing.
    """
    objects = FolderStore(place.folder / "objects")
    write_study(place.pacs)
    before = {path: path.read_bytes() for path in place.pacs.rglob("*.dcm")}
    body: dict[str, Any] = plan_body() | {"study_instance_uid": STUDY_UID, "segmentation_uid": STRUCTURE_SET_UID}
    async with httpx.AsyncClient(base_url=f"{place.url}/api/v1", timeout=HANG_S) as client:
        await up(place, client)
        jobs: list[str] = []
        for target in (f"{TARGET}-nowhere", TARGET):
            asked = body | {"prescription": body["prescription"] | {"target": target}}
            headers = {"Idempotency-Key": f"{TARGET}-{len(jobs)}"}
            jobs.append((await client.post("/plans", json=asked, headers=headers)).raise_for_status().json()["id"])
        await until(lambda: client.get(f"/jobs/{jobs[0]}"), lambda answer: answer.json()["refused"])
        await play_planner(place, objects, jobs[1])
        await play_exporter(place, objects, jobs[1])
        await until(lambda: client.get(f"/jobs/{jobs[1]}"), lambda answer: answer.json()["state"] == "succeeded")
        listed = await client.get("/plans", params={"study_instance_uid": STUDY_UID})
        assert len(listed.json()["items"]) == 2
        found = place.holding()
        assert {word for _, word in found} == set(WORDS)
        places = {Path(name).parts[0].partition("-")[0] for name, _ in found}
        assert places == {"objects", "radiarch.db", "nats"}
        head = (await client.get("/audit/check")).json()
        acts = (await client.get("/audit", params={"study_instance_uid": STUDY_UID})).json()["items"]
        assert len(acts) >= 2

        taken = await client.post("/erasures", json={"patient_id": PLANTED["PatientID"], "pacs": True})
        assert taken.status_code == 202
        erasure = f"/erasures/{taken.json()['id']}"
        await until(lambda: client.get(erasure), lambda answer: answer.json()["state"] == "done")
        assert not place.holding()
        assert not list(objects.keys(""))
        assert {path: path.read_bytes() for path in place.pacs.rglob("*.dcm")} == before

        database = Database(place.settings.database_url)
        await asyncio.to_thread(rebuild, database, place.settings, replace=True)
        database.close()
        await nothing_is_left(place, client, jobs, head, acts)
        for service in place.services:
            await asyncio.to_thread(service.stop)
        place.broker.stop()
        assert not place.holding()
        place.broker.start()
        place.services[0].start()
        await up(place, client)
        await nothing_is_left(place, client, jobs, head, acts)


async def nothing_is_left(
    place: Place, client: httpx.AsyncClient, jobs: list[str], head: dict[str, Any], acts: list[dict[str, Any]]
) -> None:
    """No word, no plan; the audit trail goes on from the head that was noted, and tells the same of the study."""
    assert not place.holding()
    for job_id in jobs:
        assert (await client.get(f"/plans/{job_id}")).status_code == 404
    known = {"sequence": head["sequence"], "hash": head["hash"]}
    assert (await client.get("/audit/check", params=known)).json()["intact"]
    now = (await client.get("/audit", params={"study_instance_uid": STUDY_UID})).json()["items"]
    assert [act for act in now if act in acts] == acts
