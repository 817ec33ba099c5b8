"""The real thing, small: four services as processes of their own on real NATS, S3 and Orthanc."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from radiarch_common.bus import connect
from radiarch_common.pacs import Pacs, open_pacs
from radiarch_common.settings import S3Settings, Settings
from radiarch_common.topology import bootstrap
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_standalone.ports import free_port
from radiarch_standalone.processes import ServiceProcess

from radiarch_testkit.orthanc_server import OrthancServer

SERVICES = ("gateway", "importer", "planner", "exporter")
ACK_WAIT_S = 5.0
HANG_S = 900.0
"""A job that takes longer than this hangs."""
FINAL = ("succeeded", "failed", "cancelled")


class Deployment:
    """Four services on real parts, as an operator runs them; a test may kill any of them."""

    def __init__(self, folder: Path, broker: EmbeddedNats, s3: S3Settings, orthanc: OrthancServer) -> None:
        self.folder = folder
        self.broker = broker
        self.orthanc = orthanc
        self._port = free_port()
        self.env = {
            "RADIARCH_NATS_URL": broker.url,
            "RADIARCH_ACK_WAIT_S": str(ACK_WAIT_S),
            "RADIARCH_RETRY_FIRST_S": "0.2",
            "RADIARCH_RETRY_LONGEST_S": "1",
            "RADIARCH_DATABASE_URL": f"sqlite:///{folder / 'radiarch.db'}",
            "RADIARCH_S3__ENDPOINT": s3.endpoint,
            "RADIARCH_S3__ACCESS_KEY": s3.access_key,
            "RADIARCH_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RADIARCH_S3__BUCKET": f"e2e-{folder.name.replace('_', '-').lower()}"[:63].rstrip("-"),
            "RADIARCH_PACS": json.dumps({"main": orthanc.watched.model_dump(mode="json") | _password(orthanc)}),
            "RADIARCH_AUTHENTICATION": "none",
            "RADIARCH_HTTP_PORT": str(self._port),
            "RADIARCH_WORK_FOLDER": str(folder / "work"),
            # Faults are to meet engines at work: the same small plan is asked for again and again.
            "RADIARCH_CACHE_QUOTA_GB": "0",
        }
        if engine_folder := os.environ.get("RADIARCH_ENGINE_FOLDER"):
            self.env["RADIARCH_ENGINE_FOLDER"] = engine_folder
        self.services = {
            name: ServiceProcess(f"radiarch_{name}", self.env, folder / f"{name}.log") for name in SERVICES
        }
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}/api/v1", timeout=60)

    @property
    def pacs(self) -> Pacs:
        """The Orthanc, as a service sees it."""
        return open_pacs(Settings(pacs={"main": self.orthanc.settings}))["main"]

    def start(self) -> None:
        """Bootstrap the bus and start every service."""
        asyncio.run(_bootstrap(self.broker.url))
        for service in self.services.values():
            service.start()
        self.wait(self.answers, "the planner's catalogue")

    def stop(self) -> None:
        """Stop every service."""
        for service in self.services.values():
            service.stop()
        self.http.close()

    def plan(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask for a plan; the answer's body."""
        answer = self.http.post("/plans", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        """A job's state."""
        return self.http.get(f"/jobs/{job_id}").raise_for_status().json()

    def until(self, job_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """A job's state once something holds of it; fails when the job ends, or hangs, before."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            job = self.job(job_id)
            if holds(job):
                return job
            assert job["state"] not in FINAL, f"the job ended before: {job}"
            time.sleep(0.1)
        raise TimeoutError(f"job {job_id} hangs: {self.job(job_id)}")

    def end_of(self, job_id: str) -> dict[str, Any]:
        """A job's state once it has ended."""
        return self.until(job_id, lambda job: job["state"] in FINAL)

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Returns once something holds; fails when that takes for ever."""
        end = time.monotonic() + HANG_S
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"waited for {what} in vain; see the logs in {self.folder}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the gateway answers, and knows what planners offer."""
        try:
            return self.http.get("/workflows").is_success
        except httpx.HTTPError:
            return False


def _password(orthanc: OrthancServer) -> dict[str, str]:
    return {"password": orthanc.password}


async def _bootstrap(url: str) -> None:
    settings = Settings(nats_url=url, ack_wait_s=ACK_WAIT_S)
    client = await connect(settings, "bootstrap")
    try:
        await bootstrap(client, settings)
    finally:
        await client.close()


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, s3: S3Settings, orthanc: OrthancServer
) -> Iterator[Deployment]:
    """A running deployment with an empty PACS, shared by the tests of one module."""
    folder = tmp_path_factory.mktemp("deployment")
    broker = EmbeddedNats(folder / "nats")
    broker.start()
    orthanc.start()
    orthanc.clear()
    running = Deployment(folder, broker, s3, orthanc)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        broker.stop()
