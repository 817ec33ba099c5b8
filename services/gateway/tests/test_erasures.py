"""Erasing: what goes, what stays, and that it ends whatever happens in between. Stages are played by the tests."""

import asyncio
import inspect
import json
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.cache_keys import key_of, mark_of
from radiarch_common.catalogue import Catalogue
from radiarch_common.claims import Claims
from radiarch_common.delivery import end
from radiarch_common.messages import ImportStudy, utc_now
from radiarch_common.objects import FolderStore
from radiarch_common.settings import FolderPacsSettings, Settings, WebPacsSettings
from radiarch_common.topology import CLAIMS, EVENTS, JOBS, job_subject
from radiarch_gateway.admin.commands import app as admin
from radiarch_gateway.app import create_app
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.db import Database
from radiarch_gateway.erasures import eraser
from radiarch_gateway.erasures.eraser import Eraser
from radiarch_gateway.erasures.models import ErasureRequest, ErasureRow
from radiarch_gateway.erasures.store import ask as erasures_ask
from radiarch_gateway.jobs.models import JobRow, TombstoneRow
from radiarch_gateway.mailbox import OutboxRow
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.plans.request import PlanRequest
from radiarch_gateway.plans.store import Order, take
from radiarch_gateway.workflows.resolve import resolve
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from sqlmodel import select
from typer.testing import CliRunner

V1 = "/api/v1"
STUDY = "1.2.3.4.987654321987654321"
OTHER_STUDY = "1.2.3.4.123456789123456789"
Ask = Callable[..., Awaitable[str]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A worker that does not stop is waited for for seconds."""
    return settings.model_copy(update={"ack_wait_s": 1.0, "stop_within_s": 1.0})


@pytest.fixture
def ask(http: httpx.AsyncClient, body: dict[str, Any]) -> Ask:
    """Asks for a plan on a study; its id."""

    async def plan(study: str = STUDY) -> str:
        answer = await http.post(f"{V1}/plans", json=body | {"study_instance_uid": study})
        return str(answer.raise_for_status().json()["id"])

    return plan


async def erase(http: httpx.AsyncClient, **what: object) -> dict[str, Any]:
    """Ask for an erasure, and wait until it is done."""
    taken = await http.post(f"{V1}/erasures", json=what)
    assert taken.status_code == 202, taken.text
    done = await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["state"] == "done")
    return dict(done.json())


def put_case(objects: FolderStore, name: str, study: str, patient_id: str) -> str:
    """A case as far as an erasure looks at it, with engine work and the note of its importer; its key."""
    sha256 = name * 64
    head = {"study_instance_uid": study, "header": {"00100020": {"vr": "LO", "Value": [patient_id]}}}
    objects.put(f"cases/{sha256}/ct.nrrd", b"voxels")
    objects.put(f"cases/{sha256}/case.json", json.dumps(head).encode())
    objects.put(f"case-index/{name}.json", json.dumps({"case_key": f"cases/{sha256}"}).encode())
    objects.put(mark_of(sha256, sha256), b"")
    objects.put(key_of(sha256), b"dose")
    return f"cases/{sha256}"


async def finish(hand: StageHand, http: httpx.AsyncClient, objects: FolderStore, job_id: str, case: str) -> None:
    """Play a job to its end, and take its message from the queue."""
    result = f"results/{job_id}/1-1-1"
    objects.put(f"{result}/result.json", b"{}")
    objects.put(f"artifacts/{job_id}/1/dvh.csv", b"dvh")
    await hand.say(job_id, "importer", "finished", outputs={"case_key": case})
    await hand.say(job_id, "planner", "finished", outputs={"case_key": case, "result_key": result})
    await hand.say(job_id, "exporter", "finished")
    await until(lambda: http.get(f"{V1}/jobs/{job_id}"), lambda answer: answer.json()["state"] == "succeeded")


def holding(folder: Path, *planted: bytes) -> list[str]:
    """Files below a folder in which one of these stands."""
    return [str(p) for p in folder.rglob("*") if p.is_file() and any(word in p.read_bytes() for word in planted)]


async def test_a_plan_goes_whole_and_a_tombstone_stays(
    http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand, objects: FolderStore, tmp_path: Path
) -> None:
    """Fails when a file, a row, a message or a byte of the study's UID is left, or the tombstone is missing."""
    job_id = await ask()
    await until(lambda: stage_hand.bus.waiting_job("importer", job_id), lambda message: message)
    await finish(stage_hand, http, objects, job_id, put_case(objects, "a", STUDY, "planted"))
    await stage_hand.bus.send_dead_letter("exporter", job_id, STUDY.encode(), "letter")
    assert holding(tmp_path / "nats", STUDY.encode())
    assert (await erase(http, plan_id=job_id))["plan_ids"] == [job_id]

    assert not list(objects.keys(""))
    assert (await http.get(f"{V1}/plans/{job_id}")).status_code == 404
    assert (await http.get(f"{V1}/jobs/{job_id}")).status_code == 404
    info = await stage_hand.bus.js.stream_info(EVENTS, subjects_filter=f"events.{job_id}.>")
    assert info.state.subjects == {f"events.{job_id}.gateway.erased": 1}
    assert not holding(tmp_path, STUDY.encode())


async def test_a_case_goes_with_the_last_plan_that_refers_to_it(
    http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand, objects: FolderStore
) -> None:
    """Fails when a case that another plan uses goes, or stays after that; a plan that has named none may use any."""
    case = put_case(objects, "a", STUDY, "x")
    first, second, third = [await ask() for _ in range(3)]
    for job_id in (first, second):
        await finish(stage_hand, http, objects, job_id, case)
    for job_id, kept in ((first, 1), (second, 1), (third, 0)):
        assert (await erase(http, plan_id=job_id))["cases_kept"] == kept
        assert objects.exists(f"{case}/case.json") == objects.exists(key_of("a" * 64)) == bool(kept)


async def test_a_patient_goes_from_one_clinic(
    app: FastAPI, http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand, objects: FolderStore
) -> None:
    """Fails when another patient's or another clinic's plan goes, or a plan of the patient's other study stays."""
    cases = [
        put_case(objects, "a", STUDY, "planted"),
        put_case(objects, "b", OTHER_STUDY, "planted "),
        put_case(objects, "c", "1.9", "somebody else"),
    ]
    jobs = [await ask(study) for study in (STUDY, OTHER_STUDY, "1.9", STUDY)]
    for job_id, case in zip(jobs, [*cases, cases[0]], strict=True):
        await finish(stage_hand, http, objects, job_id, case)
    with app.state.gateway.database.writing() as session:
        session.add(ClinicRow(id="elsewhere", name="Elsewhere", created_at=utc_now()))
        session.flush()
        session.get_one(PlanRow, jobs[3]).clinic_id = "elsewhere"
    done = await erase(http, patient_id="planted")
    assert (sorted(done["plan_ids"]), done["cases_kept"]) == (sorted(jobs[:2]), 1)
    assert [objects.exists(f"{case}/case.json") for case in cases] == [True, False, True]
    assert (await http.get(f"{V1}/plans/{jobs[2]}")).status_code == 200
    assert "planted" not in json.dumps(done)
    with app.state.gateway.database.reading() as session:
        assert session.get(JobRow, jobs[3]) is not None
        assert session.get_one(ErasureRow, done["id"]).subject is None


async def test_it_waits_for_the_work_to_end(http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand) -> None:
    """Fails when a job that a worker still has is erased under its hands although it will stop."""
    job_id = await ask()
    message = await _claimed(stage_hand, job_id)
    taken = await http.post(f"{V1}/erasures", json={"study_instance_uid": STUDY})
    await until(lambda: stage_hand.bus.is_cancelled(job_id), lambda cancelled: cancelled)
    await stage_hand.say(job_id, "importer", "cancelled")
    await until(lambda: http.get(f"{V1}/jobs/{job_id}"), lambda answer: answer.json()["state"] == "cancelled")
    await asyncio.sleep(0.5)  # more than one look: the job says that it is cancelled, and is not done yet
    assert (await http.get(taken.headers["Location"])).json()["state"] == "requested"
    await Claims(await stage_hand.bus.bucket(CLAIMS)).fence("importer", job_id, 1)
    await end(stage_hand.bus, message)
    await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["state"] == "done")


async def test_a_dead_worker_is_not_waited_for_for_ever(
    http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand
) -> None:
    """Fails when a job whose worker died is never erased, or may still be begun or committed afterwards."""
    job_id = await ask()
    await _claimed(stage_hand, job_id)
    await erase(http, plan_id=job_id)
    assert await stage_hand.bus.waiting_job("importer", job_id) is None


async def _claimed(hand: StageHand, job_id: str) -> Any:  # noqa: ANN401 - nats-py's message
    """Take a job as a worker does."""
    subscription = await hand.bus.js.pull_subscribe_bind(consumer="importer", stream=JOBS)
    (message,) = await subscription.fetch(1, timeout=HANG_S)
    assert message.subject == job_subject("importer", job_id)
    job = ImportStudy.model_validate_json(message.data)
    await Claims(await hand.bus.bucket(CLAIMS)).take("importer", job)
    return message


async def test_what_was_begun_is_finished_by_the_next_gateway(
    settings: Settings, app: FastAPI, stage_hand: StageHand, objects: FolderStore
) -> None:
    """An erasure whose gateway died after the rows had gone; fails when files of then are not looked for any more."""
    app.state.gateway.database.migrate()
    with app.state.gateway.database.writing() as session:
        now = utc_now()
        session.add(
            ErasureRow(
                id="begun",
                clinic_id="main",
                asked_by="x",
                created_at=now,
                what="plan",
                subject="0123456789",
                plan_ids=["0123456789"],
                case_keys=[put_case(objects, "a", STUDY, "x")],
            )
        )
    objects.put("results/0123456789/1-1-1/dose_gy.nrrd", b"dose")
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await until(lambda: client.get(f"{V1}/erasures/begun"), lambda answer: answer.json()["state"] == "done")
    assert not list(objects.keys(""))
    assert await stage_hand.bus.last_event("gateway", "0123456789", "erased") is not None


async def test_what_cannot_be_done_is_refused(settings: Settings, stage_hand: StageHand) -> None:
    """None or two subjects, a plan that is not there, and a PACS that cannot remove anything."""
    web = {"main": WebPacsSettings(url="http://127.0.0.1:9/dicom-web"), "f": FolderPacsSettings(folder=Path("/tmp"))}
    del stage_hand
    with served(create_app(settings.model_copy(update={"pacs": web}))) as url:
        async with httpx.AsyncClient(base_url=f"{url}{V1}", timeout=HANG_S) as client:
            for what, status in (
                ({}, 422),
                ({"plan_id": "a", "patient_id": "b"}, 422),
                ({"patient_id": " "}, 422),
                ({"patient_id": "x", "pacs": True}, 422),
                ({"plan_id": "nothing"}, 404),
            ):
                answer = await client.post("/erasures", json=what)
                assert answer.status_code == status, what
            assert (await client.get("/erasures/nothing")).status_code == 404


def test_the_command_asks_for_an_erasure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a gateway that does it, the command says so; fails when it asks for another, or names the patient."""
    database = Database(settings.database_url)
    database.migrate()
    monkeypatch.setenv("RADIARCH_DATABASE_URL", settings.database_url)
    said = CliRunner().invoke(admin, ["erase", "--patient", "--wait", "0"], input="planted\n")
    assert said.exit_code == 1, said.output
    assert "Not done yet" in said.output
    with database.reading() as session:
        row = session.exec(select(ErasureRow)).one()
    assert (row.what, row.subject, row.state, row.pacs) == ("patient", "planted", "requested", False)
    assert CliRunner().invoke(admin, ["erase"]).exit_code == 2
    assert CliRunner().invoke(admin, ["erase", "--plan", "nothing"]).exit_code == 1
    database.close()


async def test_a_case_that_is_stored_while_its_job_is_stopped_goes_too(
    http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand, objects: FolderStore
) -> None:
    """An importer that was at its last file when it was told to stop; fails when what it left then stays for ever."""
    job_id = await ask()
    message = await _claimed(stage_hand, job_id)
    taken = await http.post(f"{V1}/erasures", json={"study_instance_uid": STUDY})
    await until(lambda: stage_hand.bus.is_cancelled(job_id), lambda cancelled: cancelled)
    put_case(objects, "a", STUDY, "planted")
    await stage_hand.say(job_id, "importer", "cancelled")
    await Claims(await stage_hand.bus.bucket(CLAIMS)).fence("importer", job_id, 1)
    await end(stage_hand.bus, message)
    await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["state"] == "done")
    assert not list(objects.keys(""))


async def test_what_is_said_of_an_erased_job_later_is_erased_too(
    http: httpx.AsyncClient, ask: Ask, stage_hand: StageHand, objects: FolderStore, tmp_path: Path
) -> None:
    """The word of a worker that hung, the message of a gateway that slept; fails when a byte stays, or work begins."""
    job_id = await ask()
    job = await until(lambda: stage_hand.bus.waiting_job("importer", job_id), lambda message: message)
    await finish(stage_hand, http, objects, job_id, put_case(objects, "a", STUDY, "planted"))
    await erase(http, plan_id=job_id)
    await stage_hand.say(job_id, "planner", "retrying", run=2, reason=f"ValueError: {STUDY}", retry_in_s=1)
    await until(lambda: asyncio.to_thread(holding, tmp_path, STUDY.encode()), lambda found: not found)
    assert await stage_hand.bus.last_event("gateway", job_id, "erased") is not None
    assert job is not None
    assert await stage_hand.bus.is_cancelled(job_id)  # whoever is handed it still, ends it


async def test_a_job_is_not_tried_again_while_it_is_erased(
    http: httpx.AsyncClient, app: FastAPI, ask: Ask, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a run begins between the stop of the old one and the end of the erasure."""
    begun, go = threading.Event(), threading.Event()

    def slowly(*_: object) -> None:
        begun.set()
        go.wait(HANG_S)

    job_id = await ask()
    await stage_hand.say(job_id, "importer", "failed", refused=False, reason="x")
    await until(lambda: http.get(f"{V1}/jobs/{job_id}"), lambda answer: answer.json()["state"] == "failed")
    monkeypatch.setattr(Eraser, "_erase_from_pacs", slowly)
    taken = await http.post(f"{V1}/erasures", json={"study_instance_uid": STUDY, "pacs": True})
    try:
        await until(lambda: asyncio.to_thread(begun.wait, 1), bool)
        assert (await http.post(f"{V1}/jobs/{job_id}/retry")).status_code == 409
    finally:
        go.set()
    await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["state"] == "done")
    assert app.state.gateway.dead == []


async def test_a_case_that_cannot_be_read_is_told(
    http: httpx.AsyncClient, app: FastAPI, ask: Ask, objects: FolderStore
) -> None:
    """Nobody knows whose it is; fails when the erasure is done all the same, or the housekeeper dies of it."""
    objects.put("cases/x/case.json", b"{")
    objects.put("case-index/x.json", b"{")
    await ask()
    taken = await http.post(f"{V1}/erasures", json={"study_instance_uid": STUDY})
    found = await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["waiting_for"])
    assert "cases/x/case.json" in found.json()["waiting_for"]
    objects.delete("cases/x/case.json")
    await until(lambda: http.get(taken.headers["Location"]), lambda answer: answer.json()["state"] == "done")
    assert app.state.gateway.dead == []


class KilledError(Exception):
    """The gateway died here."""


async def test_it_may_die_between_every_two_steps(
    app: FastAPI,
    body: dict[str, Any],
    catalogue: Catalogue,
    stage_hand: StageHand,
    objects: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed after each of its steps in turn, and taken up again; what another plan uses is counted still.

    Fails when a byte stays, a tombstone is missing, or what is answered differs from an erasure in one go.
    """
    gateway = app.state.gateway
    gateway.database.migrate()
    steps = ("_found", "_stop", "_look_again", "_erase_from_pacs", "_erase_files", "_erase_rows", "_forget", "_done")
    kept = put_case(objects, "b", OTHER_STUDY, "x")
    order = partial(_order, PlanRequest.model_validate(body), resolve, catalogue, gateway.settings)
    other = take(gateway.database, order(OTHER_STUDY), gateway.settings).id
    keep = asyncio.create_task(gateway.link.keep())
    await gateway.link.bus()
    for step in (*steps, "erase_messages", "scrub"):
        gone = put_case(objects, "a", STUDY, "x")
        job_id = take(gateway.database, order(STUDY), gateway.settings).id
        with gateway.database.writing() as session:
            for one in session.exec(select(OutboxRow).where(OutboxRow.job_id == job_id)).all():
                session.delete(one)
            job = session.get_one(JobRow, job_id)
            job.state, job.case_key, job.ahead, job.folded = "failed", gone, [], None
            request = {"study_instance_uid": STUDY, "pacs": True}
            row = erasures_ask(session, "main", "x", ErasureRequest.model_validate(request))
            row.case_keys, row.plan_ids = [gone, kept], [job_id]
        await stage_hand.say(job_id, "importer", "failed", refused=False, reason=STUDY)
        with monkeypatch.context() as patch:
            _die_after(patch, step)
            with pytest.raises(KilledError):
                await gateway.housekeeper.eraser.erase_all()
        await gateway.housekeeper.eraser.erase_all()
        with gateway.database.reading() as session:
            done = session.get_one(ErasureRow, row.id)
            assert (done.state, done.cases_kept, done.plan_ids) == ("done", 1, [job_id]), step
            assert session.get(TombstoneRow, job_id) is not None
        assert await stage_hand.bus.last_event("gateway", job_id, "erased") is not None
        assert not holding(tmp_path, STUDY.encode()), step
    keep.cancel()
    assert objects.exists(f"{kept}/case.json")
    with gateway.database.reading() as session:
        assert session.get(JobRow, other) is not None
    gateway.database.close()


def _order(request: PlanRequest, resolved: Any, catalogue: Catalogue, settings: Settings, study: str) -> Order:  # noqa: ANN401
    asked = request.model_copy(update={"study_instance_uid": study})
    return Order(asked, resolved(asked, catalogue, settings), "main", "main", "x", None)


def _die_after(patch: pytest.MonkeyPatch, step: str) -> None:
    """Have the process end after one step of the eraser, as far as anybody can tell."""
    place: Any = {"erase_messages": eraser, "scrub": Database}.get(step, Eraser)
    real = getattr(place, step)

    def killed(*args: Any) -> None:  # noqa: ANN401
        real(*args)
        raise KilledError(step)

    async def killed_later(*args: Any) -> None:  # noqa: ANN401
        await real(*args)
        raise KilledError(step)

    patch.setattr(place, step, killed_later if inspect.iscoroutinefunction(real) else killed)
