"""A patient with planted names goes the whole way, and is erased: no byte is left but in the PACS."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from radiarch_common.cache_keys import MARKS, PREFIX
from radiarch_common.objects import FolderStore
from radiarch_standalone.local import LocalRadiarch
from radiarch_standalone.phantom import write_phantom
from radiarch_testkit.requests import phantom_request

pytestmark = pytest.mark.slow
HANG_S = 900.0
PLANTED = {
    "PatientName": "Zwiebelkuchen^Quirinia",
    "PatientID": "PLANTED-ID-90210",
    "PatientBirthDate": "19010203",
    "PatientComments": "Lindwurm im Keller",
    "StudyDescription": "Planted Description Xylophon",
    "AccessionNumber": "ACC-PLANTED-77",
    "ReferringPhysicianName": "Wunderlich^Ottokar",
    "StudyID": "PLANTEDSTUDY",
}
TARGET = "PTV-Knoblauch"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalRadiarch]:
    """Everything on one machine, under one folder: broker, database, objects, PACS, logs."""
    radiarch = LocalRadiarch(tmp_path / "local", settings={"RADIARCH_ACK_WAIT_S": "5"})
    try:
        radiarch.start()
        radiarch.wait_until_ready()
        yield radiarch
    finally:
        radiarch.stop()


def holding(folder: Path, words: list[str], besides: Path) -> set[tuple[str, str]]:
    """Files below a folder, other than those below ``besides``, and which word stands in them."""
    return {
        (str(path.relative_to(folder)), word)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_relative_to(besides)
        for word in words
        if word.encode() in path.read_bytes()
    }


def wait(client: httpx.Client, url: str, final: tuple[str, ...]) -> str:
    """The state of a job or an erasure once it is final."""
    end = time.monotonic() + HANG_S
    while (state := client.get(url).raise_for_status().json()["state"]) not in final:
        assert time.monotonic() < end, f"{url} hangs in state {state}"
        time.sleep(0.1)
    return str(state)


def test_a_patient_is_erased_to_the_last_byte(local: LocalRadiarch) -> None:
    """Fails when a name, an id or a UID is left in object store, database, bus or logs, or the study in the PACS goes.

    Before the erasure the words must be found, or the search would prove nothing.
    """
    study = write_phantom(local.pacs_folder)
    for path in study.files:
        dataset = dcmread(path)
        for keyword, value in PLANTED.items():
            setattr(dataset, keyword, value)
        for roi in dataset.get("StructureSetROISequence", []):
            roi.ROIName = TARGET if roi.ROIName == study.target else roi.ROIName
        dataset.save_as(path, enforce_file_format=True)
    before = {path: path.read_bytes() for path in study.files}
    words = [*PLANTED.values(), TARGET, study.study_instance_uid, study.structure_set_uid]
    body = phantom_request(study, prescription={"target": TARGET})

    with httpx.Client(base_url=f"{local.url}/api/v1", timeout=60) as client:
        job_id = client.post("/plans", json=body).raise_for_status().json()["id"]
        assert wait(client, f"/jobs/{job_id}", ("succeeded", "failed")) == "succeeded"
        found = holding(local.folder, words, local.pacs_folder)
        assert {word for _, word in found} == set(words)
        assert {Path(name).parts[0].partition("-")[0] for name, _ in found} >= {"objects", "radiarch.db"}
        assert not holding(local.folder / "logs", words, local.pacs_folder)
        objects = FolderStore(local.folder / "objects")
        assert len(list(objects.keys(PREFIX))) == len(list(objects.keys(MARKS))) > 0

        taken = client.post("/erasures", json={"patient_id": PLANTED["PatientID"], "pacs": True})
        assert taken.status_code == 202
        assert wait(client, f"/erasures/{taken.json()['id']}", ("done",)) == "done"

    assert not holding(local.folder, words, local.pacs_folder)
    assert not list(objects.keys(""))
    assert {path: path.read_bytes() for path in local.pacs_folder.rglob("*.dcm")} == before
    local.stop()
    assert not holding(local.folder, words, local.pacs_folder)
    local.start()
    local.wait_until_ready()
    assert not holding(local.folder, words, local.pacs_folder)
