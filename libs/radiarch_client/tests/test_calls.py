"""Lists over pages, events over connections, files over breaks."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from radiarch_client import DamagedError, NotReadyError, UnavailableError, UnreadableError
from radiarch_client.core import STATE_FOLLOWS_S
from radiarch_client.files import safe_name
from radiarch_testkit.played import PLAN, Handler, Played, problem

AT = "2026-01-01T00:00:00Z"
JOB: dict[str, Any] = {
    "id": "0job00001",
    "state": "running",
    "stage": "planner",
    "progress": 0.5,
    "message": "beamlets",
    "cancel_requested": False,
    "created_at": AT,
    "updated_at": AT,
    "run": 1,
    "attempt": 1,
    "deadline": AT,
    "refused": False,
    "timings": {},
    "log": [],
}


def test_pages_are_followed_until_the_limit(client: Played) -> None:
    """Fails when a page is left out, asked for twice, or asked for although nobody wants it."""

    def page(request: httpx.Request) -> httpx.Response:
        start, size = int(request.url.params.get("cursor", 0)), int(request.url.params["limit"])
        items = [JOB | {"id": f"job-{number}"} for number in range(start, min(start + size, 450))]
        after = start + size
        return httpx.Response(200, json={"items": items, "next_cursor": str(after) if after < 450 else None})

    client.handler = page
    found = client(lambda c: c.jobs(state="running", asked_by="me"))
    assert [job.id for job in found] == [f"job-{number}" for number in range(450)]
    assert len(client.seen) == 3
    assert dict(client.seen[0].url.params) == {"limit": "200", "state": "running", "asked_by": "me"}
    client.seen.clear()
    assert len(client(lambda c: c.jobs(limit=210))) == 210
    assert [request.url.params["limit"] for request in client.seen] == ["200", "10"]


def test_a_newer_servers_fields_are_kept(client: Played) -> None:
    """Fails when a client of today cannot read the answers of a gateway of tomorrow."""
    client.handler = lambda _: httpx.Response(200, json=JOB | {"of_tomorrow": 3})
    assert client(lambda c: c.job("0job00001")).model_extra == {"of_tomorrow": 3}


def event(number: int, kind: str = "progress", **own: object) -> bytes:
    data = {"kind": kind, "job_id": "0job00001", "run": 1, "stage": "planner", "attempt": 1, "at": AT} | own
    return f"event: {kind}\nid: {number}\ndata: {json.dumps(data)}\n\n".encode()


class Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces, perhaps cut off after them."""

    def __init__(self, *pieces: bytes, cut: bool = False) -> None:
        self.pieces = pieces
        self.cut = cut

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.cut:
            raise httpx.RemoteProtocolError("peer closed connection")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def events(*pieces: bytes, cut: bool = False) -> httpx.Response:
    return httpx.Response(200, stream=Cut(*pieces, cut=cut), headers={"Content-Type": "text/event-stream"})


def test_events_go_on_where_the_line_broke(client: Played) -> None:
    """Fails on a gap or a repeat: what comes after a break is asked for after the last event that was whole.

    The second event was cut in its middle; the gateway then was away for two attempts. At the end the job's state
    lags behind its last event: the events end when its files can be had.
    """
    half = len(event(2)) // 2
    left = [
        events(b": ping\n\n", event(1, "started"), event(2)[:half], cut=True),
        httpx.ConnectError("refused"),
        problem(503, "starting"),
        events(event(2, progress=0.5, message="half")[:half], event(2, progress=0.5, message="half")[half:]),
        events(event(7, "finished", stage="exporter")),
        httpx.Response(200, json=JOB),
        httpx.Response(200, json=JOB | {"state": "succeeded"}),
    ]

    def handle(_: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client.handler = handle
    found = client(lambda c: c.events("0job00001"))
    assert [(e.id, e.kind) for e in found] == [("1", "started"), ("2", "progress"), ("7", "finished")]
    assert (found[1].progress, found[1].message) == (0.5, "half")
    assert [r.headers.get("Last-Event-ID") for r in client.seen] == [None, "1", "1", "1", "2", None, None]


def test_who_has_everything_is_told_so(client: Played) -> None:
    """204: nothing will come. Fails when the client asks for ever."""
    client.handler = lambda _: httpx.Response(204)
    assert client(lambda c: c.events("0job00001", after="9")) == []
    assert [request.headers["Last-Event-ID"] for request in client.seen] == ["9"]


def test_events_that_are_no_longer_kept(client: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty stream of a job that has ended is all there is; of one that goes on it is not."""
    states = iter([*["running"] * (len(STATE_FOLLOWS_S) + 1), "succeeded"])
    monkeypatch.setattr("radiarch_client.core.STATE_FOLLOWS_S", [0.0] * len(STATE_FOLLOWS_S))

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            return events()
        return httpx.Response(200, json=JOB | {"state": next(states)})

    client.handler = handle
    assert client(lambda c: c.events("0job00001")) == []
    assert sum(request.url.path.endswith("/events") for request in client.seen) == 2


def test_a_line_that_breaks_for_ever_ends_in_an_error(client: Played) -> None:
    """Fails when a proxy that answers with a page, or cuts each stream at once, is asked for ever."""
    from radiarch_client import Patience

    client.options = {"patience": Patience(first_s=0.01, longest_s=0.01, limit_s=0.05)}
    client.handler = lambda _: httpx.Response(200, text="<html/>")
    with pytest.raises(UnavailableError):
        client(lambda c: c.events("0job00001"))


DOSE = bytes(range(256)) * 64


def served_files(files: dict[str, bytes], *, ranges: bool = True, cut_first: bool = False) -> Handler:
    """Files of a plan, with ranges or without; the first answer perhaps cut in its middle."""
    artifacts = [
        {
            "id": f"artifact-{number}",
            "name": name,
            "kind": "RTDOSE",
            "media_type": "application/dicom",
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "download_url": "",
        }
        for number, (name, data) in enumerate(files.items())
    ]
    contents = {f"artifact-{number}": data for number, data in enumerate(files.values())}
    cuts = [cut_first]

    def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/plans/" in path:
            return httpx.Response(200, json=PLAN | {"job": JOB, "artifacts": artifacts})
        data = contents[path.rsplit("/", 1)[-1]]
        asked = request.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
        end = len(data) // 2 if cuts[0] else len(data)
        stream = Cut(data[start:end], cut=cuts[0])
        cuts[0] = False
        return httpx.Response(206 if start else 200, stream=stream)

    return handle


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_after_a_break(client: Played, tmp_path: Path, ranges: bool) -> None:
    """Fails when the file is not whole, or what was fetched is fetched again although the server has ranges."""
    client.handler = served_files({"RTDOSE.dcm": DOSE, "empty.csv": b""}, ranges=ranges, cut_first=True)
    paths = client(lambda c: c.download("0job00001", tmp_path / "new"))
    assert [path.name for path in paths] == ["RTDOSE.dcm", "empty.csv"]
    assert [path.read_bytes() for path in paths] == [DOSE, b""]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["RTDOSE.dcm", "empty.csv"]
    assert client.seen[2].headers["Range"] == f"bytes={len(DOSE) // 2}-"
    assert client.seen[2].headers["If-Range"] == f'"{hashlib.sha256(DOSE).hexdigest()}"'
    client.seen.clear()
    client(lambda c: c.download("0job00001", tmp_path / "new"))
    assert len(client.seen) == 1, "what is there and right is not fetched again"


def test_what_an_earlier_run_left_wrong_is_fetched_anew(client: Played, tmp_path: Path) -> None:
    """Fails when the end of a file is put behind another file's beginning."""
    (tmp_path / ".RTDOSE.dcm.part").write_bytes(b"other" * 10)
    (tmp_path / "RTDOSE.dcm").write_bytes(b"x" * len(DOSE))
    client.handler = served_files({"RTDOSE.dcm": DOSE})
    assert client(lambda c: c.download("0job00001", tmp_path))[0].read_bytes() == DOSE
    assert [path.name for path in tmp_path.iterdir()] == ["RTDOSE.dcm"]


def test_bytes_that_are_not_the_promised_ones_are_not_kept(client: Played, tmp_path: Path) -> None:
    """Fails when a damaged dose lies there as if it were right."""
    handle = served_files({"RTDOSE.dcm": DOSE})

    def lying(request: httpx.Request) -> httpx.Response:
        answer = handle(request)
        return answer if "/plans/" in request.url.path else httpx.Response(200, content=DOSE[::-1])

    client.handler = lying
    with pytest.raises(DamagedError, match=r"RTDOSE\.dcm"):
        client(lambda c: c.download("0job00001", tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "a\\b", "..", ".hidden", "", "a\0b", "a\nb", "/etc/passwd", "-o", "C:x"]
)
def test_a_name_stays_in_its_folder(client: Played, tmp_path: Path, name: str) -> None:
    """Fails when a server can write outside the folder; nothing at all is fetched then."""
    client.handler = served_files({"good.json": b"{}", name: b"x"})
    with pytest.raises(UnreadableError, match="will not write"):
        client(lambda c: c.download("0job00001", tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_plan_that_is_not_ready_has_no_files(client: Played, tmp_path: Path) -> None:
    """Fails when nothing is fetched, and nothing said."""
    client.handler = served_files({})
    with pytest.raises(NotReadyError, match="its job is running"):
        client(lambda c: c.download("0job00001", tmp_path))


def test_ordinary_names_are_taken() -> None:
    for name in ("RTPLAN.dcm", "dose-map_1+2.png", "plan.json", "_x"):
        assert safe_name(name) == name


def test_waiting_tells_each_look_and_may_end_early(client: Played) -> None:
    """Fails when a wait without end cannot be bounded."""
    client.handler = lambda _: httpx.Response(200, json=JOB)
    told: list[Any] = []
    with pytest.raises(TimeoutError, match="it goes on"):
        client(lambda c: c.wait("0job00001", told.append, timeout_s=-1.0))
    assert [job.message for job in told] == ["beamlets"]
    client.handler = lambda _: httpx.Response(200, json=JOB | {"state": "failed"})
    assert client(lambda c: c.wait("0job00001")).state == "failed"
