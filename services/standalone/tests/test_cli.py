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
    command = [str(Path(sys.executable).with_name("radiarch")), "up", f"--data={tmp_path / 'data'}", f"--port={port}"]
    said = tmp_path / "said"
    with said.open("w") as out:
        up = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _until(lambda: "Radiarch is up" in said.read_text())
        info = httpx.get(f"http://127.0.0.1:{port}/api/v1/info", timeout=10).json()
        assert info["version"]
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


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + HANG_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
