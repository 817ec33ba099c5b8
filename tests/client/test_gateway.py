"""The client on a real gateway: the way of a plan, and a gateway that is restarted meanwhile."""

import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from radiarch_client import (
    AsyncRadiarch,
    ConflictError,
    LoginNeededError,
    MissingError,
    NotAllowedError,
    Patience,
    PlanRequest,
    Radiarch,
    RefusedError,
)
from radiarch_client.events import JobEvent
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.auth.scopes import Role
from radiarch_testkit.finished import DOSE, FILES, finish
from radiarch_testkit.gateway import StageHand, served
from radiarch_testkit.offer import plan_body
from radiarch_testkit.people import login

STEPS = 12


async def test_the_way_of_a_plan(gateway: str, stage_hand: StageHand, objects: FolderStore, tmp_path: Path) -> None:
    """Fails when a model of the client differs from what the gateway sends, or a call from what it takes."""
    async with AsyncRadiarch(gateway) as radiarch:
        assert (await radiarch.info()).planner_version == "9.9"
        assert (await radiarch.workflows())[0].parameters.primaries_per_spot == 700
        taken = await radiarch.plan(PlanRequest.model_validate(plan_body()))
        assert taken.resolved.spec.seed == 42
        waiting = asyncio.create_task(radiarch.wait(taken))
        following = asyncio.create_task(_all(radiarch, taken.id))
        await finish(stage_hand, objects, taken.id)
        job = await waiting
        assert job.state == "succeeded"
        events = await following
        assert [(e.stage, e.kind) for e in events if e.kind != "requested"] == [
            ("planner", "started"),
            ("planner", "progress"),
            ("exporter", "started"),
            ("exporter", "finished"),
        ]
        assert [e.message for e in events if e.kind == "progress"] == ["beamlets: 3 of 6"]
        plan = await radiarch.get_plan(taken)
        assert plan.requested == plan_body()
        assert plan.goals[0].verdict == "acceptable"
        paths = await radiarch.download(plan, tmp_path / "files")
        assert {path.name: path.read_bytes() for path in paths} == {name: data for name, (_, _, data) in FILES.items()}
        with pytest.raises(ConflictError):
            await radiarch.cancel(plan)


def test_plans_are_listed_cancelled_and_refused(gateway: str) -> None:
    """The same with threads. Fails when a retry by the same key makes a second plan."""
    with Radiarch(gateway) as radiarch:
        made = [radiarch.plan(plan_body()).id for _ in range(3)]
        again = {radiarch.plan(plan_body(), key="mine").id for _ in range(2)}
        assert len(again) == 1
        assert sorted(plan.id for plan in radiarch.plans()) == sorted([*made, *again])
        assert radiarch.cancel(made[0]).cancel_requested
        assert [job.id for job in radiarch.jobs(limit=1)] == [max([*made, *again])]
        assert len(list(radiarch.jobs(state="succeeded"))) == 0
        with pytest.raises(RefusedError) as raised:
            radiarch.plan(plan_body() | {"dose_gird_mm": 3})
        assert [error.field for error in raised.value.errors] == ["dose_gird_mm"]
        with pytest.raises(MissingError):
            radiarch.job("0nothing0")


def test_whoever_asks_must_say_who_they_are(settings: Settings, stage_hand: StageHand) -> None:
    """Fails when a refusal of the gateway's guard is taken for something else."""
    del stage_hand
    app = create_app(settings.model_copy(update={"authentication": "accounts"}))
    with served(app) as url:
        with Radiarch(url) as radiarch, pytest.raises(LoginNeededError):
            radiarch.info()
        bearer = login(app, {Role.RADIOLOGIST})["Authorization"].removeprefix("Bearer ")
        with Radiarch(url, key=bearer) as radiarch:
            assert list(radiarch.jobs()) == []
            with pytest.raises(NotAllowedError, match="radiologist"):
                radiarch.plan(plan_body())


async def test_a_gateway_that_is_restarted_is_followed_on(
    settings: Settings, stage_hand: StageHand, objects: FolderStore, tmp_path: Path
) -> None:
    """Events are said while the gateway is away, and after it. Fails on a gap, a repeat, or a wait that gives up."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with ExitStack() as running:
        url = running.enter_context(served(create_app(settings)))
        async with AsyncRadiarch(url, patience=Patience(first_s=0.05, longest_s=0.2)) as radiarch:
            taken = await radiarch.plan(plan_body())
            seen: list[JobEvent] = []
            half_way = asyncio.Event()

            async def follow() -> None:
                async for event in radiarch.events(taken):
                    seen.append(event)
                    half_way.set()

            following = asyncio.create_task(follow())
            waiting = asyncio.create_task(radiarch.wait(taken))
            for step in range(STEPS):
                if step == STEPS // 3:
                    await half_way.wait()
                    await asyncio.to_thread(running.close)
                if step == 2 * STEPS // 3:
                    app = create_app(settings)
                    port = urlsplit(url).port or 0
                    await asyncio.to_thread(running.enter_context, served(app, port))
                await stage_hand.say(taken.id, "planner", "progress", progress=step / STEPS, message=f"step {step}")
            await finish(stage_hand, objects, taken.id)
            await following
            assert (await waiting).state == "succeeded"
            said = [event.message for event in seen if event.message]
            assert said == [*(f"step {step}" for step in range(STEPS)), "beamlets: 3 of 6"]
            assert len({event.id for event in seen}) == len(seen)
            paths = await radiarch.download(taken, tmp_path / "files")
            assert paths[0].read_bytes() == DOSE


async def _all(radiarch: AsyncRadiarch, job_id: str) -> list[JobEvent]:
    return [event async for event in radiarch.events(job_id)]
