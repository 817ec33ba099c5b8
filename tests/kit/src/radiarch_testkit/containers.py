"""Servers in containers, for machines that have a Docker daemon and not the server.

The images are those of ``compose.yaml``; Orthanc runs with the configuration that operators get.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import psycopg
import yaml
from radiarch_standalone.ports import free_port
from testcontainers.core.container import DockerContainer

from radiarch_testkit.databases import Databases
from radiarch_testkit.orthanc_server import OrthancServer

READY_WITHIN_S = 60.0
PATIENCE_S = 20.0
ROOT = Path(__file__).parents[4]


def prefers_containers() -> bool:
    """Whether ``RADIARCH_TEST_SERVERS=containers`` asks for containers even where the server is installed."""
    return os.environ.get("RADIARCH_TEST_SERVERS") == "containers"


@cache
def daemon_answers() -> bool:
    """Whether a Docker daemon can be asked.

    Asked by the command: the library leaves a socket open when nobody answers, and warnings are errors here.
    """
    docker = shutil.which("docker")
    if docker is None:
        return False
    command = [docker, "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def image_of(service: str) -> str:
    """The image that ``compose.yaml`` names for a service."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return str(compose["services"][service]["image"])


class ContainerOrthanc(OrthancServer):
    """Orthanc in a container; it keeps port and storage from one start to the next."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._container: DockerContainer | None = None
        self._runs = False

    def start(self) -> None:
        """See ``OrthancServer.start``."""
        if self._runs:
            return
        if self._container is None:
            self._container = self._create().start()
        else:
            self._container.get_wrapped_container().start()
        self._runs = True
        self._wait_until_ready()

    def stop(self) -> None:
        """See ``OrthancServer.stop``."""
        if self._container is not None and self._runs:
            self._container.get_wrapped_container().stop()
            self._runs = False

    def kill(self) -> None:
        """See ``OrthancServer.kill``."""
        if self._container is not None and self._runs:
            self._container.get_wrapped_container().kill()
            self._runs = False

    def remove(self) -> None:
        """Take the container away, with its storage."""
        if self._container is not None:
            self._container.stop()
            self._container = None

    def _lives(self) -> bool:
        return self._runs

    def _create(self) -> DockerContainer:
        config = ROOT / "deploy" / "orthanc" / "orthanc.json"
        users = json.dumps({self.username: self.password})
        container = DockerContainer(image_of("orthanc"))
        container.with_env("DICOM_WEB_PLUGIN_ENABLED", "true")
        container.with_env("ORTHANC__REGISTERED_USERS", users)
        container.with_volume_mapping(str(config), "/etc/orthanc/orthanc.json", "ro")
        storage = self.folder / "storage"
        storage.mkdir(parents=True, exist_ok=True)
        container.with_volume_mapping(str(storage), "/var/lib/orthanc/db", "rw")
        return _published(container, 8042, self.port)


def _published(container: DockerContainer, inside: int, port: int) -> DockerContainer:
    """A container whose port is reached on loopback only."""
    ports = cast("dict[str, Any]", container.ports)
    ports[f"{inside}/tcp"] = ("127.0.0.1", port)
    return container


class ContainerPostgres(Databases):
    """PostgreSQL in a container."""

    def __init__(self) -> None:
        super().__init__(free_port())
        container = DockerContainer(image_of("postgres"))
        container.with_env("POSTGRES_USER", "tester").with_env("POSTGRES_DB", "postgres")
        container.with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
        self._container = _published(container, 5432, self.port)
        self._made = False

    def start(self) -> None:
        """See ``Databases.start``."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        end = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url_of("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """See ``Databases.stop``."""
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        """Take the container away, with its data."""
        if self._made:
            self._container.stop()


@contextmanager
def running_container() -> Generator[Databases]:
    """A running PostgreSQL in a container."""
    server = ContainerPostgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()
