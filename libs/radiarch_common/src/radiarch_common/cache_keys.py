"""Where the planner keeps engine work in the object store, and whose it is.

A piece of work lies under the digest of what the engine read, which tells nothing of a patient. So a mark is put
beside it, before it, with the case that it was computed for: an empty object whose key is all that it says::

    cache/<first 2 digits>/<digest>
    cache-cases/<sha256 of the case>/<digest>
"""

from collections.abc import Collection, Iterable

from radiarch_common.objects import ObjectStore

PREFIX = "cache/"
MARKS = "cache-cases/"


def key_of(digest: str) -> str:
    """Where a piece of work lies."""
    return f"{PREFIX}{digest[:2]}/{digest}"


def mark_of(case_sha256: str, digest: str) -> str:
    """The mark that a piece was computed for a case."""
    return f"{MARKS}{case_sha256}/{digest}"


def erase_work(objects: ObjectStore, case_sha256s: Iterable[str]) -> int:
    """Remove all work that was computed for these cases, and all that no mark tells the case of; how much it was.

    Work that another case found here and used goes too: it is computed again. Raises UnavailableError.
    """
    wanted = {f"{MARKS}{sha256}" for sha256 in case_sha256s}
    marks = [entry.key for entry in objects.entries(MARKS)]
    kept = {_digest(mark) for mark in marks} - {_digest(mark) for mark in marks if mark.rpartition("/")[0] in wanted}
    gone = [entry.key for entry in objects.entries(PREFIX) if _digest(entry.key) not in kept]
    for key in gone:
        objects.delete(key)
    for folder in wanted:
        objects.delete_below(folder)
    return len(gone)


def forget_marks(objects: ObjectStore, digests: Collection[str]) -> None:
    """Remove the marks of work that is no longer there. Raises UnavailableError."""
    for mark in [entry.key for entry in objects.entries(MARKS)]:
        if _digest(mark) in digests:
            objects.delete(mark)


def _digest(key: str) -> str:
    return key.rpartition("/")[2]
