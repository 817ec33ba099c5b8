"""What the stage runtime promises, on a real broker with real processes that are really killed."""

import asyncio
import signal

import pytest
from radiarch_common.messages import DeadLetter, Event, Failed, Waiting
from radiarch_common.topology import CANCEL, cancel_subject
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.jobs import import_job
from radiarch_testkit.line import Line

NEXT = "jobs.plan.job00001"
OWN = "jobs.import.job00001"


def kinds(events: list[Event]) -> list[str]:
    return [e.kind for e in events if e.kind != "progress"]


async def cancel(line: Line, job_id: str) -> None:
    await (await line.bus.bucket(CANCEL)).put(job_id, b"")
    await line.bus.client.publish(cancel_subject(job_id))


async def test_a_job_goes_to_the_next_stage_once_and_leaves_the_queue(line: Line) -> None:
    line.toy("step 1.5")
    line.worker()
    await line.send(import_job())
    await line.send(import_job())
    events = await line.until_kind("finished")
    assert kinds(events) == ["started", "finished"]
    progress = [e for e in events if e.kind == "progress"]
    assert 1 <= len(progress) <= 3, "progress is published, at most once a second"
    await line.until_gone(OWN)
    assert await line.pending_jobs() == {NEXT: 1}


async def test_a_busy_job_keeps_its_claim_far_beyond_ack_wait(line: Line) -> None:
    """Fails if the heartbeat shares the job's thread or loop: the broker would deliver again after 5 s."""
    line.toy("busy 13")
    line.worker()
    line.worker()
    await line.send(import_job())
    events = await line.until_kind("finished")
    assert kinds(events) == ["started", "finished"]
    assert len(line.starts()) == 1


async def test_kill_9_in_the_middle_loses_nothing_and_doubles_nothing(line: Line) -> None:
    line.toy("step 60")
    first = line.worker()
    await line.send(import_job())
    await line.until_kind("progress")
    first.kill()
    line.toy("step 0.1")
    line.worker()
    events = await line.until_kind("finished")
    assert [e.attempt for e in events if e.kind == "started"] == [1, 2]
    await line.until_gone(OWN)
    assert await line.pending_jobs() == {NEXT: 1}


async def test_sigterm_gives_the_job_back_at_once_and_counts_nothing(line: Line) -> None:
    line.toy("step 60")
    workers = [line.worker()]
    await line.send(import_job())
    for turn in range(1, 8):  # more often than a job may fail
        await line.until_kind("started", turn)
        workers[-1].send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(workers[-1].wait, 20) == 0
        workers.append(line.worker())
    await line.until_kind("started", 8)
    line.toy("step 0.1")
    workers[-1].send_signal(signal.SIGTERM)
    line.worker()
    events = await line.until_kind("finished")
    assert set(kinds(events)) == {"started", "finished"}


async def test_a_frozen_worker_is_fenced_off_when_it_wakes(line: Line) -> None:
    """Fails if a worker that lost its job to another can still commit."""
    line.toy("busy 3")
    frozen = line.worker()
    await line.send(import_job())
    await line.until_kind("started")
    frozen.send_signal(signal.SIGSTOP)
    line.toy("step 0.1")
    line.worker()
    await line.until_kind("finished")
    frozen.send_signal(signal.SIGCONT)
    await asyncio.sleep(6)
    events = await line.events()
    assert [e.attempt for e in events if e.kind == "finished"] == [2]
    assert b"cases/2" in (await line.bus.js.get_last_msg("JOBS", NEXT)).data  # pyright: ignore[reportOperatorIssue]
    assert await line.pending_jobs() == {NEXT: 1}


async def test_a_neighbour_that_is_down_is_waited_for_however_long(line: Line) -> None:
    line.toy("wait")
    line.worker()
    await line.send(import_job())
    events = await line.until_kind("waiting", 8)
    assert {e.waiting_for for e in events if isinstance(e, Waiting)} == {"PACS 'main'"}
    line.toy("step 0")
    assert kinds(await line.until_kind("finished"))[-1] == "finished"
    assert not await line.pending_jobs("DLQ")


async def test_a_job_that_waits_past_its_deadline_fails_and_says_for_what(line: Line) -> None:
    """The worker is there first: a process that takes longer to start than a job lives has waited for nothing."""
    line.toy("step 0")
    line.worker()
    await line.send(import_job("job00002"))
    await line.until_kind("finished")
    line.toy("wait")
    await line.send(import_job(lives_s=6.0))
    failed = [e for e in await line.until_kind("failed") if isinstance(e, Failed)]
    assert "PACS 'main'" in failed[0].reason
    assert "deadline" in failed[0].reason
    await line.until_gone(OWN)


async def test_a_job_that_keeps_failing_is_given_up_with_its_reason(line: Line) -> None:
    line.toy("fail")
    line.worker()
    await line.send(import_job())
    events = await line.until_kind("failed")
    assert kinds(events) == ["started", "retrying"] * 5 + ["failed"]
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert not failed.refused
    assert "ValueError: voxels are upside down" in failed.reason
    letter = await line.bus.js.get_last_msg("DLQ", "dlq.importer.job00001")
    kept = DeadLetter.model_validate_json(letter.data or b"")
    assert "voxels are upside down" in kept.reason
    assert 'raise ValueError("voxels are upside down")' in kept.detail, "the traceback, for whoever mends it"
    await line.until_gone(OWN)


@pytest.mark.parametrize("line", [1.0], indirect=True)
async def test_a_job_that_kills_its_process_is_given_up_too(line: Line) -> None:
    line.toy("crash")
    await line.send(import_job())
    for turn in range(1, 6):
        worker = line.worker()
        await line.until_kind("started", turn)
        assert await asyncio.to_thread(worker.wait, 20) == 9
    line.worker()
    events = await line.until_kind("failed")
    assert kinds(events) == ["started"] * 5 + ["failed"]
    assert isinstance(events[-1], Failed)
    assert "ended its worker 5 times" in events[-1].reason


async def test_a_refusal_is_final_and_carries_what_to_do(line: Line) -> None:
    line.toy("refuse")
    line.worker()
    await line.send(import_job())
    failed = (await line.until_kind("failed"))[-1]
    assert isinstance(failed, Failed)
    assert (failed.refused, failed.reason, failed.hint) == (True, "The target is empty.", "Draw it.")
    await line.until_gone(OWN)
    assert len(line.starts()) == 1
    assert "The target is empty" not in (line.folder / "worker.log").read_text()  # it may name anything


async def test_cancel_stops_running_work(line: Line) -> None:
    line.toy("step 60")
    line.worker()
    await line.send(import_job())
    await line.until_kind("progress")
    await cancel(line, "job00001")
    assert kinds(await line.until_kind("cancelled")) == ["started", "cancelled"]
    await line.until_gone(OWN)
    assert await line.pending_jobs() == {}


async def test_a_job_cancelled_in_the_queue_never_starts(line: Line) -> None:
    line.toy("step 60")
    await line.send(import_job())
    await cancel(line, "job00001")
    line.worker()
    assert kinds(await line.until_kind("cancelled")) == ["cancelled"]
    assert line.starts() == []


async def test_a_message_that_is_no_job_is_kept_and_does_not_block_the_line(line: Line) -> None:
    line.toy("step 0")
    await line.bus.js.publish("jobs.import.broken01", b"\xff{not json", stream="JOBS")
    line.worker()
    await line.send(import_job())
    await line.until_kind("finished")
    assert await line.pending_jobs("DLQ") == {"dlq.importer.broken01": 1}
    await line.until_gone("jobs.import.broken01")


async def test_an_older_run_is_dropped_and_a_newer_one_worked_on(line: Line) -> None:
    line.toy("step 0")
    line.worker()
    await line.send(import_job(run=2))
    await line.until_kind("finished")
    await line.send(import_job(run=1))
    await line.until_gone(OWN)
    assert len(line.starts()) == 1
    await line.send(import_job(run=3))
    await line.until_kind("finished", 2)
    assert len(line.starts()) == 2


@pytest.mark.parametrize("line", [10.0], indirect=True)
async def test_a_broker_killed_in_the_middle_costs_nothing(line: Line, nats_server: EmbeddedNats) -> None:
    line.toy("step 4")
    worker = line.worker()
    await line.send(import_job())
    await line.until_kind("started")
    nats_server.stop(signal.SIGKILL)
    await asyncio.sleep(1)
    nats_server.start()
    events = await line.until_kind("finished")
    assert kinds(events) == ["started", "finished"]
    assert worker.poll() is None
