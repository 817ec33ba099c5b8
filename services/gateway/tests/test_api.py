"""The way of a plan as a client sees it, on a real bus and a real database."""

import hashlib
import json
import socket
from typing import Any

import httpx
from pydantic import SecretStr
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import ImportStudy
from radiarch_common.objects import FolderStore
from radiarch_common.settings import S3Settings, Settings, WebPacsSettings
from radiarch_common.topology import JOBS
from radiarch_gateway.app import create_app
from radiarch_gateway.info.probes import WAIT_S
from radiarch_testkit.gateway import HANG_S, StageHand, served, until

DVH = {
    "kind": "cumulative",
    "curves": [
        {
            "structure": "PTV",
            "roi_number": 1,
            "volume_cc": 100.5,
            "metrics": {"D95%[Gy]": 58.25},
            "dose_gy_rbe": [0.0, 60.0],
            "volume_percent": [100.0, 50.0],
        }
    ],
}
REPORT = {
    "goals": [
        {
            "goal": {"structure": "PTV", "metric": "D95%[Gy]", "op": ">=", "value": 59.0, "limit": 57.0, "priority": 2},
            "achieved": 58.25,
            "met": False,
            "verdict": "acceptable",
        }
    ],
    "worst_goals": [{"scenario": "setup x +5 mm", "achieved": 55.5, "verdict": "missed"}],
    "indices": {
        "target": "PTV",
        "prescription_gy_rbe": 60.0,
        "target_cc": 100.5,
        "covered_cc": 50.0,
        "isodose_cc": 60.0,
        "half_isodose_cc": 300.0,
        "homogeneity": 0.07,
        "conformity": 0.41,
        "conformity_95": 0.8,
        "gradient": 5.0,
    },
    "beam_statistics": [],
    "uncertainty": {"percent": 1.2, "voxels": "PTV", "batches": 12},
    "warnings": {"request": ["said already"], "case": ["Thick slices."], "planner": []},
}


ASKED = ("goals", "worst_goals", "indices")


def _artifact(objects: FolderStore, name: str, kind: str, data: bytes, media_type: str) -> dict[str, Any]:
    key = f"artifacts/{name}"
    objects.put(key, data)
    digest = hashlib.sha256(data).hexdigest()
    return {
        "name": name,
        "kind": kind,
        "media_type": media_type,
        "key": key,
        "sha256": digest,
        "size_bytes": len(data),
    }


def _artifacts(objects: FolderStore) -> list[dict[str, Any]]:
    dose = _artifact(objects, "RTDOSE.dcm", "RTDOSE", b"dose", "application/dicom")
    dose |= {"sop_instance_uid": "1.2.9", "dicomweb_url": "https://pacs.example/studies/1/series/2/instances/1.2.9"}
    return [
        dose,
        _artifact(objects, "dvh.json", "DVH", json.dumps(DVH).encode(), "application/json"),
        _artifact(objects, "plan.json", "REPORT", json.dumps(REPORT).encode(), "application/json"),
    ]


async def _plan(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await http.post("/api/v1/plans", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def test_a_plan_from_request_to_artifacts(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand, objects: FolderStore
) -> None:
    """The main job: what was asked goes to the importer, what the stages say comes back, files can be had."""
    answer = await http.post("/api/v1/plans", json=body)
    assert answer.status_code == 202
    taken = answer.json()
    plan_url, job_id = answer.headers["Location"], taken["job"]["id"]
    assert plan_url == f"/api/v1/plans/{taken['id']}"
    assert taken["resolved"]["spec"]["primaries_final"] == 2_000_000

    fetched = await stage_hand.bus.js.pull_subscribe_bind(consumer="importer", stream=JOBS)
    message = (await fetched.fetch(1, timeout=20))[0]
    job = ImportStudy.model_validate_json(message.data)
    assert job.job_id == job_id
    assert job.study_instance_uid == "1.2.3.4"
    assert job.request.model_dump(mode="json") == taken["resolved"]
    assert (job.deadline - job.created_at).total_seconds() == 24 * 3600

    await stage_hand.say(job_id, "importer", "started")
    await stage_hand.say(job_id, "importer", "finished", timings={"fetch": 1.5})
    await stage_hand.say(job_id, "planner", "started")
    await stage_hand.say(job_id, "planner", "progress", progress=0.25, message="beamlets 3 of 12", eta_seconds=40.0)
    running = await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["progress"] == 0.25)
    assert running.json() | {"state": "running", "stage": "planner", "eta_seconds": 40.0} == running.json()
    before = (await http.get(plan_url)).json()
    assert before["artifacts"] == []
    assert before["dvh"] == []
    assert before["outcome_missing"] is None

    await stage_hand.say(job_id, "planner", "finished", timings={"beamlets": 20.0, "optimise": 3.0})
    await stage_hand.say(job_id, "exporter", "started")
    await stage_hand.say(job_id, "exporter", "finished", artifacts=_artifacts(objects))
    done = await until(lambda: http.get(plan_url), lambda a: a.json()["job"]["state"] == "succeeded")
    plan = done.json()
    assert plan["requested"] == body
    assert plan["resolved"] == taken["resolved"]
    assert plan["job"]["progress"] == 1.0
    assert plan["job"]["timings"]["importer"]["fetch"] == 1.5
    assert plan["job"]["timings"]["planner"] | {"beamlets": 20.0, "optimise": 3.0} == plan["job"]["timings"]["planner"]
    assert [line["stage"] for line in plan["job"]["log"]][-1] == "exporter"
    assert plan["dvh"] == [{"structure": "PTV", "volume_cc": 100.5, "metrics": {"D95%[Gy]": 58.25}}]
    assert [plan[name] for name in ASKED] == [REPORT[name] for name in ASKED]
    assert plan["uncertainty"]["percent"] == 1.2
    assert plan["warnings"][-1] == "Thick slices."
    assert "Scanner 1" in plan["warnings"][0]

    dose = plan["artifacts"][0]
    assert (dose["name"], dose["dicomweb_url"][-5:]) == ("RTDOSE.dcm", "1.2.9")
    found = await http.get(dose["download_url"])
    assert found.content == b"dose"
    assert found.headers["ETag"] == f'"{hashlib.sha256(b"dose").hexdigest()}"'
    assert found.headers["Content-Type"] == "application/dicom"
    assert found.headers["Content-Disposition"] == 'attachment; filename="RTDOSE.dcm"'
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    same = await http.get(dose["download_url"], headers={"If-None-Match": found.headers["ETag"]})
    assert same.status_code == 304


async def test_an_artifact_that_was_changed_is_not_given_out(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand, objects: FolderStore
) -> None:
    """A dose that is not the one that was stored must not reach anybody; the plan says why its metrics are gone."""
    plan_id = await _plan(http, body)
    await stage_hand.say(plan_id, "exporter", "finished", artifacts=_artifacts(objects))
    done = await until(lambda: http.get(f"/api/v1/plans/{plan_id}"), lambda a: a.json()["artifacts"])
    objects.put("artifacts/RTDOSE.dcm", b"another dose")
    objects.delete("artifacts/dvh.json")
    found = await http.get(done.json()["artifacts"][0]["download_url"])
    assert found.status_code == 500
    assert "SHA-256 differs" in found.json()["detail"]
    plan = (await http.get(f"/api/v1/plans/{plan_id}")).json()
    assert plan["dvh"] == []
    assert "no longer in the object store" in plan["outcome_missing"]


async def test_lists_are_newest_first_and_paged_without_gap(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """Following the cursor meets every plan once."""
    made = [await _plan(http, body) for _ in range(5)]
    for noun in ("plans", "jobs"):
        met: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await http.get(f"/api/v1/{noun}", params={"limit": "2", **cursor})).json()
            met += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert sorted(met) == sorted(made)
        assert met == sorted(met, reverse=True)


async def test_info_says_who_answers(http: httpx.AsyncClient) -> None:
    """A PACS folder that is not there is named, with why, and does not hide the others."""
    info = (await http.get("/api/v1/info")).json()
    assert info["planner_version"] == "9.9"
    assert [machine["id"] for machine in info["machines"]] == ["room-1", "generic"]
    reachable = info["reachable"]
    assert reachable["bus"]["ok"]
    assert reachable["database"]["ok"]
    assert reachable["objects"]["ok"]
    assert any("Scanner 1" in warning for warning in info["warnings"])
    assert (await http.get("/health/ready")).status_code == 200
    assert (await http.get("/health/live")).status_code == 200


async def test_info_does_not_hang_on_neighbours_that_do(
    settings: Settings, stage_hand: StageHand, catalogue: Catalogue
) -> None:
    """An archive that takes the call and says nothing, and a store that is away, are told apart from what answers."""
    await stage_hand.offer(catalogue)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        pacs = {
            "silent": WebPacsSettings(url=f"http://127.0.0.1:{port}/dicom-web", timeout_s=WAIT_S + 2),
            "away": WebPacsSettings(url="http://127.0.0.1:9/dicom-web", timeout_s=WAIT_S + 2),
        }
        away = S3Settings(endpoint="127.0.0.1:9", access_key="a", secret_key=SecretStr("very-secret"))
        lacking = settings.model_copy(update={"pacs": pacs, "s3": away})
        with served(create_app(lacking)) as url:
            async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
                answer = await until(lambda: client.get("/api/v1/info"), lambda a: a.json()["reachable"]["bus"]["ok"])
    reachable = answer.json()["reachable"]
    assert reachable["database"]["ok"]
    assert not reachable["objects"]["ok"]
    assert "No answer within" in reachable["pacs"]["silent"]["why"]
    assert not reachable["pacs"]["away"]["ok"]
    assert "very-secret" not in answer.text


async def test_workflows_come_with_their_numbers_and_schema(http: httpx.AsyncClient) -> None:
    """A client can build its form from this answer alone."""
    (workflow,) = (await http.get("/api/v1/workflows")).json()["workflows"]
    assert workflow["parameters"]["primaries_per_spot"] == 700
    assert workflow["overrides_schema"]["properties"]["spot_spacing_mm"]["minimum"] == 3.0
