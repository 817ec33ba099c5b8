"""Radiarch on one machine: an embedded broker and the four services as child processes, on loopback only."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from radiarch_common.bus import connect
from radiarch_common.errors import RadiarchError
from radiarch_common.settings import Settings
from radiarch_common.topology import bootstrap

from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_standalone.ports import free_port
from radiarch_standalone.processes import ServiceProcess

SERVICES = ("gateway", "importer", "planner", "exporter")
READY_WITHIN_S = 120.0
GENERIC_MACHINE = "generic-pbs"
GENERIC_CALIBRATION = "ucl-toshiba"


class LocalError(RadiarchError):
    """A part of the local Radiarch did not start, or died."""


class LocalRadiarch:
    """Everything one machine needs, under one folder.

    ::

        <folder>/nats/      the broker's store
        <folder>/objects/   cases, results, artifacts
        <folder>/pacs/      DICOM files in and out
        <folder>/radiarch.db, <folder>/logs/

    Parameters
    ----------
    folder
        Made when it is missing.
    port
        Of the gateway; 0 for a free one.
    engine_processes
        Engine processes at once; 0 for one per core.
    settings
        More ``RADIARCH_*`` variables for every service; they win over the embedded defaults.
    """

    def __init__(
        self, folder: Path, *, port: int = 0, engine_processes: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.pacs_folder = self.folder / "pacs"
        self.broker = EmbeddedNats(self.folder / "nats")
        self._port = port or free_port()
        self._engine_processes = engine_processes
        self._more = dict(settings or {})
        self.services: dict[str, ServiceProcess] = {}

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start every part. Raises LocalError, EmbeddedNatsError."""
        self.pacs_folder.mkdir(parents=True, exist_ok=True)
        self.broker.start()
        env = self._env()
        asyncio.run(_bootstrap(self.broker.url, env))
        for name in SERVICES:
            service = ServiceProcess(f"radiarch_{name}", env, self.folder / "logs" / f"{name}.log")
            service.start()
            self.services[name] = service

    def stop(self) -> None:
        """Stop every part, the broker last; a running job goes on at the next start."""
        for service in reversed(self.services.values()):
            service.stop()
        self.broker.stop()

    def wait_until_ready(self) -> None:
        """Returns when a plan can be asked for. Raises LocalError when a part dies or takes too long."""
        end = time.monotonic() + READY_WITHIN_S
        with httpx.Client(base_url=self.url, timeout=10) as client:
            while time.monotonic() < end:
                self.check()
                try:
                    if client.get("/api/v1/workflows").json().get("workflows"):
                        return
                except (httpx.HTTPError, ValueError):
                    pass
                time.sleep(0.2)
        raise LocalError(f"Radiarch was not ready within {READY_WITHIN_S:.0f} s; see {self.folder / 'logs'}")

    def check(self) -> None:
        """Raise LocalError when a part has died."""
        if not self.broker.running:
            raise LocalError(f"the broker ended; see {self.folder / 'nats'}")
        for name, service in self.services.items():
            if not service.running:
                raise LocalError(f"the {name} ended; its log says:\n{service.last_words()}")

    def revive(self) -> list[str]:
        """Start again what has died; the names of those. Raises EmbeddedNatsError."""
        dead = [name for name, service in self.services.items() if not service.running]
        for name in dead:
            self.services[name].start()
        if self.broker.running:
            return dead
        self.broker.stop()  # lets go of the lock on its store
        self.broker.start()
        return ["broker", *dead]

    def _env(self) -> dict[str, str]:
        pacs = {"main": {"kind": "folder", "folder": str(self.pacs_folder)}}
        return {
            "RADIARCH_NATS_URL": self.broker.url,
            "RADIARCH_DATABASE_URL": f"sqlite:///{self.folder / 'radiarch.db'}",
            "RADIARCH_OBJECTS_FOLDER": str(self.folder / "objects"),
            "RADIARCH_WORK_FOLDER": str(self.folder / "work"),
            "RADIARCH_PACS": json.dumps(pacs),
            "RADIARCH_DEFAULT_MACHINE": GENERIC_MACHINE,
            "RADIARCH_DEFAULT_CT_CALIBRATION": GENERIC_CALIBRATION,
            "RADIARCH_ENGINE_PROCESSES": str(self._engine_processes),
            "RADIARCH_AUTHENTICATION": "none",
            "RADIARCH_HTTP_HOST": "127.0.0.1",
            "RADIARCH_HTTP_PORT": str(self._port),
        } | self._more


async def _bootstrap(nats_url: str, env: Mapping[str, str]) -> None:
    settings = Settings(nats_url=nats_url, ack_wait_s=float(env.get("RADIARCH_ACK_WAIT_S", "60")))
    client = await connect(settings, "bootstrap")
    try:
        await bootstrap(client, settings)
    finally:
        await client.close()
