"""The command line teaches, refuses with words, and leaves nothing running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from radiarch_standalone.cli import app
from radiarch_standalone.embedded_nats import EmbeddedNats, EmbeddedNatsError
from radiarch_standalone.ports import free_port
from typer.testing import CliRunner

HANG_S = 120.0


@pytest.mark.parametrize("command", [[], ["demo"], ["up"], ["phantom"], ["doctor"]])
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
    command = [str(Path(sys.executable).with_name("radiarch")), "up", f"--data={tmp_path}", f"--port={port}"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
            _until(lambda: client.get("/api/v1/workflows").is_success)
            info = client.get("/api/v1/info").json()
            assert info["version"]
        children = _children(up.pid)
        assert len(children) == 5, "a broker and four services"
        os.kill(children[-1], signal.SIGKILL)
        _until(lambda: len(_children(up.pid)) == 5 and children[-1] not in _children(up.pid))
        children = _children(up.pid)
    finally:
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=HANG_S)
    assert up.returncode == 0, said
    assert "was started again" in said
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
