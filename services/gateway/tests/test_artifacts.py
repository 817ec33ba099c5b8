"""Files of a plan: parts of them, and links that open one for a while."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.messages import utc_now
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_gateway.artifacts.byte_ranges import ByteRange, UnsatisfiableError, part_of
from radiarch_gateway.artifacts.links import make_link
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.models import ClinicRow, UserRow
from radiarch_gateway.auth.scopes import Role, scopes_of
from radiarch_gateway.erasures.store import erase_rows
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.plans.models import PlanRow
from radiarch_testkit.gateway import HANG_S, served
from radiarch_testkit.people import login
from sqlmodel import select

DATA = bytes(range(256)) * 20_000
"""More than one chunk."""
SIZE = len(DATA)
PLAN, FILE, OTHER = "0plan", "0file", "0other"
URL = f"/api/v1/artifacts/{FILE}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Callers must say who they are."""
    return settings.model_copy(update={"authentication": "accounts"})


@pytest.fixture
async def client(app: FastAPI, objects: FolderStore) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a finished plan of two files, and no bus to speak of."""
    with served(app) as url:
        _add_plan(app, objects)
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S, headers=login(app, {Role.CLINICIAN})) as found:
            yield found


def _add_plan(app: FastAPI, objects: FolderStore) -> None:
    now = utc_now()
    plan: dict[str, Any] = {
        "study_instance_uid": "1.2",
        "pacs": "main",
        "workflow": "w",
        "requested": {},
        "resolved": {},
    }
    with app.state.gateway.database.writing() as session:
        session.add(PlanRow(id=PLAN, created_at=now, clinic_id="main", asked_by="x", body_sha256="0" * 64, **plan))
        session.flush()
        session.add(JobRow(id=PLAN, state=JobState.SUCCEEDED.value, created_at=now, updated_at=now, deadline=now))
        session.flush()
        for position, name in enumerate((FILE, OTHER)):
            key = f"artifacts/{PLAN}/1/{name}"
            session.add(
                ArtifactRow(
                    id=name,
                    job_id=PLAN,
                    position=position,
                    name=f"{name}.bin",
                    kind="REPORT",
                    media_type="application/octet-stream",
                    key=key,
                    sha256=objects.put(key, DATA),
                    size_bytes=SIZE,
                )
            )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=2-5", ByteRange(2, 5)),
        ("bytes=7-", ByteRange(7, 9)),
        ("bytes=-3", ByteRange(7, 9)),
        ("bytes=-99", ByteRange(0, 9)),
        ("bytes=5-99", ByteRange(5, 9)),
        ("Bytes = 1-2", ByteRange(1, 2)),
        ("bytes=10-", "416"),
        ("bytes=10-12", "416"),
        ("bytes=-0", "416"),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_ranges_are_read_as_the_standard_says(header: str | None, expected: ByteRange | str | None) -> None:
    """Fails when a bound is off by one, or what is malformed or of several parts is not answered with the whole."""
    if expected == "416":
        with pytest.raises(UnsatisfiableError):
            part_of(header, 10)
    else:
        assert part_of(header, 10) == expected


def test_of_nothing_no_part_can_be_had() -> None:
    """Fails when an empty file gives a part of minus one byte."""
    with pytest.raises(UnsatisfiableError):
        part_of("bytes=-5", 0)


async def test_a_file_is_given_whole_in_part_or_not_again(client: httpx.AsyncClient) -> None:
    """Fails when status, bytes or headers of a part, of HEAD, or of a condition are not those of RFC 9110."""
    whole = await client.get(URL)
    etag = whole.headers["ETag"]
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert (whole.status_code, whole.content) == (200, DATA)
    assert etag == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Length"] == str(SIZE)

    part = await client.get(URL, headers={"Range": f"bytes=1000000-{SIZE + 5}", "If-Range": etag})
    assert (part.status_code, part.content) == (206, DATA[1_000_000:])
    assert part.headers["Content-Range"] == f"bytes 1000000-{SIZE - 1}/{SIZE}"
    assert part.headers["ETag"] == etag

    other = await client.get(URL, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
    assert (other.status_code, len(other.content)) == (200, SIZE)
    beyond = await client.get(URL, headers={"Range": f"bytes={SIZE}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    same = await client.get(URL, headers={"If-None-Match": f'"x", W/{etag}', "Range": "bytes=0-1"})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)
    head = await client.head(URL, headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(SIZE))


async def test_no_part_is_given_of_a_file_that_changed(
    client: httpx.AsyncClient, objects: FolderStore, settings: Settings
) -> None:
    """Fails when the digest is looked at for the whole file alone, or never again after the first time."""
    assert (await client.get(URL, headers={"Range": "bytes=0-1"})).status_code == 206
    path = settings.objects_folder / f"artifacts/{PLAN}/1/{FILE}"
    path.write_bytes(DATA[:-1] + b"?")
    for headers in ({"Range": "bytes=0-1"}, {}):
        answer = await client.get(URL, headers=headers)
        assert answer.status_code == 500
        assert "SHA-256 differs" in answer.json()["detail"]
    objects.delete(f"artifacts/{PLAN}/1/{FILE}")
    assert (await client.get(URL)).status_code == 500


async def test_files_of_a_plan_are_listed_to_its_clinic(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Fails when the order is not the exporter's, or another clinic sees them."""
    url = f"/api/v1/plans/{PLAN}/artifacts"
    assert [file["id"] for file in (await client.get(url)).json()] == [FILE, OTHER]
    stranger = login(app, {Role.CLINICIAN}, "elsewhere")
    assert (await client.get(url, headers=stranger)).status_code == 404
    assert (await client.post(f"{URL}/link", headers=stranger)).status_code == 404


async def test_a_link_opens_one_file_for_whoever_has_it(client: httpx.AsyncClient) -> None:
    """Fails when a link needs a login, gives no parts, opens another file, or bears a changed time or signature."""
    link = (await client.post(f"{URL}/link")).json()["url"]
    anybody = httpx.AsyncClient(base_url=client.base_url, timeout=HANG_S)
    async with anybody:
        assert (await anybody.get(link)).content == DATA
        assert (await anybody.get(link, headers={"Range": "bytes=-2"})).content == DATA[-2:]
        assert (await anybody.head(link)).headers["Content-Length"] == str(SIZE)
        query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        maker, mac = query["signature"].split(".")
        changed = [
            (OTHER, query),
            (FILE, query | {"expires": str(int(query["expires"]) + 1)}),
            (FILE, query | {"signature": f"{maker}.{mac[::-1]}"}),
            (FILE, query | {"signature": f"bG9jYWw.{mac}"}),
            (FILE, query | {"signature": mac}),
            (FILE, query | {"signature": "€"}),
        ]
        for name, parameters in changed:
            answer = await anybody.get(f"/api/v1/artifacts/{name}/file", params=parameters)
            assert answer.status_code == 403, (name, parameters)
            assert "signature" in answer.json()["detail"]
        assert (await anybody.get(f"{URL}/file", params={"expires": "1"})).status_code == 422
        assert (await anybody.get(URL)).status_code == 401


async def test_a_link_dies(app: FastAPI, client: httpx.AsyncClient) -> None:
    """With its time, its maker's account, its clinic and its plan; fails when it outlives one of them."""
    gateway = app.state.gateway
    with gateway.database.reading() as session:
        row = session.get_one(ArtifactRow, FILE)
        user = session.exec(select(UserRow)).one()
    caller = Caller(f"user:{user.id}", "", "main", scopes_of({Role.CLINICIAN}))
    late = make_link(gateway.secret.key("signed url"), row, caller, timedelta(seconds=-2))
    answer = await client.get(late.url)
    assert (answer.status_code, answer.json()["detail"]) == (403, "This link has expired: ask for another.")

    link = (await client.post(f"{URL}/link")).json()["url"]
    for table, name in ((UserRow, user.id), (ClinicRow, "main")):
        for active, status in ((False, 404), (True, 200)):
            with gateway.database.writing() as session:
                session.get_one(table, name).active = active
            assert (await client.get(link)).status_code == status, (table, active)
    with gateway.database.writing() as session:
        erase_rows(session, PLAN)
    assert (await client.get(link)).status_code == 404


async def test_a_link_lives_as_long_as_is_set(client: httpx.AsyncClient) -> None:
    """Fails when the lifetime is not the setting's, or more than a day can be set."""
    link = (await client.post(f"{URL}/link")).json()
    left = int(re.findall(r"expires=(\d+)", link["url"])[0]) - utc_now().timestamp()
    assert 14 * 60 < left <= 15 * 60
    with pytest.raises(ValueError, match="1440"):
        Settings(link_lifetime_min=1441)
