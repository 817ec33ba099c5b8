"""A study is sent to the PACS, and its plan comes: a signed rule, the real stages, and no second plan."""

from collections import Counter
from typing import Any

import pytest
from pydicom import dcmread
from radiarch_standalone.phantom import write_phantom
from radiarch_testkit.deployment import Deployment
from radiarch_testkit.requests import phantom_request

pytestmark = pytest.mark.slow


def get(deployment: Deployment, path: str) -> dict[str, Any]:
    return deployment.http.get(path).raise_for_status().json()


def watch(deployment: Deployment) -> dict[str, Any]:
    return get(deployment, "/hooks")["pacs"][0]


def test_a_study_that_is_sent_is_planned_into_the_pacs_and_only_once(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fails when nobody asks, when the plan does not arrive, or when its arrival is taken for a new study.

    Also when a service logs which study it was, as the library that speaks DICOMweb does unless it is told not to.
    """
    study = write_phantom(tmp_path_factory.mktemp("phantom"))
    asked = phantom_request(study, overrides={"beams": [{"name": "G90", "gantry_angle_deg": 90.0}]})
    of_a_study = ("study_instance_uid", "segmentation_uid")
    rule = {
        "title": "C-shape",
        "match": {"structures": ["core"]},
        "request": {name: value for name, value in asked.items() if name not in of_a_study},
    }
    made = deployment.http.post("/rules", json=rule)
    assert made.status_code == 201, made.text
    deployment.http.post(f"/rules/{made.json()['id']}/versions/1/sign").raise_for_status()

    assert not deployment.pacs.store([dcmread(path) for path in study.files]).failed
    deployment.wait(lambda: bool(get(deployment, "/plans")["items"]), "the rule's plan")
    (plan,) = get(deployment, "/plans")["items"]
    job = deployment.end_of(plan["job"]["id"])
    assert job["state"] == "succeeded", job
    kinds = Counter(ref.modality for ref in deployment.pacs.instances(study.study_instance_uid))
    assert (kinds["RTPLAN"], kinds["RTDOSE"]) == (1, 1)

    last = deployment.orthanc.last_change()

    def exports_were_read() -> bool:
        seen = watch(deployment)
        return seen["cursor"] >= last and seen["changed_studies"] == 0

    deployment.wait(exports_were_read, "the watch to see what was exported")
    assert len(get(deployment, "/plans")["items"]) == 1
    tried = {"rule": rule, "study_instance_uid": study.study_instance_uid}
    answer = deployment.http.post("/rules/test", json=tried).raise_for_status().json()
    assert (answer["outcome"], answer["request"]["segmentation_uid"]) == ("planned", study.structure_set_uid)
    assert [one["outcome"] for one in get(deployment, "/rules/decisions")["items"]] == ["planned"]
    told = {name: (deployment.folder / f"{name}.log").read_text() for name in deployment.services}
    assert all(told.values())
    assert [name for name, log in told.items() if study.study_instance_uid in log] == []
