"""Processes that are really killed and a PACS that is really stopped: no job is lost, none is doubled."""

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydicom import dcmread
from radiarch_common.bus import connect
from radiarch_common.settings import Settings
from radiarch_standalone.phantom import PhantomStudy, write_phantom
from radiarch_testkit.deployment import Deployment
from radiarch_testkit.requests import phantom_request

pytestmark = pytest.mark.slow

LONG = {"primaries_per_spot": 3000, "spot_spacing_mm": 6.0}
"""Beamlets that take long enough to be interrupted."""


@pytest.fixture(scope="module")
def phantom(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> PhantomStudy:
    study = write_phantom(tmp_path_factory.mktemp("phantom"))
    assert not deployment.pacs.store([dcmread(path) for path in study.files]).failed
    return study


def plans_in_pacs(deployment: Deployment, study: PhantomStudy) -> set[str]:
    refs = deployment.pacs.instances(study.study_instance_uid)
    return {ref.sop_instance_uid for ref in refs if ref.modality == "RTPLAN"}


def assert_one_plan_more(deployment: Deployment, study: PhantomStudy, before: set[str], plan: dict[str, Any]) -> None:
    """One set of artifacts, and exactly the plan that they name is new in the PACS."""
    shown = deployment.http.get(f"/plans/{plan['id']}").raise_for_status().json()
    names = [artifact["name"] for artifact in shown["artifacts"]]
    assert len(names) == len(set(names)) == 8
    uids = {artifact["sop_instance_uid"] for artifact in shown["artifacts"] if artifact["kind"] == "RTPLAN"}
    assert plans_in_pacs(deployment, study) - before == uids


def engine_processes(planner: int) -> set[int]:
    """Dose engine processes that descend from a planner."""
    parents: dict[int, int] = {}
    engines: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            program = os.readlink(folder / "exe")
            # After the name in brackets come state and parent.
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if "MCsquare" in Path(program).name:
            engines.add(int(folder.name))
    return {pid for pid in engines if planner in _ancestors(pid, parents)}


def _ancestors(pid: int, parents: dict[int, int]) -> list[int]:
    found: list[int] = []
    while (pid := parents.get(pid, 0)) > 0:
        found.append(pid)
    return found


def test_kill_9_of_the_planner_in_the_middle(deployment: Deployment, phantom: PhantomStudy) -> None:
    before = plans_in_pacs(deployment, phantom)
    plan = deployment.plan(phantom_request(phantom))
    deployment.until(plan["job"]["id"], lambda job: job["stage"] == "planner" and job["progress"] > 0.05)
    deployment.services["planner"].kill()
    deployment.services["planner"].start()
    job = deployment.end_of(plan["job"]["id"])
    assert job["state"] == "succeeded", job
    assert_one_plan_more(deployment, phantom, before, plan)


def test_kill_9_of_the_exporter_in_the_middle(deployment: Deployment, phantom: PhantomStudy) -> None:
    before = plans_in_pacs(deployment, phantom)
    with KillAtStart(deployment, "exporter") as killer:
        plan = deployment.plan(phantom_request(phantom))
        killer.wait()
    deployment.services["exporter"].start()
    job = deployment.end_of(plan["job"]["id"])
    assert job["state"] == "succeeded", job
    assert_one_plan_more(deployment, phantom, before, plan)


def test_a_pacs_that_is_down_for_longer_than_five_retries_is_waited_for(
    deployment: Deployment, phantom: PhantomStudy
) -> None:
    before = plans_in_pacs(deployment, phantom)
    plan = deployment.plan(phantom_request(phantom))
    deployment.until(plan["job"]["id"], lambda job: job["stage"] == "planner")
    deployment.orthanc.stop()
    try:
        waited = deployment.until(plan["job"]["id"], lambda job: _waits(job) > 6)
        assert waited["state"] == "running"
        assert "PACS 'main'" in waited["message"]
    finally:
        deployment.orthanc.start()
    job = deployment.end_of(plan["job"]["id"])
    assert job["state"] == "succeeded", job
    assert_one_plan_more(deployment, phantom, before, plan)


def test_cancel_during_beamlets_leaves_no_engine_running(deployment: Deployment, phantom: PhantomStudy) -> None:
    before = plans_in_pacs(deployment, phantom)
    planner = deployment.services["planner"].pid
    plan = deployment.plan(phantom_request(phantom, overrides=LONG))
    deployment.until(plan["job"]["id"], lambda job: "eamlet" in job["message"] and bool(engine_processes(planner)))
    running = engine_processes(planner)
    deployment.http.post(f"/jobs/{plan['job']['id']}/cancel").raise_for_status()
    time.sleep(1.0)
    assert engine_processes(planner) == set()
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists()]
    assert deployment.end_of(plan["job"]["id"])["state"] == "cancelled"
    assert plans_in_pacs(deployment, phantom) == before


def test_a_gateway_killed_while_a_job_runs_knows_its_end(deployment: Deployment, phantom: PhantomStudy) -> None:
    plan = deployment.plan(phantom_request(phantom))
    deployment.until(plan["job"]["id"], lambda job: job["stage"] == "planner")
    deployment.services["gateway"].kill()
    deployment.services["gateway"].start()
    deployment.wait(deployment.answers, "the gateway")
    assert deployment.end_of(plan["job"]["id"])["state"] == "succeeded"


def _waits(job: dict[str, Any]) -> int:
    return sum("waiting for" in str(line["message"]).lower() for line in job["log"])


class KillAtStart:
    """Kills a service the moment it says that it started a job."""

    def __init__(self, deployment: Deployment, stage: str) -> None:
        self._deployment = deployment
        self._stage = stage
        self._killed = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def __enter__(self) -> "KillAtStart":
        self._thread.start()
        assert self._listening.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._killed.set()
        self._thread.join(30)

    def wait(self) -> None:
        """Returns when the service was killed."""
        assert self._killed.wait(600)

    async def _listen(self) -> None:
        client: Client = await connect(Settings(nats_url=self._deployment.broker.url), "killer")

        async def heard(_: Msg) -> None:
            if not self._killed.is_set():
                self._deployment.services[self._stage].kill()
                self._killed.set()

        await client.subscribe(f"events.*.{self._stage}.started", cb=heard)
        await client.flush()
        self._listening.set()
        while not self._killed.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.05)
        await client.close()
