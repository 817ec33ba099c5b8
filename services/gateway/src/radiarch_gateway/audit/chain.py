"""The chain: an entry's hash covers everything in it and the hash of the entry before. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from radiarch_common.errors import RadiarchError

from radiarch_gateway.audit.models import AuditRow

GENESIS: Final = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True)
class Head:
    """The last entry of a chain."""

    sequence: int = 0
    hash: str = GENESIS


class BrokenChainError(RadiarchError):
    """The log is not as it was written.

    Attributes
    ----------
    sequence
        The first entry that is wrong or missing.
    """

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"Entry {sequence}: {why}")
        self.sequence = sequence
        self.why = why


def canonical(entry: Mapping[str, Any]) -> str:
    """Everything in an entry but its own hash, by column, as JSON that is the same on every database."""
    at: datetime = entry["at"]
    content = {name: value for name, value in entry.items() if name != "hash"}
    content["at"] = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def seal(entry: Mapping[str, Any]) -> str:
    """The hash of an entry; ``previous_hash`` is part of its content."""
    return hashlib.sha256(canonical(entry).encode()).hexdigest()


def walk(rows: Iterable[AuditRow], known: Head | None = None) -> Head:
    """The head of a whole log, entry by entry.

    Parameters
    ----------
    rows
        From the first on, in order.
    known
        A head that was noted before: it must still be in the log, so that a cut-off end and a chain written anew
        are found too.

    Raises
    ------
    BrokenChainError
        At the first entry that is changed, missing, or not where it was written.
    """
    head = Head()
    for row in rows:
        if row.sequence != head.sequence + 1:
            raise BrokenChainError(head.sequence + 1, "missing.")
        if row.previous_hash != head.hash:
            raise BrokenChainError(row.sequence, "does not follow the entry before.")
        if row.hash != seal(row.model_dump()):
            raise BrokenChainError(row.sequence, "changed since it was written.")
        head = Head(row.sequence, row.hash)
        if known is not None and known.sequence == head.sequence and known.hash != head.hash:
            raise BrokenChainError(row.sequence, "not the entry that was noted.")
    if known is not None and known.sequence > head.sequence:
        raise BrokenChainError(head.sequence + 1, "missing; a later one was noted.")
    return head
