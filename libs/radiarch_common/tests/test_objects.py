"""Both object stores keep the same promises; S3 is a real server."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import FolderStore, ObjectMissingError, ObjectStore, S3Store
from radiarch_common.settings import S3Settings


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "objects")
    s3: S3Settings = request.getfixturevalue("s3")
    bucket = "test-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    return S3Store(s3.endpoint, s3.access_key, s3.secret_key.get_secret_value(), bucket, secure=False)


def test_what_was_put_comes_back_with_its_digest(objects: ObjectStore) -> None:
    digest = objects.put("cases/abc/ct.nrrd", b"voxels")
    assert digest == hashlib.sha256(b"voxels").hexdigest()
    assert objects.get("cases/abc/ct.nrrd") == b"voxels"
    assert objects.exists("cases/abc/ct.nrrd")


def test_a_missing_object_is_named(objects: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match="cases/none"):
        objects.get("cases/none")
    assert not objects.exists("cases/none")


def test_keys_are_listed_by_prefix_and_deleted(objects: ObjectStore) -> None:
    for key in ("results/b", "results/a/x", "cases/c"):
        objects.put(key, b"1")
    assert list(objects.keys("results/")) == ["results/a/x", "results/b"]
    objects.delete("results/b")
    objects.delete("results/b")
    assert list(objects.keys("results/")) == ["results/a/x"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a//b", "a/../b", "a b", "cases/.hidden", "a\\b"])
def test_keys_cannot_leave_the_store(objects: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="object key"):
        objects.put(key, b"1")


def test_a_store_that_is_down_is_unavailable_not_missing() -> None:
    down = S3Settings(endpoint="127.0.0.1:9", access_key="a", secret_key=SecretStr("b"))
    store = S3Store(down.endpoint, "a", "b", "bucket", secure=False)
    attempts: list[Callable[[], object]] = [
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.exists("a"),
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError, match="object store"):
            attempt()
