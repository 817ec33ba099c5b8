"""A file is there whole, or not at all."""

import os
import tempfile
from pathlib import Path

PART_PREFIX = ".part-"
"""Of files that are being written."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to disk, then rename it into its place; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PART_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
