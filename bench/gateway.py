"""The gateway under load: plans asked for at a steady rate, events counted into job state, viewers that follow a job.

    uv run python bench/gateway.py [--rate 200] [--seconds 30] [--events 5000] [--viewers 1000] [--databases sqlite]

A gateway process with a login, a real nats-server that syncs every write, SQLite or this machine's PostgreSQL (which
waits for the disk), and this process, which asks, all on ``--cores`` cores of this machine, on loopback only. No worker
takes the jobs.

plans
    Requests start when their time has come, whether earlier ones were answered or not, and a request's time runs from
    when it should have started: an answer that comes late delays no other request, and hides in no average. ``late``
    are those that this process itself started more than 10 ms after their time. ``queued`` is how long after the last
    answer the bus had stored every job.
events
    Published as fast as the bus stores them; the time until the database has all.
viewers
    Server-sent events of one job, a connection each; from before an event is published until a viewer has it.

``cpu_ms`` is what the gateway uses of a core for each request or event, ``cpu_here_ms`` what asking takes here.
Prints a table and, last, one JSON object.
"""

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway_up import HANG_S, Asker, Bench, cpu_s, memory_mb, running, spread

LATE_S = 0.010
WARM_UP_S = 3.0
IN_FLIGHT = 64
"""Events that are on their way to the bus at once."""
EVENTS_FOLLOWED = 20
PAUSE_S = 0.5
LOOK_S = 0.05
BODY = {
    "study_instance_uid": "1.2.826.0.1.3680043.8.498.1",
    "workflow": "proton-impt",
    "prescription": {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30},
    "machine": "generic-pbs",
    "ct_calibration": "ucl-toshiba",
}


@dataclass
class Seen:
    """What viewers have seen."""

    inside: int = 0
    said: dict[str, float] = field(default_factory=dict[str, float])
    took: list[float] = field(default_factory=list[float])

    def take(self, line: bytes, at: float) -> None:
        """One event of one viewer: the first one tells that it is inside."""
        message = str(json.loads(line[5:]).get("message", ""))
        if message == "seen 0":
            self.inside += 1
        elif message in self.said:
            self.took.append(at - self.said[message])


async def plans(bench: Bench, rate: float, seconds: float) -> dict[str, Any]:
    """``POST /plans`` at a steady rate."""
    took: list[float] = []
    failed: dict[str, int] = {}
    late = 0
    asker = Asker(bench, BODY)

    async def one(due: float, *, counts: bool) -> None:
        nonlocal late
        late += counts and time.perf_counter() - due > LATE_S
        try:
            status, body = await asker.ask()
        except (OSError, EOFError) as error:
            failed[type(error).__name__] = failed.get(type(error).__name__, 0) + 1
            return
        if status != 202:
            failed[str(status)] = failed.get(str(status), 0) + 1
            return
        if counts:
            took.append(time.perf_counter() - due)
        bench.jobs.append(json.loads(body)["id"])

    count = int(rate * (WARM_UP_S + seconds))
    used, used_here = cpu_s(bench.pid), time.process_time()
    begin = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due, counts=number >= rate * WARM_UP_S))
    asker.close()
    answered = time.perf_counter()
    await until_queued(bench)
    queued = time.perf_counter() - answered
    used, used_here = cpu_s(bench.pid) - used, time.process_time() - used_here
    return {
        "asked": count - int(rate * WARM_UP_S),
        "failed": failed,
        "late": late,
        **spread(took),
        "queued_s": round(queued, 2),
        "cpu_ms": round(used / count * 1e3, 2),
        "cpu_here_ms": round(used_here / count * 1e3, 2),
        "memory_mb": memory_mb(bench.pid),
    }


async def until_queued(bench: Bench) -> None:
    """Returns when the outbox is empty."""
    from radiarch_gateway.mailbox import OutboxRow
    from sqlmodel import select

    def left() -> bool:
        with bench.database.reading() as session:
            return session.exec(select(OutboxRow).limit(1)).first() is not None

    while True:
        if not await asyncio.to_thread(left):
            return
        await asyncio.sleep(LOOK_S)


async def until_counted(bench: Bench) -> None:
    """Returns when the gateway has counted every event."""
    from radiarch_common.topology import EVENTS
    from radiarch_gateway.places import place_of

    def counted() -> int:
        with bench.database.reading() as session:
            at = place_of(session)
        return at.sequence if at is not None else 0

    said = (await bench.bus.js.stream_info(EVENTS)).state.last_seq
    while await asyncio.to_thread(counted) < said:  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(LOOK_S)


async def say(bench: Bench, job_id: str, number: int, what: str) -> None:
    """Publish an event of a job's progress."""
    from radiarch_common.messages import Progressed, utc_now

    event = Progressed(
        job_id=job_id,
        run=1,
        stage="planner",
        attempt=1,
        at=utc_now(),
        progress=min(1.0, number / 1e6),
        message=f"{what} {number}",
    )
    await bench.bus.send_event(event, f"{job_id}:{what}:{number}")


async def events(bench: Bench, count: int) -> dict[str, Any]:
    """Events to job state."""
    await until_counted(bench)
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> None:
        async with gate:
            await say(bench, bench.jobs[number % len(bench.jobs)], number, "counted")

    begin, used = time.perf_counter(), cpu_s(bench.pid)
    await asyncio.gather(*(one(number) for number in range(count)))
    published = time.perf_counter() - begin
    await until_counted(bench)
    took = time.perf_counter() - begin
    return {
        "events": count,
        "published_per_s": round(count / published),
        "counted_per_s": round(count / took),
        "cpu_ms": round((cpu_s(bench.pid) - used) / count * 1e3, 2),
    }


async def viewers(bench: Bench, count: int) -> dict[str, Any]:
    """Viewers of one job, and how soon each has an event."""
    job_id = bench.jobs[0]
    seen = Seen()
    await say(bench, job_id, 0, "seen")
    begin, used = time.perf_counter(), cpu_s(bench.pid)
    tasks = [asyncio.create_task(watch(bench, job_id, seen)) for _ in range(count)]
    try:
        await reached(lambda: seen.inside, count, tasks)
        opened = time.perf_counter() - begin
        opening = cpu_s(bench.pid) - used
        for number in range(1, EVENTS_FOLLOWED + 1):
            seen.said[f"seen {number}"] = time.perf_counter()
            await say(bench, job_id, number, "seen")
            await reached(lambda: len(seen.took), number * count, tasks)
            await asyncio.sleep(PAUSE_S)
        memory = memory_mb(bench.pid)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "viewers": seen.inside,
        "opened_s": round(opened, 2),
        "opening_cpu_ms": round(opening / count * 1e3, 2),
        **spread(seen.took),
        "memory_mb": memory,
    }


async def watch(bench: Bench, job_id: str, seen: Seen) -> None:
    """One viewer."""
    address = urlsplit(bench.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        lines = [f"GET /api/v1/jobs/{job_id}/events HTTP/1.1", "Host: bench", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in bench.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"a viewer was answered {status!r}")
        while line := await reader.readline():
            if line.startswith(b"data:"):
                seen.take(line, time.perf_counter())
    finally:
        writer.close()


async def reached(now: Any, wanted: int, tasks: list[asyncio.Task[None]]) -> None:  # noqa: ANN401 - a count
    """Returns when a count is reached; raises what a task raised, or TimeoutError."""
    async with asyncio.timeout(HANG_S):
        while now() < wanted:
            for task in tasks:
                if task.done():
                    task.result()
                    raise RuntimeError("a viewer's stream ended")
            await asyncio.sleep(LOOK_S)


async def measured(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, on one database."""
    with tempfile.TemporaryDirectory(prefix="radiarch-bench-") as folder:
        async with running(kind, Path(folder)) as bench:
            found = {"plans": await plans(bench, options.rate, options.seconds)}
            found["events"] = await events(bench, options.events)
            found["viewers"] = await viewers(bench, options.viewers)
            return found


def table(found: dict[str, dict[str, Any]]) -> None:
    """What a person reads."""
    for kind, parts in found.items():
        for part, values in parts.items():
            print(f"{kind:9} {part:8} " + "  ".join(f"{name} {value}" for name, value in values.items()))


def main() -> None:
    """Measure on each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--databases", default="sqlite,postgres", help="which, with a comma between them")
    parser.add_argument("--cores", type=int, default=2, help="for everything together")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = {kind: asyncio.run(measured(kind, options)) for kind in options.databases.split(",")}
    table(found)
    print(json.dumps({"cores": options.cores, "rate_per_s": options.rate, "seconds": options.seconds, **found}))


if __name__ == "__main__":
    main()
