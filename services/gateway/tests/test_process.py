"""The gateway as a process: where it listens, whom it lets in, how it ends; and its description."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.settings import Settings
from radiarch_gateway.__main__ import check_host
from radiarch_gateway.describe import committed
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.gateway import HANG_S

DOCUMENT = Path(__file__).parents[1] / "openapi.json"


def test_the_committed_description_is_the_applications() -> None:
    """A change of the API shows in review, and clients are generated from what is really served."""
    same = DOCUMENT.read_text(encoding="utf-8") == committed()
    assert same, "run: uv run python -m radiarch_gateway.describe services/gateway/openapi.json"


def test_every_answer_that_is_not_success_is_described_as_a_problem() -> None:
    """A client generated from the description knows every error's shape."""
    paths = json.loads(committed())["paths"]
    errors = [
        (path, status, answer["content"])
        for path, operations in paths.items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    ]
    assert errors
    for path, status, content in errors:
        assert list(content) == ["application/problem+json"], (path, status)
    for path, operations in paths.items():
        assert all(operation.get("summary") and operation.get("tags") for operation in operations.values()), path


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machine_may_call(host: str) -> None:
    """Loopback needs no permission."""
    check_host(Settings(http_host=host, authentication="none"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_others_may_only_where_they_must_log_in(host: str) -> None:
    """Without a login the gateway does not open itself to a network, whatever else is set."""
    with pytest.raises(RefusedError, match="RADIARCH_AUTHENTICATION=accounts"):
        check_host(Settings(http_host=host, authentication="none"))
    check_host(Settings(http_host=host))


def _start(tmp_path: Path, **own: str) -> "subprocess.Popen[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("RADIARCH_")}
    env |= {
        "RADIARCH_DATABASE_URL": f"sqlite:///{tmp_path / 'radiarch.db'}",
        "RADIARCH_OBJECTS_FOLDER": str(tmp_path / "objects"),
        "RADIARCH_HTTP_PORT": "0",
        **own,
    }
    return subprocess.Popen([sys.executable, "-m", "radiarch_gateway"], env=env, stderr=subprocess.PIPE, text=True)


def test_it_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path, nats_server: EmbeddedNats) -> None:
    """Port 0 is chosen by the system and told in the log; SIGTERM ends it with status 0, also with a viewer."""
    process = _start(tmp_path, RADIARCH_NATS_URL=nats_server.url)
    assert process.stderr is not None
    try:
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        url = next(line["url"] for line in lines if line["event"] == "listening")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert httpx.get(f"{url}/health/live", timeout=HANG_S).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=HANG_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_it_refuses_to_start_for_everybody(tmp_path: Path) -> None:
    """The reason and the way out are in the log."""
    process = _start(tmp_path, RADIARCH_HTTP_HOST="0.0.0.0", RADIARCH_AUTHENTICATION="none")
    _, log = process.communicate(timeout=HANG_S)
    assert process.returncode == 2
    assert "RADIARCH_AUTHENTICATION=accounts" in log
    assert not (tmp_path / "radiarch.db").exists()


def test_it_starts_without_a_bus(tmp_path: Path) -> None:
    """Requests are answered, and the bus is named as what is missing."""
    process = _start(tmp_path, RADIARCH_NATS_URL="nats://127.0.0.1:9", RADIARCH_AUTHENTICATION="none")
    assert process.stderr is not None
    try:
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        url = next(line["url"] for line in lines if line["event"] == "listening")
        info = httpx.get(f"{url}/api/v1/info", timeout=HANG_S).json()
        assert not info["reachable"]["bus"]["ok"]
        assert info["reachable"]["database"]["ok"]
    finally:
        process.terminate()
        process.wait(timeout=HANG_S)
        process.stderr.close()
