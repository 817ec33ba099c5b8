"""What engine processes computed, kept in the object store under the digest of all that the engine read for it.

An entry is never wrong, only missing: other input is another key, a damaged entry is computed again. So the cache
may be trimmed or wiped at any moment, by anybody, and the numbers stay the same bit for bit.
"""

from collections.abc import Generator
from contextlib import contextmanager

from radiarch_common.cache_keys import PREFIX, forget_marks, key_of, mark_of
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import ObjectMissingError, ObjectStore
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger

from radiarch_planner.engines.packing import Arrays, DamagedError, packed, unpacked

_log = get_logger(__name__)


class BlockCache:
    """Arrays under the digest of what they were computed from.

    Its methods raise UnavailableError when the object store is down.

    Parameters
    ----------
    case_sha256
        Of the case that is planned: what is put is marked as computed for it, so that it can be erased with it.
    """

    def __init__(self, objects: ObjectStore, case_sha256: str) -> None:
        self._objects = objects
        self._case_sha256 = case_sha256

    def get(self, digest: str) -> Arrays | None:
        """What was kept, bit for bit, marked as used; None when there is nothing, or nothing that can be used."""
        key = key_of(digest)
        try:
            arrays = unpacked(self._objects.get(key))
        except ObjectMissingError:
            return None
        except DamagedError:
            _log.warning("a damaged entry of the cache is removed, to be computed again", key=key)
            self._objects.delete(key)
            return None
        self._objects.touch(key)
        return arrays

    def put(self, digest: str, arrays: Arrays) -> None:
        """Keep arrays. What another planner puts under the same digest is the same."""
        self._objects.put(mark_of(self._case_sha256, digest), b"")
        self._objects.put(key_of(digest), packed(arrays))


@contextmanager
def open_cache(objects: ObjectStore, settings: Settings, case_sha256: str) -> Generator[BlockCache | None]:
    """The cache during one plan of a case; None when its quota is 0.

    It is trimmed after the plan, and before it, since a plan that fails or is stopped leaves at once.
    """
    quota_bytes = settings.cache_quota_gb * 1e9
    trim(objects, quota_bytes)
    yield BlockCache(objects, case_sha256) if quota_bytes else None
    try:
        trim(objects, quota_bytes)
    except UnavailableError:
        _log.warning("the cache was not trimmed")  # a plan is made, and not lost for that


def trim(objects: ObjectStore, quota_bytes: float) -> int:
    """Remove the entries used least recently until the rest is within the quota; how many were removed.

    Several planners may do so at once: what is gone already does not matter, and what one removes while another
    wants it is computed again. Raises UnavailableError.
    """
    entries = sorted(objects.entries(PREFIX), key=lambda entry: (entry.used_at, entry.key))
    excess = sum(entry.size_bytes for entry in entries) - quota_bytes
    removed: set[str] = set()
    for entry in entries:
        if excess <= 0:
            break
        objects.delete(entry.key)
        excess -= entry.size_bytes
        removed.add(entry.key.rpartition("/")[2])
    if removed:
        forget_marks(objects, removed)
        _log.info("the cache was above its quota", removed=len(removed), kept=len(entries) - len(removed))
    return len(removed)
