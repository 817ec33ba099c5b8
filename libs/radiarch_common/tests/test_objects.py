"""Both object stores keep the same promises; S3 is a real server."""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


def test_entries_tell_size_and_last_use(objects: ObjectStore) -> None:
    """Fails when a touched object does not come after one that was put later, or a size or the prefix is wrong."""
    objects.put("cache/ab/old", b"12345")
    objects.put("cache/cd/new", b"123")
    objects.put("cached", b"1")
    began = datetime.now(UTC)
    ends = time.monotonic() + 30.0
    while True:  # servers date objects to the second
        objects.touch("cache/ab/old", after_s=0.0)
        found = {entry.key: entry for entry in objects.entries("cache/")}
        if found["cache/ab/old"].used_at > found["cache/cd/new"].used_at or time.monotonic() > ends:
            break
    assert found["cache/ab/old"].used_at > found["cache/cd/new"].used_at
    assert {key: entry.size_bytes for key, entry in found.items()} == {"cache/ab/old": 5, "cache/cd/new": 3}
    assert all(abs(entry.used_at - began) < timedelta(minutes=5) for entry in found.values())
    assert objects.get("cache/ab/old") == b"12345"
    assert {entry.key for entry in objects.entries("cache/a")} == {"cache/ab/old"}
    assert {entry.key for entry in objects.entries("c")} == {"cache/ab/old", "cache/cd/new", "cached"}
    assert not list(objects.entries("none/"))


def test_an_object_used_lately_is_not_marked_again(objects: ObjectStore) -> None:
    """Fails when each use costs a write, or touching a missing object is an error or makes one."""
    objects.put("cache/ab/old", b"12345")
    (before,) = objects.entries("cache/")
    objects.touch("cache/ab/old")
    objects.touch("cache/ab/none", after_s=0.0)
    assert list(objects.entries("cache/")) == [before]


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
        lambda: store.touch("a"),
        lambda: list(store.entries("a")),
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError, match="object store"):
            attempt()


def test_a_part_is_read_without_the_rest(objects: ObjectStore) -> None:
    """Fails when a bound is off, a part is not cut into chunks, or a missing object is told too late."""
    data = bytes(range(256)) * 10_000
    objects.put("a/b", data)
    assert b"".join(objects.read("a/b")) == data
    assert b"".join(objects.read("a/b", 1000, 2_000_000)) == data[1000:2_001_000]
    assert b"".join(objects.read("a/b", len(data) - 3)) == data[-3:]
    assert b"".join(objects.read("a/b", 5, 0)) == b""
    assert max(len(chunk) for chunk in objects.read("a/b")) < len(data)
    assert objects.entry("a/b").size_bytes == len(data)
    with pytest.raises(ObjectMissingError):
        objects.read("a/c")
    with pytest.raises(ObjectMissingError):
        objects.entry("a/c")


def test_all_below_a_folder_goes_and_nothing_beside_it(objects: ObjectStore) -> None:
    """Fails when a key with the same beginning goes too, or an inner one stays."""
    for key in ("r/1/a", "r/1/b/c", "r/10/a", "r/2"):
        objects.put(key, b"x")
    objects.delete_below("r/1")
    objects.delete_below("r/nothing")
    assert list(objects.keys("")) == ["r/10/a", "r/2"]
