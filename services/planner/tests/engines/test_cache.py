"""The cache gives back what was put, bit for bit or not at all, and forgets what was used least recently."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.cache_keys import MARKS, erase_work, key_of
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import FolderStore, ObjectStore, S3Store
from radiarch_common.settings import Settings
from radiarch_planner.engines.cache import BlockCache, open_cache, trim
from radiarch_planner.engines.packing import Arrays, DamagedError, packed, unpacked

DIGESTS = [f"{number:064x}" for number in range(10)]
CASE = "c" * 64
ARRAYS: Arrays = {
    "odd": np.array([0.0, -0.0, np.nan, np.inf, 1e-45, 3.4e38], dtype=np.float32),
    "turned": np.arange(60, dtype=np.float32).reshape(3, 4, 5)[:, ::-1, ::-1],
    "indices": np.array([-1, 0, 2**31 - 1], dtype=np.int32),
    "indptr": np.array([0, 2**40], dtype=np.int64),
    "none": np.zeros((0, 7), dtype=np.float32),
}


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def filled(objects: ObjectStore, folder: Path) -> int:
    """Put all ``DIGESTS``, the first used longest ago, and return the size of one entry."""
    for hour, digest in enumerate(DIGESTS):
        BlockCache(objects, CASE).put(digest, ARRAYS)
        os.utime(folder / key_of(digest), (1e9 + 3600 * hour, 1e9 + 3600 * hour))
    return len(packed(ARRAYS))


def there(objects: ObjectStore) -> list[str]:
    return [key.rpartition("/")[2] for key in objects.keys("cache/")]


def test_what_was_put_comes_back_bit_for_bit(objects: FolderStore) -> None:
    """Fails when a value, type or shape changes on the way, or what comes back cannot be written to."""
    BlockCache(objects, CASE).put(DIGESTS[0], ARRAYS)
    found = BlockCache(objects, CASE).get(DIGESTS[0])
    assert found is not None
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable
    assert BlockCache(objects, CASE).get(DIGESTS[1]) is None


@pytest.mark.parametrize("damage", ["cut", "one bit", "emptied", "lengthened"])
def test_a_damaged_entry_is_missing_and_goes(
    damage: str, objects: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when wrong bytes are taken for numbers, stay where they are, or go without a word in the log."""
    key, cache = key_of(DIGESTS[0]), BlockCache(objects, CASE)
    cache.put(DIGESTS[0], ARRAYS)
    whole = objects.get(key)
    flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
    objects.put(key, {"cut": whole[:-1], "one bit": flipped, "emptied": b"", "lengthened": whole + b"\0"}[damage])
    with pytest.raises(DamagedError):
        unpacked(objects.get(key))
    assert cache.get(DIGESTS[0]) is None
    assert not objects.exists(key)
    assert "damaged" in capsys.readouterr().out
    cache.put(DIGESTS[0], ARRAYS)
    assert cache.get(DIGESTS[0]) is not None


def test_the_least_recently_used_goes_first(objects: FolderStore, tmp_path: Path) -> None:
    """Fails when the order is that of putting, a use does not count, more than needed goes, or other objects do."""
    objects.put("results/job/dose", b"not the cache's")
    each = filled(objects, tmp_path / "objects")
    assert BlockCache(objects, CASE).get(DIGESTS[1]) is not None  # the second oldest is used again
    assert trim(objects, 7 * each) == 3
    assert there(objects) == [DIGESTS[1], *DIGESTS[4:]]
    assert trim(objects, 7 * each) == 0
    assert objects.exists("results/job/dose")


def test_many_planners_trim_at_once(objects: FolderStore, tmp_path: Path) -> None:
    """Fails when an entry that somebody else removed is an error, or they remove more together than one alone."""
    each = filled(objects, tmp_path / "objects")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(trim, [objects] * 8, [4.0 * each] * 8))
    assert there(objects) == DIGESTS[6:]


def test_an_entry_removed_while_it_is_wanted_is_a_miss(objects: FolderStore, tmp_path: Path) -> None:
    """Fails when a reader meets anything but whole arrays or nothing while others remove what it reads."""
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            filled(objects, tmp_path / "objects")
            trimmed = threads.submit(trim, objects, 0.0)
            read = list(threads.map(BlockCache(objects, CASE).get, DIGESTS))
            assert trimmed.result() == len(DIGESTS)
            assert all(arrays is None or arrays["odd"].tobytes() == ARRAYS["odd"].tobytes() for arrays in read)


def test_a_plan_begins_and_ends_within_the_quota(objects: FolderStore, tmp_path: Path) -> None:
    """Fails when a failed plan's entries stay above the quota for ever, or a quota of 0 keeps anything."""
    each = filled(objects, tmp_path / "objects")
    settings = Settings(cache_quota_gb=2 * each / 1e9)
    with open_cache(objects, settings, CASE) as cache:
        assert cache is not None
        assert there(objects) == DIGESTS[8:]
        cache.put(DIGESTS[0], ARRAYS)
        assert len(there(objects)) == 3
    assert there(objects) == [DIGESTS[0], DIGESTS[9]]
    with open_cache(objects, Settings(cache_quota_gb=0), CASE) as cache:
        assert cache is None
    assert not there(objects)


def test_a_store_that_is_down_makes_the_plan_wait() -> None:
    """Fails when the plan goes on without the store, as if nothing had been kept, or fails for good."""
    down = S3Store("127.0.0.1:9", "a", "b", "bucket", secure=False)
    attempts: list[Callable[[], object]] = [
        lambda: BlockCache(down, CASE).get(DIGESTS[0]),
        lambda: BlockCache(down, CASE).put(DIGESTS[0], ARRAYS),
        lambda: trim(down, 0.0),
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError):
            attempt()


def test_work_is_erased_with_the_case_it_was_computed_for(objects: FolderStore) -> None:
    """Fails when work of an erased case stays, when another's goes, or when work of nobody knows which case stays."""
    other = "d" * 64
    BlockCache(objects, CASE).put(DIGESTS[0], ARRAYS)
    BlockCache(objects, other).put(DIGESTS[1], ARRAYS)
    objects.put(key_of(DIGESTS[2]), packed(ARRAYS))  # from before there were marks
    assert erase_work(objects, [CASE]) == 2
    assert there(objects) == [DIGESTS[1]]
    assert list(objects.keys(MARKS)) == [f"{MARKS}{other}/{DIGESTS[1]}"]


def test_a_mark_goes_with_its_work(objects: FolderStore) -> None:
    """Fails when marks of trimmed entries pile up."""
    BlockCache(objects, CASE).put(DIGESTS[0], ARRAYS)
    trim(objects, 0)
    assert not list(objects.keys(""))
