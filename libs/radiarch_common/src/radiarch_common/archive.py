"""What a PACS is to Radiarch, whatever speaks to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom import Dataset


@dataclass(frozen=True)
class InstanceRef:
    """One instance that the PACS holds."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str


@dataclass(frozen=True)
class StoreReport:
    """What became of a STOW: stored SOP Instance UIDs, and (UID, reason) of those that failed."""

    stored: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


class Pacs(Protocol):
    """A DICOM archive. Every method may raise UnavailableError; methods block and are thread-safe."""

    name: str

    def instances(self, study_instance_uid: str, series_instance_uid: str | None = None) -> list[InstanceRef]:
        """Instances of a study, or of one of its series; empty when it has none."""
        ...

    def iter_series(self, study_instance_uid: str, series_instance_uid: str) -> Iterator[Dataset]:
        """Every instance of a series, one at a time, so that a volume is never held twice."""
        ...

    def instance(self, ref: InstanceRef) -> Dataset | None:
        """One instance whole; ``None`` when the archive does not have it."""
        ...

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        """Store instances; storing one that is there already leaves the old bytes."""
        ...

    def url_of(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> str | None:
        """DICOMweb URL of an instance as users reach it; ``None`` when there is none (a folder)."""
        ...

    @property
    def can_remove(self) -> bool:
        """Whether ``remove`` is possible here; DICOMweb alone knows no removal."""
        ...

    def remove(self, sop_instance_uids: Sequence[str]) -> None:
        """Remove instances for good; one that is not there does not matter. Only where ``can_remove``."""
        ...

    def ping(self) -> None:
        """Raise UnavailableError when the archive does not answer."""
        ...
