"""A service as a child process that ends with its parent, and can be stopped, killed and started again."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
STOP_WITHIN_S = 30.0


def end_with_parent() -> None:
    """Between fork and exec: have the kernel kill this process when its parent dies (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _without_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith("RADIARCH_")}


class ServiceProcess:
    """``python -m <module>`` with settings of its own, logging into a file.

    ``env`` holds all its ``RADIARCH_*`` variables: those of this process are not handed on.

    Start it from a thread that lives as long as the service shall: the kernel takes the end of the starting
    thread for the end of the parent.
    """

    def __init__(self, module: str, env: Mapping[str, str], log: Path) -> None:
        self.module = module
        self.log = log
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 when it was not started."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", self.module],
                env=_without_settings(os.environ) | self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C goes to the parent, which stops its children in order
                preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone, before exec
            )

    def stop(self) -> int:
        """Ask it to end (SIGTERM), kill it when it does not; the exit status."""
        if self._process is None:
            return 0
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once (SIGKILL); the exit status."""
        if self._process is None:
            return 0
        self._process.kill()
        return self._process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])
