"""The files of the catalogue: where they lie, and what is wrong with one that cannot be used, in words."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pydantic import ValidationError

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """Entries of one kind: their folder, and the file that describes one, in a folder of its own unless ``flat``."""

    folder: str
    file: str
    flat: bool = False


MACHINES = Kind("machines", "machine.toml")
CT_CALIBRATIONS = Kind("ct_calibrations", "calibration.toml")
WORKFLOWS = Kind("workflows", "*.toml", flat=True)
KINDS = (MACHINES, CT_CALIBRATIONS, WORKFLOWS)


class EntryError(ValueError):
    """An entry of the catalogue that cannot be used. Its text names the file and what is wrong."""

    def __init__(self, path: Path, wrong: str) -> None:
        super().__init__(f"{path} cannot be used: {wrong}")


def entry_files(shipped: Path, own: Path | None, kind: Kind) -> list[Path]:
    """The files that describe the entries of one kind: those that come with the planner, then the operator's.

    Raises
    ------
    EntryError
        If the operator's folder is not there, or holds folders that are no entries.
    """
    files = _files_in(shipped / kind.folder, kind)
    if own is None:
        return files
    if not own.is_dir():
        raise EntryError(own, "there is no such folder")
    known = [k.folder for k in KINDS]
    for path in _visible(own):
        if path.is_dir() and path.name not in known:
            raise EntryError(path, f"a catalogue has the folders {', '.join(known)} and no others")
    place = own / kind.folder
    return files + (_files_in(place, kind) if place.is_dir() else [])


def by_id(files: list[Path], read: Callable[[Path], T], id_of: Callable[[T], str]) -> dict[str, T]:
    """Entries by their id, which is the name of their folder, or of their file where they have none.

    Raises
    ------
    EntryError
        If an entry cannot be read, is not where its id says, or has the id of another one.
    """
    found: dict[str, T] = {}
    places: dict[str, Path] = {}
    for path in files:
        entry = read(path)
        name = id_of(entry)
        place = path.stem if path.parent.name == WORKFLOWS.folder else path.parent.name
        if name != place:
            raise EntryError(path, f"its id is '{name}', and it lies under the name '{place}'")
        if name in found:
            raise EntryError(path, f"the id '{name}' is taken by {places[name]}")
        found[name], places[name] = entry, path
    return found


class Explained:
    """Raises EntryError, naming ``path``, for whatever is wrong with it inside a ``with``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Put what was wrong into words."""
        if error is None or isinstance(error, EntryError):
            return
        if isinstance(error, ValidationError):
            raise EntryError(self._path, "; ".join(_in_words(found) for found in error.errors())) from error
        if isinstance(error, OSError):
            raise EntryError(self._path, f"{error.strerror or error}, {error.filename or self._path}") from error
        if isinstance(error, ValueError):
            raise EntryError(self._path, str(error)) from error


def _files_in(place: Path, kind: Kind) -> list[Path]:
    if kind.flat:
        return [path for path in _visible(place) if path.match(kind.file)]
    folders = [path for path in _visible(place) if path.is_dir()]
    without = [path for path in folders if not (path / kind.file).is_file()]
    if without:
        raise EntryError(without[0], f"it has no {kind.file}")
    return [path / kind.file for path in folders]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))


def read_toml(text: bytes) -> dict[str, Any]:
    """TOML as it is written in UTF-8. Raises ValueError with the line that is wrong."""
    return tomllib.loads(text.decode("utf-8"))


def _in_words(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, a TypedDict
    place = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
