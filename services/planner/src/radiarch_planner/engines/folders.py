"""Folders that engines work in: gone when the work ends, swept when the planner was killed.

The owner holds a lock on its folder, which the kernel gives back at its death. A process id in the name would
not do: in a container every planner has the same.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "radiarch-mcsquare-"


@contextmanager
def own_folder(parent: Path | None) -> Generator[Path]:
    """A new folder in ``parent`` (None: where the system keeps temporary files), removed at the end."""
    place = _place(parent)
    place.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place))
    handle = os.open(aside, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Named so that a sweep finds it only now that it is locked.
        folder = aside.rename(place / aside.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    finally:
        os.close(handle)


def sweep(parent: Path | None) -> int:
    """Remove the folders in ``parent`` whose owner is gone; how many there were."""
    return sum(_remove_when_left(folder) for folder in _place(parent).glob(f"{PREFIX}*"))


def _place(parent: Path | None) -> Path:
    return (parent or Path(tempfile.gettempdir())).absolute()


def _remove_when_left(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return not folder.exists()
