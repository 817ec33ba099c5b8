"""One clinic's work is nothing to another: by no route that there is."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.objects import FolderStore
from radiarch_common.settings import Settings
from radiarch_gateway.auth.guard import ACCESS_COOKIE
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.rules import decisions
from radiarch_gateway.rules.matching import Outcome
from radiarch_gateway.rules.store import active_rules
from radiarch_testkit.finished import finish
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login

STUDY = "1.2.840.99"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Callers must say who they are."""
    return settings.model_copy(update={"authentication": "accounts"})


@pytest.fixture
async def client(app: FastAPI, stage_hand: StageHand, catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    await stage_hand.offer(catalogue)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=HANG_S) as found:
            yield found


async def test_of_another_clinic_nothing_is_seen_and_nothing_done(
    app: FastAPI, client: httpx.AsyncClient, stage_hand: StageHand, objects: FolderStore, body: dict[str, Any]
) -> None:
    """Every role at once in the other clinic; each way is shown to lead somewhere for the clinic itself.

    A link is a bearer credential by design; what must not be is that the other clinic gets one.
    """
    ours, theirs = login(app, set(Role), "north"), login(app, set(Role), "south")
    await until(lambda: client.get("/info", headers=ours), lambda answer: answer.json()["workflows"])
    body = body | {"study_instance_uid": STUDY}
    plan_id: str = (await client.post("/plans", json=body, headers=ours)).json()["id"]
    await finish(stage_hand, objects, plan_id)
    plan = await until(lambda: client.get(f"/plans/{plan_id}", headers=ours), lambda answer: answer.json()["artifacts"])
    file_id: str = plan.json()["artifacts"][0]["id"]
    asked = {name: value for name, value in body.items() if name != "study_instance_uid"}
    rule_id: str = (await client.post("/rules", json={"title": "R", "request": asked}, headers=ours)).json()["id"]
    signed = await client.post(f"/rules/{rule_id}/versions/1/sign", headers=ours)
    assert signed.status_code == 200, signed.text
    with app.state.gateway.database.reading() as session:
        (rule,) = active_rules(session)
    decisions.write(app.state.gateway.database, rule, decisions.Decision("main", STUDY, Outcome.REFUSED, ("Why.",)))
    erasure = await client.post("/erasures", json={"study_instance_uid": "9.9"}, headers=ours)

    for path in (
        f"/plans/{plan_id}",
        f"/plans/{plan_id}/artifacts",
        f"/jobs/{plan_id}",
        f"/jobs/{plan_id}/events",
        f"/artifacts/{file_id}",
        f"/rules/{rule_id}",
        f"/erasures/{erasure.json()['id']}",
    ):
        assert (await client.get(path, headers=ours)).status_code == 200, path
        assert (await client.get(path, headers=theirs)).status_code == 404, path
    assert (await client.head(f"/artifacts/{file_id}", headers=ours)).status_code == 200
    assert (await client.head(f"/artifacts/{file_id}", headers=theirs)).status_code == 404
    by_study = f"study_instance_uid={STUDY}"
    for path in ("/plans", f"/plans?{by_study}", "/jobs", f"/jobs?{by_study}", "/rules", "/rules/decisions"):
        assert len((await client.get(path, headers=ours)).json()["items"]) == 1, path
        assert (await client.get(path, headers=theirs)).json()["items"] == [], path
    trail = f"/audit?study_instance_uid={STUDY}&limit=200"
    actors = [
        {act["actor"] for act in (await client.get(trail, headers=who)).json()["items"]} for who in (ours, theirs)
    ]
    assert [len(one) for one in actors] == [1, 1]
    assert actors[0].isdisjoint(actors[1]), "they asked for the study in vain, and that alone is theirs to read"
    assert '"site": "north"' not in (await client.get("/audit/export", headers=theirs)).text

    made = await client.post(f"/artifacts/{file_id}/link", headers=ours)
    root = str(client.base_url).split("/api/")[0]
    assert (await client.get(root + made.json()["url"])).status_code == 200
    page = f"{root}/plan/{plan_id}"
    for headers, status in ((ours, 200), (theirs, 404)):
        cookie = f"{ACCESS_COOKIE}={headers['Authorization'].removeprefix('Bearer ')}"
        assert (await client.get(page, headers={"Cookie": cookie})).status_code == status

    for method, path, sent in (
        ("POST", f"/artifacts/{file_id}/link", None),
        ("POST", f"/jobs/{plan_id}/cancel", None),
        ("POST", f"/jobs/{plan_id}/retry", None),
        ("DELETE", f"/plans/{plan_id}", None),
        ("POST", "/erasures", {"plan_id": plan_id}),
        ("POST", f"/rules/{rule_id}/versions", {"title": "R", "request": asked}),
        ("POST", f"/rules/{rule_id}/versions/1/sign", None),
        ("POST", f"/rules/{rule_id}/deactivate", None),
    ):
        answer = await client.request(method, path, json=sent, headers=theirs)
        assert answer.status_code == 404, (method, path, answer.text)
    theirs_erased = await client.post("/erasures", json={"study_instance_uid": STUDY}, headers=theirs)
    done = await until(
        lambda: client.get(f"/erasures/{theirs_erased.json()['id']}", headers=theirs),
        lambda answer: answer.json()["state"] == "done",
    )
    assert done.json()["plan_ids"] == []
    assert (await client.get(f"/artifacts/{file_id}", headers=ours)).status_code == 200
    key = {"Idempotency-Key": "same"}
    again = [(await client.post("/plans", json=body, headers=who | key)).json()["id"] for who in (ours, theirs)]
    assert again[0] != again[1]
    first = [await _first_job(client, who | {"Last-Event-ID": "0"}) for who in (ours, theirs)]
    assert first == [plan_id, again[1]], "the stream of all jobs, from its very beginning"


async def _first_job(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """Whose event comes first on the stream of all jobs."""
    async with client.stream("GET", "/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))["job_id"]
    raise AssertionError("the stream ended")
