"""Every error is a problem document that says what is wrong and what would be right, and leaks nothing."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_gateway.jobs import store
from radiarch_testkit.gateway import HANG_S, StageHand, served


def _problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    return problem


@pytest.mark.parametrize(
    ("change", "field", "allowed"),
    [
        ({"workflow": "photon-arc"}, "workflow", "one of: proton-impt"),
        ({"machine": "room-9"}, "machine", "one of: generic, room-1"),
        ({"machine": None}, "machine", "one of: generic, room-1"),
        ({"pacs": "elsewhere"}, "pacs", "one of: main"),
        ({"study_instance_uid": "not a uid"}, "study_instance_uid", "matching"),
        ({"dose_grid_mm": 0.1}, "dose_grid_mm", "at least 1, at most 10"),
        ({"dose_gird_mm": 2}, "dose_gird_mm", "one of: ct_calibration, dose_grid_mm"),
        ({"overrides": {"batches": 9}}, "overrides.batches", "at least 10, at most 100"),
        ({"overrides": {"seed": "x"}}, "overrides.seed", "at least 1"),
        ({"overrides": {"sed": 1}}, "overrides.sed", "one of: batches, beams"),
        ({"overrides": {"beams": []}}, "overrides.beams", "at least 1 items, at most 8 items"),
        (
            {"overrides": {"beams": [{"gantry_angle_deg": 400}]}},
            "overrides.beams.0.gantry_angle_deg",
            "at least 0, less than 360",
        ),
        ({"overrides": {"isocentre_mm": [0, "x", 0]}}, "overrides.isocentre_mm.1", None),
        ({"overrides": {"minimum_spot_mu": 0.001}}, "overrides.minimum_spot_mu", "from 0.02"),
        (
            {"prescription": {"target": "PTV", "dose_gy_rbe": 0, "fractions": 1}},
            "prescription.dose_gy_rbe",
            "at most 150, more than 0",
        ),
        (
            {"prescription": {"target": "PTV", "dose_gy_rbe": 60, "fractions": 0}},
            "prescription.fractions",
            "at least 1, at most 100",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_a_wrong_field_is_named_with_its_range_and_makes_no_job(
    change: dict[str, Any], field: str, allowed: str | None, http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """The user can correct the request from the answer alone; nothing was queued."""
    problem = _problem(await http.post("/api/v1/plans", json=body | change), 422)
    (error,) = problem["errors"]
    assert error["field"] == field
    if allowed is not None:
        assert all(part in error["allowed"] for part in allowed.split(", "))
    assert (await http.get("/api/v1/jobs")).json()["items"] == []


async def test_every_wrong_field_is_listed(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """One round, not one for each mistake."""
    del body["study_instance_uid"]
    body["prescription"] = {"target": "", "dose_gy_rbe": 60}
    problem = _problem(await http.post("/api/v1/plans", json=body), 422)
    fields = {error["field"] for error in problem["errors"]}
    assert fields == {"study_instance_uid", "prescription.target", "prescription.fractions"}


async def test_wrong_addresses_and_methods(http: httpx.AsyncClient) -> None:
    """Also what no route answers is a problem document."""
    for path in ("/api/v1/plans/none", "/api/v1/jobs/none", "/api/v1/jobs/none/events", "/api/v1/artifacts/none"):
        assert "none" in _problem(await http.get(path), 404)["detail"]
    _problem(await http.post("/api/v1/jobs/none/cancel"), 404)
    _problem(await http.delete("/api/v1/plans/none"), 404)
    for path in ("/api/v1/plans/%00", "/api/v1/jobs/A", "/api/v1/artifacts/..%2F..", "/api/v1/plans?cursor=%00"):
        assert (await http.get(path)).status_code in (404, 422)
    _problem(await http.get("/nowhere"), 404)
    for path, allowed in {"plans": "GET, POST", "plans/none": "DELETE, GET", "rules/test": "POST"}.items():
        refused = await http.put(f"/api/v1/{path}")
        _problem(refused, 405)
        assert refused.headers["Allow"] == allowed, path
    broken = await http.post("/api/v1/plans", content=b"{", headers={"Content-Type": "application/json"})
    assert _problem(broken, 422)["errors"][0]["field"] == "body"
    page = _problem(await http.get("/api/v1/plans", params={"limit": "0"}), 422)
    assert page["errors"][0] == page["errors"][0] | {"field": "limit", "allowed": "at least 1, at most 200"}
    header = await http.get("/api/v1/jobs/none/events", headers={"Last-Event-ID": "x"})
    assert _problem(header, 422)["errors"][0]["field"] == "last-event-id"


async def test_without_a_planner_there_is_nothing_to_resolve_against(
    app: FastAPI, stage_hand: StageHand, body: dict[str, Any]
) -> None:
    """503 and when to come back; then the planner arrives and the same request is taken."""
    assert stage_hand.bus.client.is_connected
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            answer = await client.post("/api/v1/plans", json=body)
            assert "catalogue" in _problem(answer, 503)["detail"]
            assert int(answer.headers["Retry-After"]) > 0
            _problem(await client.get("/api/v1/workflows"), 503)
            info = await client.get("/api/v1/info")
            assert info.status_code == 200
            assert info.json()["planner_version"] is None


async def test_a_defect_tells_the_user_nothing_but_where_to_look(
    http: httpx.AsyncClient, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths, SQL and names of the inside stay in the log."""

    def broken(*_: object) -> None:
        raise ValueError("secret of the inside")

    plan = (await http.post("/api/v1/plans", json=body)).json()
    monkeypatch.setattr(store, "decide", broken)
    monkeypatch.setattr(store, "take_back_job", broken)
    answer = await http.post(f"/api/v1/jobs/{plan['job']['id']}/cancel")
    problem = _problem(answer, 500)
    assert "secret" not in answer.text
    assert problem["instance"].startswith("urn:uuid:")
