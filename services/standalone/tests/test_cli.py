"""The command line teaches, refuses with words, and leaves nothing running."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from radiarch_common.settings import Settings
from radiarch_planner.engines.build import Cpu, build_folder
from radiarch_planner.engines.cost import EngineCost
from radiarch_planner.engines.selftest import LAYOUT, PassedBuild, kept_at
from radiarch_standalone.cli import app
from radiarch_standalone.embedded_nats import EmbeddedNats, EmbeddedNatsError
from radiarch_standalone.local import LocalRadiarch
from radiarch_standalone.ports import free_port
from typer.testing import CliRunner

HANG_S = 120.0


@pytest.mark.parametrize("command", [[], ["demo"], ["up"], ["phantom"], ["doctor"], ["admin"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.stdout


def test_phantom_writes_a_study(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["phantom", str(tmp_path / "new")])
    assert shown.exit_code == 0
    structures = dcmread(tmp_path / "new" / "RS.dcm")
    assert str(structures.SOPInstanceUID) in shown.stdout


def test_doctor_finds_this_machine_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0, shown.stdout
    monkeypatch.setenv("RADIARCH_MCSQUARE_BINARY", "/nowhere/MCsquare")
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_doctor_tells_whether_the_engine_passed_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when what a planner keeps is not found, or an untested engine counts as tested; nothing is made."""
    folder = tmp_path / "engines"
    monkeypatch.setenv("RADIARCH_ENGINE_FOLDER", str(folder))
    assert "not passed yet" in CliRunner().invoke(app, ["doctor"]).stdout
    assert not folder.exists()
    cost = EngineCost(start_s=0.1, proton_s=1e-6, proton_mm_s=1e-7, spot_s=1e-3, spot_voxel_s=1e-9)
    passed = PassedBuild(
        layout=LAYOUT,
        build="MCsquare",
        sha256="0" * 64,
        cpu="any",
        tested=datetime(2026, 5, 4, tzinfo=UTC),
        findings=(),
        cost=cost,
    )
    folder.mkdir()
    kept_at(build_folder(Settings()), Cpu.here()).write_text(passed.model_dump_json())
    assert "passed on 2026-05-04" in " ".join(CliRunner().invoke(app, ["doctor"]).stdout.split())


def test_two_brokers_never_share_a_store(tmp_path: Path) -> None:
    first = EmbeddedNats(tmp_path / "nats")
    first.start()
    try:
        with pytest.raises(EmbeddedNatsError, match="another radiarch"):
            EmbeddedNats(tmp_path / "nats").start()
    finally:
        first.stop()


def test_up_serves_on_loopback_revives_what_dies_and_ends_with_all_its_children(tmp_path: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("radiarch")), "up", f"--data={tmp_path / 'data'}", f"--port={port}"]
    said = tmp_path / "said"
    with said.open("w") as out:
        up = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _until(lambda: "Radiarch is up" in said.read_text())
        _log_in_for_the_first_time(f"http://127.0.0.1:{port}/api/v1", said.read_text())
        assert not (tmp_path / "data" / "first-admin-password").exists()
        children = _children(up.pid)
        assert len(children) == 5, "a broker and four services"
        os.kill(children[-1], signal.SIGKILL)
        _until(lambda: "was started again" in said.read_text())
        broker = next(pid for pid in _children(up.pid) if "nats-server" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(broker, signal.SIGKILL)
        _until(lambda: "The broker had ended and was started again" in said.read_text())
        children = _children(up.pid)
        assert len(children) == 5
    finally:
        up.send_signal(signal.SIGINT)
        status = up.wait(timeout=HANG_S)
    assert status == 0, said.read_text()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _log_in_for_the_first_time(api: str, said: str) -> None:
    """With the one-time password that was printed; nothing answers without."""
    assert httpx.get(f"{api}/info", timeout=10).status_code == 401
    page = api.removesuffix("api/v1")
    assert f"Open {page} and log in" in said
    assert "password" in httpx.get(page, headers={"Accept": "text/html"}, timeout=10).text
    found = re.search(r"username: (\S+)  one-time password: (\S+)", said)
    assert found, said
    words = {"username": found[1], "password": found[2]}
    tokens = httpx.post(f"{api}/auth/login", json=words, timeout=60).raise_for_status().json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    change = {"current_password": found[2], "new_password": "one of my own choice"}
    httpx.post(f"{api}/auth/password", json=change, headers=headers, timeout=60).raise_for_status()
    assert httpx.get(f"{api}/info", headers=headers, timeout=10).json()["version"]
    assert httpx.get(f"{api}/users", headers=headers, timeout=10).status_code == 200


def test_without_a_login_it_is_said_and_nobody_is_made(tmp_path: Path) -> None:
    """The embedded default asks callers to log in; a demo, and `up --no-login`, do not."""
    assert LocalRadiarch(tmp_path, login=True).asks_to_log_in
    assert not LocalRadiarch(tmp_path).asks_to_log_in
    assert not LocalRadiarch(tmp_path, login=True, settings={"RADIARCH_AUTHENTICATION": "none"}).asks_to_log_in
    assert LocalRadiarch(tmp_path, login=True).first_admin() is None


def test_doctor_says_whether_callers_must_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when it does not tell what a gateway without login means."""
    assert "callers log in" in " ".join(CliRunner().invoke(app, ["doctor"]).stdout.split())
    monkeypatch.setenv("RADIARCH_AUTHENTICATION", "none")
    assert "no login" in " ".join(CliRunner().invoke(app, ["doctor"]).stdout.split())


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + HANG_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
