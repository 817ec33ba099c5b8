"""A real Orthanc with DICOMweb, private to the tests, that a test may stop, kill and start again."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import requests
from pydantic import SecretStr
from radiarch_common.settings import WebPacsSettings
from radiarch_standalone.ports import free_port

READY_WITHIN_S = 60.0
PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"), Path("/usr/local/lib/orthanc"))


def find_plugin(name: str) -> Path | None:
    """A plugin of Orthanc by the stem of its file, such as ``libOrthancPython``."""
    found = [p for folder in PLUGIN_FOLDERS for p in sorted(folder.glob(f"{name}.so*"))]
    return found[0] if found else None


def find_orthanc() -> tuple[Path, Path] | None:
    """The server and its DICOMweb plugin; None when this machine lacks one of them."""
    server = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugin = find_plugin("libOrthancDicomWeb")
    return (Path(server), plugin) if server and plugin else None


class OrthancServer:
    """Keeps its port and its storage from one start to the next.

    Orthanc cannot listen on loopback alone; it refuses every client that is not on this machine.

    Parameters
    ----------
    folder
        Holds configuration, log and storage.
    more
        More of Orthanc's configuration; it wins.
    env
        More variables for its process, such as for a script in it.
    """

    username = "tester"
    password = "tester-secret"

    def __init__(
        self, folder: Path, more: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._more = dict(more or {})
        self._env = {**os.environ, **(env or {})}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Root of Orthanc's own REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb_url(self) -> str:
        """DICOMweb root."""
        return f"{self.url}/dicom-web"

    @property
    def settings(self) -> WebPacsSettings:
        """How a service is told of this server."""
        return WebPacsSettings(
            url=self.dicomweb_url,
            orthanc_url=self.url,
            username=self.username,
            password=SecretStr(self.password),
        )

    @property
    def watched(self) -> WebPacsSettings:
        """The same, for a gateway that watches it and has no patience."""
        quick = {"orthanc_url": self.url, "look_every_s": 0.3, "quiet_s": 1.0}
        return self.settings.model_copy(update=quick)

    def last_change(self) -> int:
        """Number of the latest change in its log."""
        answer = requests.get(f"{self.url}/changes?last", auth=(self.username, self.password), timeout=30)
        answer.raise_for_status()
        return int(answer.json()["Last"])

    def upload(self, file: bytes) -> None:
        """Store one DICOM file."""
        answer = requests.post(f"{self.url}/instances", file, auth=(self.username, self.password), timeout=30)
        answer.raise_for_status()

    def start(self) -> None:
        """Start, and wait until it answers; nothing happens when it runs already."""
        if self._process is not None:
            return
        found = find_orthanc()
        if found is None:
            raise FileNotFoundError("Orthanc with its DICOMweb plugin is not installed")
        server, plugin = found
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._config(plugin), indent=1))
        with (self.folder / "orthanc.log").open("ab") as log:
            command = [str(server), str(config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self._env)
        self._wait_until_ready()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def clear(self) -> None:
        """Delete all that it holds."""
        auth = (self.username, self.password)
        for study in requests.get(f"{self.url}/studies", auth=auth, timeout=30).json():
            requests.delete(f"{self.url}/studies/{study}", auth=auth, timeout=30).raise_for_status()

    def remove(self) -> None:
        """End it for good."""
        self.stop()

    def _end(self, number: signal.Signals) -> None:
        # Two servers on one storage would spoil it: the old process must be gone before a start.
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _config(self, plugin: Path) -> dict[str, object]:
        return {
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.username: self.password},
            "Plugins": [str(plugin)],
            "OverwriteInstances": False,
            "StableAge": 1,
            "KeepAlive": True,
            "TcpNoDelay": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
            **self._more,
        }

    def _lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end and self._lives():
            try:
                answer = requests.get(f"{self.url}/system", auth=(self.username, self.password), timeout=5)
            except requests.RequestException:
                time.sleep(0.1)
            else:
                answer.raise_for_status()
                return
        self.kill()
        raise TimeoutError(f"Orthanc did not start; see {self.folder / 'orthanc.log'}")
