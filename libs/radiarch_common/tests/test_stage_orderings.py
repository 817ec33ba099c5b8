"""The stage runtime when things happen in the worst order: on a real broker, with real processes."""

import asyncio
import signal

import pytest
from radiarch_common.cancel import send_cancel
from radiarch_common.claims import ClaimEntry
from radiarch_common.messages import Artifact, Cancelled, ExportResult, Failed, Finished, PlanCase, utc_now
from radiarch_common.topology import CANCEL, CLAIMS
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.jobs import import_job
from radiarch_testkit.line import Line

OWN = "jobs.import.job00001"
NEXT = "jobs.plan.job00001"


async def claim(line: Line, stage: str = "importer", **entry: object) -> None:
    """The claim as earlier attempts have left it."""
    data = ClaimEntry.model_validate({"run": 1, **entry}).model_dump_json().encode()
    await (await line.bus.bucket(CLAIMS)).put(f"{stage}.job00001", data)


async def test_the_last_word_of_a_fenced_worker_does_not_swallow_its_successors(line: Line) -> None:
    """Fails if two attempts close a job under one message id, and the job then runs for ever.

    The second word would be dropped as a duplicate, and the first, of an older attempt, counts for nothing.
    """
    line.toy("refuse-after never")
    frozen = line.worker()
    await line.send(import_job())
    await line.until_kind("started")
    line.toy("refuse-after now")
    frozen.send_signal(signal.SIGSTOP)
    line.worker()
    await line.until_kind("started", 2)
    (line.folder / "never").touch()
    frozen.send_signal(signal.SIGCONT)
    await asyncio.sleep(3)
    (line.folder / "now").touch()
    await line.until_gone(OWN)
    assert [e.attempt for e in await line.events() if isinstance(e, Failed)] == [2]


@pytest.mark.parametrize("line", [10.0], indirect=True)
async def test_a_broker_that_goes_while_a_job_is_given_back_counts_as_no_crash(
    line: Line, nats_server: EmbeddedNats
) -> None:
    await claim(line, starts=4, ends=0)
    line.toy("wait-after now")
    worker = line.worker()
    await line.send(import_job())
    await line.until_kind("started")
    nats_server.stop(signal.SIGKILL)
    (line.folder / "now").touch()
    await asyncio.sleep(7)  # longer than a publish waits for its answer
    nats_server.start()
    await line.until_kind("waiting")
    line.toy("step 0")
    events = await line.until_kind("finished")
    assert not [e for e in events if isinstance(e, Failed)]
    assert worker.poll() is None


async def test_the_job_that_an_unreadable_message_names_fails(line: Line) -> None:
    line.worker()
    await line.bus.js.publish("jobs.import.broken01", b'{"run": 2, "patient": "Doe^Jane"}', stream="JOBS")
    failed = (await line.until_kind("failed"))[-1]
    assert isinstance(failed, Failed)
    assert (failed.job_id, failed.run, failed.refused) == ("broken01", 2, False)
    await line.until_gone("jobs.import.broken01")
    assert "Doe" not in (line.folder / "worker.log").read_text()


async def test_a_job_that_waits_in_the_queue_is_cancelled_at_once(line: Line) -> None:
    """No worker is there to hear it. Fails if a cancelled job waits for its turn, or its next try, to be over."""
    await claim(line, starts=3, ends=3, waits=3)
    await line.send(import_job())
    await send_cancel(line.bus, "job00001")
    await send_cancel(line.bus, "job00001")
    events = await line.events()
    assert [(e.kind, e.attempt) for e in events] == [("cancelled", 3)]
    assert isinstance(events[0], Cancelled)
    await (await line.bus.bucket(CANCEL)).purge("job00001")
    line.toy("step 0")
    line.worker()
    await line.until_gone(OWN)
    assert line.starts() == []


async def test_cancel_leaves_a_running_job_to_its_worker(line: Line) -> None:
    line.toy("step 60")
    line.worker()
    await line.send(import_job())
    await line.until_kind("started")
    await send_cancel(line.bus, "job00001")
    await line.until_gone(OWN)
    events = await line.events()
    assert [e.kind for e in events if e.kind != "progress"] == ["started", "cancelled"]


async def test_work_that_does_not_hear_does_not_keep_its_worker(line: Line) -> None:
    """Fails if a thread that never ends blocks the only slot of a worker that says it is alive."""
    line.toy("refuse-after never")
    worker = line.worker(RADIARCH_STOP_WITHIN_S="1")
    await line.send(import_job())
    await line.until_kind("started")
    await send_cancel(line.bus, "job00001")
    assert await asyncio.to_thread(worker.wait, 30) == 70
    await line.until_gone(OWN)


async def test_work_that_runs_beyond_its_deadline_fails(line: Line) -> None:
    line.toy("step 60")
    line.worker()
    await line.send(import_job(lives_s=12.0))
    await line.until_kind("started")
    failed = (await line.until_kind("failed"))[-1]
    assert isinstance(failed, Failed)
    assert "deadline" in failed.reason
    await line.until_gone(OWN)


async def test_what_was_handed_over_stands(line: Line) -> None:
    """A worker died after it published the next job. Fails if a second attempt can end the job otherwise.

    The job would be failed, and its plan in the PACS all the same.
    """
    job = import_job()
    await claim(line, starts=1)
    await line.bus.send_job("planner", PlanCase.of(job, case_key="cases/1"))
    line.toy("refuse")
    line.worker()
    await line.send(job)
    events = await line.until_kind("finished")
    assert [e.kind for e in events] == ["finished"]
    await line.until_gone(OWN)
    assert line.starts() == []
    assert await line.pending_jobs() == {NEXT: 1}


async def test_a_success_that_was_told_stands(line: Line) -> None:
    """The last stage died after its closing event. Fails if the work is done again, or its artifacts are lost."""
    picture = Artifact(name="a.png", kind="PICTURE", media_type="image/png", key="a.png", sha256="0" * 64, size_bytes=1)
    job = import_job()
    told = Finished(job_id=job.job_id, run=1, stage="exporter", attempt=1, at=utc_now(), artifacts=(picture,))
    await claim(line, "exporter", starts=1)
    await line.bus.send_event(told, "told")
    await line.bus.send_job("exporter", ExportResult.of(job, case_key="cases/1", result_key="results/1"))
    line.worker(TOY_LAST="1")
    await line.until_gone("jobs.export.job00001")
    assert line.starts() == []
    assert [e.artifacts for e in await line.events() if isinstance(e, Finished)] == [(picture,)] * 2


async def test_a_worker_whose_queue_has_gone_ends(line: Line) -> None:
    """Fails if it asks thousands of times a second for a consumer that is not there, and says nothing."""
    line.toy("step 0")
    worker = line.worker()
    await line.send(import_job())
    await line.until_kind("finished")
    await line.bus.js.delete_consumer("JOBS", "importer")
    assert await asyncio.to_thread(worker.wait, 50) == 70


async def test_however_often_a_job_has_waited_it_waits_on(line: Line) -> None:
    await claim(line, starts=2000, ends=2000, waits=1999)
    line.toy("wait")
    line.worker()
    await line.send(import_job())
    await line.until_kind("waiting")


async def test_a_worker_without_a_pulse_ends(line: Line) -> None:
    """Fails if the thread of the heartbeat can die unnoticed: every job would be worked on twice."""
    program = line.folder / "program.py"
    program.write_text(
        "import time\n"
        "from radiarch_common.pulse import Pulse\n"
        "from radiarch_common.settings import Settings\n"
        "Pulse('importer', Settings(), lambda: 1 / 0).start()\n"
        "time.sleep(60)\n"
    )
    worker = Line(line.bus, line.settings, line.folder, program).worker()
    assert await asyncio.to_thread(worker.wait, 50) == 70
