"""Which part of a file a request asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"^bytes[ \t]*=[ \t]*(\d{0,18})-(\d{0,18})$", re.IGNORECASE)


class UnsatisfiableError(ValueError):
    """The part that was asked for lies beyond the file's end."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """In bytes."""
        return self.last - self.first + 1

    def of(self, size: int) -> str:
        """As ``Content-Range`` says it."""
        return f"bytes {self.first}-{self.last}/{size}"


def part_of(header: str | None, size: int) -> ByteRange | None:
    """The part that a ``Range`` header asks for; ``None``: the whole.

    What is malformed, of another unit or of several parts is answered with the whole, as a server may.

    Raises
    ------
    UnsatisfiableError
        If no byte of the file is in it.
    """
    found = _ONE.match(header.strip()) if header is not None else None
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), int(found[2]) if found[2] else size - 1
        if found[2] and last < first:
            return None
    if first >= size or last < first:
        raise UnsatisfiableError
    return ByteRange(first, min(last, size - 1))


def unchanged(if_range: str | None, etag: str) -> bool:
    """Whether a part may be given: nothing was asked, or the client's copy is this one (strong comparison)."""
    return if_range is None or if_range.strip() == etag


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this file already (weak comparison)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
