"""A folder of DICOM files as a PACS.

Several processes, and the user, may put files into the folder at any time: every call first looks at the
names, sizes and times of the files, and reads the header of those that are new.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog
from pydicom import Dataset, dcmread

from radiarch_common.archive import InstanceRef, StoreReport
from radiarch_common.errors import UnavailableError
from radiarch_common.files import write_whole
from radiarch_common.part10 import UNREADABLE, encoded, unreadable

logger = structlog.get_logger()

_HEADER = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"]


class _File(NamedTuple):
    modified_ns: int
    size: int
    ref: InstanceRef | None


class FolderPacs:
    """DICOM files in a folder and its subfolders; names that start with a dot are left alone.

    New instances are written to ``<study>/<series>/<instance>.dcm``.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._lock = threading.Lock()
        self._files: dict[Path, _File] = {}
        self._paths: dict[InstanceRef, Path] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def instances(self, study_instance_uid: str, series_instance_uid: str | None = None) -> list[InstanceRef]:
        """See ``Pacs.instances``; sorted by UID."""
        found = [
            ref
            for ref in self._looked_at()
            if ref.study_instance_uid == study_instance_uid and series_instance_uid in (None, ref.series_instance_uid)
        ]
        return sorted(found, key=lambda ref: (ref.series_instance_uid, ref.sop_instance_uid))

    def iter_series(self, study_instance_uid: str, series_instance_uid: str) -> Iterator[Dataset]:
        """See ``Pacs.iter_series``. Raises RefusedError that names an instance that cannot be read."""
        for ref in self.instances(study_instance_uid, series_instance_uid):
            dataset = self.instance(ref)
            if dataset is not None:
                yield dataset

    def instance(self, ref: InstanceRef) -> Dataset | None:
        """See ``Pacs.instance``. Raises RefusedError when the file cannot be read."""
        path = self._paths.get(ref) or self._find(ref)
        if path is None:
            return None
        try:
            return dcmread(path, force=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"PACS '{self.name}'", type(error).__name__) from error
        except UNREADABLE as error:
            raise unreadable(ref.sop_instance_uid, error) from error

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        """See ``Pacs.store``; a file appears whole or not at all."""
        stored: list[str] = []
        failed: list[tuple[str, str]] = []
        known = {_identity(ref) for ref in self._looked_at()}
        for dataset in datasets:
            uid = str(dataset.SOPInstanceUID)
            try:
                content = encoded(dataset)
                path = self._path_for(dataset)
            except UNREADABLE as error:
                failed.append((uid, f"cannot be written as DICOM ({type(error).__name__})"))
                continue
            if _identity(_ref(dataset)) not in known and not path.exists():
                self._write(path, content)
            stored.append(uid)
        return StoreReport(stored=tuple(stored), failed=tuple(failed))

    def url_of(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> str | None:
        """See ``Pacs.url_of``: a folder has no URLs."""
        del study_instance_uid, series_instance_uid, sop_instance_uid
        return None

    @property
    def can_remove(self) -> bool:
        """See ``Pacs.can_remove``."""
        return True

    def remove(self, sop_instance_uids: Sequence[str]) -> None:
        """See ``Pacs.remove``; every file of an instance goes."""
        self._looked_at()
        wanted = set(sop_instance_uids)
        found = [path for path, file in self._files.items() if file.ref and file.ref.sop_instance_uid in wanted]
        try:
            for path in found:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"PACS '{self.name}'", type(error).__name__) from error

    def ping(self) -> None:
        """See ``Pacs.ping``."""
        if not self._folder.is_dir():
            raise UnavailableError(f"PACS '{self.name}'", "the folder is not there")

    def _find(self, ref: InstanceRef) -> Path | None:
        """Path of an instance that may have come since the last look."""
        key = _identity(ref)
        return next((path for known, path in self._looked_at().items() if _identity(known) == key), None)

    def _looked_at(self) -> dict[InstanceRef, Path]:
        """Where each instance is, by what is in the folder now."""
        self.ping()
        try:
            with self._lock:
                self._look()
                return self._paths
        except OSError as error:
            raise UnavailableError(f"PACS '{self.name}'", type(error).__name__) from error

    def _look(self) -> None:
        seen = {path: (stat.st_mtime_ns, stat.st_size) for path, stat in _walk(self._folder)}
        known = {path: (file.modified_ns, file.size) for path, file in self._files.items()}
        if seen == known:
            return
        self._files = {
            path: self._files[path] if known.get(path) == state else _File(*state, _header(path))
            for path, state in sorted(seen.items())
        }
        # Of two files of one instance the first by name counts.
        self._paths = {file.ref: path for path, file in reversed(self._files.items()) if file.ref is not None}

    def _path_for(self, dataset: Dataset) -> Path:
        uids = [str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)]
        if not all(uid.replace(".", "").isdigit() and uid.isascii() for uid in uids):
            raise ValueError("UIDs must be digits and dots")
        return self._folder / uids[0] / uids[1] / f"{uids[2]}.dcm"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_whole(path, content)
        except OSError as error:
            raise UnavailableError(f"PACS '{self.name}'", type(error).__name__) from error


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                # A link to a folder above would never end.
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path), entry.stat()
            except FileNotFoundError:
                continue


def _header(path: Path) -> InstanceRef | None:
    """What instance a file holds; None for files that are no DICOM instance."""
    try:
        ref = _ref(dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_HEADER)))
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        # File names and values may be patient data.
        logger.debug("A file in the PACS folder is not a DICOM instance", error=type(error).__name__)
        return None
    return ref if all(_identity(ref)) else None


def _ref(dataset: Dataset) -> InstanceRef:
    study, series, instance, sop_class, modality = (str(dataset.get(keyword, "") or "") for keyword in _HEADER)
    return InstanceRef(study, series, instance, sop_class, modality)


def _identity(ref: InstanceRef) -> tuple[str, str, str]:
    return ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid
