"""The command line on a real gateway: what it prints, where, and its exit status."""

import asyncio
import json
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from radiarch_client import AsyncRadiarch, Patience, Tokens
from radiarch_common.objects import FolderStore
from radiarch_standalone.cli import app
from radiarch_standalone.remote.credentials import LoginFile, LoginFileError
from radiarch_standalone.remote.server import FAILED, NOT_ALLOWED, UNREACHABLE
from radiarch_testkit.finished import FILES, finish
from radiarch_testkit.gateway import StageHand, served, until
from typer.testing import CliRunner, Result

ASKED = "plan --study 1.2.3.4 --workflow proton-impt --target PTV --dose 60 --fractions 30"
NAMED = f"{ASKED} --machine room-1 --calibration scanner-1"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of its own, and nothing of whoever runs the tests."""
    for name in ("SERVER", "KEY", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"RADIARCH_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "150")
    return tmp_path / "config"


def run(command: str, *more: str, asked: str | None = None) -> Result:
    return CliRunner().invoke(app, [*command.split(), *more], input=asked)


def test_a_plan_is_asked_for_listed_and_cancelled(gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a script cannot read what is printed, or an override does not reach the gateway."""
    monkeypatch.setenv("RADIARCH_SERVER", gateway)
    beams = 'beams=[{"gantry_angle_deg": 45}]'
    taken = run(NAMED, "--no-wait", "--json", "--set", "seed=7", "--set", beams)
    assert taken.exit_code == 0, taken.output
    plan = json.loads(taken.stdout)
    assert plan["resolved"]["spec"]["seed"] == 7
    assert [beam["gantry_angle_deg"] for beam in plan["resolved"]["spec"]["beams"]] == [45]
    listed = json.loads(run("jobs --json --limit 5").stdout)
    assert plan["id"] in [job["id"] for job in listed]
    assert plan["id"] in run("jobs").stdout
    assert json.loads(run("jobs --json --state succeeded").stdout) == []
    waiting = run(f"get {plan['id']}")
    assert (waiting.exit_code, "queued" in waiting.stderr) == (FAILED, True)
    assert json.loads(run(f"cancel {plan['id']} --json").stdout)["cancel_requested"]


async def test_a_plan_is_followed_shown_and_fetched(
    gateway: str, stage_hand: StageHand, objects: FolderStore, tmp_path: Path
) -> None:
    """Fails when progress goes to standard output, files are missing, or the numbers are not told."""
    command = f"{NAMED} --server {gateway} --out {tmp_path / 'plan'}"
    running = asyncio.create_task(asyncio.to_thread(run, command))
    async with AsyncRadiarch(gateway) as radiarch:
        found = await until(lambda: _plans(radiarch), bool)
        await finish(stage_hand, objects, found[0])
        shown = await running
        assert shown.exit_code == 0, shown.output
        assert {path.name for path in (tmp_path / "plan").iterdir()} == set(FILES)
        for word in ("PTV", "D95%[Gy]", "acceptable", "1.2 %", "Thick slices.", "RTDOSE.dcm"):
            assert word in shown.stdout
        assert "exporter" in shown.stderr
        again = await asyncio.to_thread(run, f"get {found[0]} --json --server {gateway}")
        assert json.loads(again.stdout)["job"]["state"] == "succeeded"


async def test_a_job_that_fails_says_why(gateway: str, stage_hand: StageHand) -> None:
    """Fails when a script takes a refused plan for a good one."""
    running = asyncio.create_task(asyncio.to_thread(run, f"{NAMED} --server {gateway}"))
    async with AsyncRadiarch(gateway) as radiarch:
        found = await until(lambda: _plans(radiarch), bool)
        await stage_hand.say(found[0], "importer", "failed", refused=True, reason="No PTV.", hint="Draw it.")
        shown = await running
    assert shown.exit_code == FAILED
    assert "No PTV. Draw it." in shown.stderr


async def _plans(radiarch: AsyncRadiarch) -> list[str]:
    return [plan.id async for plan in radiarch.plans()]


def test_what_goes_wrong_is_told_with_what_to_do(gateway: str) -> None:
    """Fails when a script cannot tell a wrong request from a server that is away."""
    refused = run(f"{ASKED} --machine nothing --calibration scanner-1 --server {gateway}")
    assert (refused.exit_code, "room-1" in refused.stderr) == (FAILED, True), "what would be accepted is named"
    missing = run(f"get 0nothing0 --server {gateway}")
    assert (missing.exit_code, "0nothing0" in missing.stderr) == (FAILED, True)
    for wrong in (
        run(f"{ASKED} --set seed"),
        run(f"{ASKED} --set beams=5"),
        run(f"{ASKED} --no-wait --out plan"),
        run("jobs --watch --json"),
        run("jobs --server radiarch.example"),
        run("plan --study 1.2"),
    ):
        assert wrong.exit_code == 2, wrong.output


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiarch_standalone.remote.server.Patience", partial(Patience, limit_s=0.0))
    away = run(f"jobs --server {NOWHERE}")
    assert away.exit_code == UNREACHABLE
    assert "RADIARCH_SERVER" in away.stderr
    assert away.stdout == ""


@pytest.fixture
def door() -> Iterator[str]:
    """A server whose door alone is played: one account, with a one-time code, and one key."""
    played = FastAPI()

    @played.post("/api/v1/auth/login", response_model=None)
    async def login(request: Request) -> Response | dict[str, Any]:
        asked = await request.json()
        if (asked["username"], asked["password"]) != ("anna", "right"):
            raise HTTPException(401, "Wrong.")
        if len(asked) == 2:
            content = {"type": "urn:radiarch:problem:totp-code-needed", "title": "Unauthorized", "status": 401}
            return JSONResponse(content, 401, media_type="application/problem+json")
        return {"access_token": "a", "refresh_token": "r", "expires_in_s": 3600, "must_change_password": True}

    @played.post("/api/v1/auth/password", status_code=204)
    async def password(request: Request) -> None:
        assert await request.json() == {"current_password": "right", "new_password": "my own words"}

    @played.post("/api/v1/auth/logout", status_code=204)
    def logout() -> None: ...

    @played.get("/api/v1/jobs")
    def jobs(request: Request) -> dict[str, Any]:
        if request.headers.get("Authorization") not in {"Bearer a", "Bearer radk_x"}:
            raise HTTPException(401)
        return {"items": [], "next_cursor": None}

    with served(played) as url:
        yield url


def test_a_login_is_kept_for_the_next_command_and_for_its_owner_alone(
    door: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the password is shown or kept, others can read the tokens, or they are sent to another server."""
    nobody = run(f"jobs --server {door}")
    assert (nobody.exit_code, "radiarch login" in nobody.stderr) == (NOT_ALLOWED, True)
    shown = run(f"login --server {door}", asked="anna\nright\n123456\nmy own words\nmy own words\n")
    assert shown.exit_code == 0, shown.output
    (kept,) = (home / "radiarch" / "logins").glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "It is set." in shown.stderr
    for word in ("right", "my own words"):
        assert word not in shown.output + kept.read_text()
    assert json.loads(run(f"jobs --json --server {door}").stdout) == []
    assert LoginFile("http://another.example").read() is None
    assert run(f"logout --server {door}").exit_code == 0
    assert not kept.exists()
    assert run(f"jobs --server {door}").exit_code == NOT_ALLOWED
    monkeypatch.setenv("RADIARCH_KEY", "radk_x")
    assert run(f"jobs --server {door}").exit_code == 0
    monkeypatch.setenv("RADIARCH_PASSWORD", "wrong")
    wrong = run(f"login --username anna --server {door}")
    assert (wrong.exit_code, list(kept.parent.glob("*.json"))) == (NOT_ALLOWED, [])


def test_a_password_is_not_sent_in_the_clear_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiarch_standalone.remote.server.Patience", partial(Patience, limit_s=0.0))
    shown = run("login --username anna --password x --server http://radiarch.invalid")
    assert "without TLS" in shown.stderr


def test_a_login_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """Fails when a damaged file makes a person nobody, without a word."""
    file = LoginFile("https://radiarch.example", tmp_path)
    assert file.read() is None
    tokens = Tokens(access_token="a", refresh_token="r", expires_at=1.0)
    with file.alone():
        file.write(tokens)
    assert LoginFile("https://radiarch.example/", tmp_path).read() == tokens
    file.path.write_text("{")
    with pytest.raises(LoginFileError, match="log in again"):
        file.read()
