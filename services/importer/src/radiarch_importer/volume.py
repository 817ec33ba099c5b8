"""The CT of a case: every slice into one volume, once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from radiarch_common.case import Reference
from radiarch_common.errors import RefusedError, UnavailableError
from radiarch_common.geometry import Grid
from radiarch_common.pacs import Pacs
from radiarch_common.part10 import UNREADABLE, unreadable
from radiarch_common.watch import Watch

from radiarch_importer.find import Found
from radiarch_importer.header import HEADER_KEYWORDS
from radiarch_importer.hounsfield import slice_hu
from radiarch_importer.slices import SliceFrame, SlicePlace, check_same, check_spacing, read_slice

DEVICE_KEYWORDS = ("Manufacturer", "ManufacturerModelName", "KVP")


@dataclass(frozen=True)
class CtVolume:
    """A CT on a uniform axial grid.

    Attributes
    ----------
    hu
        Shape (z, y, x), int16, HU; padding is air.
    slices
        By rising z, one for each plane.
    first
        Patient, study and device attributes of the slice of lowest z.
    """

    hu: npt.NDArray[np.int16]
    grid: Grid
    slices: tuple[Reference, ...]
    frame: SliceFrame
    first: Dataset


def read_ct(pacs: Pacs, found: Found, watch: Watch) -> CtVolume:
    """Read the CT, slice by slice in whatever order the PACS sends them.

    Raises
    ------
    RefusedError
        When a slice cannot be read, or the slices are not one uniform axial CT in HU.
    UnavailableError
        When the series changes while it is read.
    """
    reader = _Reader(len(found.ct_refs))
    expected = {ref.sop_instance_uid for ref in found.ct_refs}
    for dataset in pacs.iter_series(found.study_instance_uid, found.ct_series_instance_uid):
        if str(dataset.get("SOPInstanceUID", "")) not in expected - reader.uids:
            raise _changed(pacs)
        reader.add(dataset)
        watch.progress(0.05 + 0.6 * reader.count / len(expected), f"CT slice {reader.count}")
    if reader.uids != expected:
        raise _changed(pacs)
    return reader.volume()


def _changed(pacs: Pacs) -> UnavailableError:
    return UnavailableError(f"PACS '{pacs.name}'", "the CT series changed while it was read")


class _Reader:
    """Collects slices into a volume that is allocated once."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._hu = np.empty((0, 0, 0), np.int16)
        self._frame: SliceFrame | None = None
        self._first: Dataset | None = None
        self.places: list[SlicePlace] = []

    @property
    def count(self) -> int:
        return len(self.places)

    @property
    def uids(self) -> set[str]:
        return {place.sop_instance_uid for place in self.places}

    def add(self, dataset: Dataset) -> None:
        uid = str(dataset.SOPInstanceUID)
        try:
            frame, place = read_slice(dataset)
            if self._frame is None:
                self._frame = frame
                self._hu = np.empty((self._expected, frame.rows, frame.columns), np.int16)
            check_same(self._frame, frame, place)
            self._hu[self.count] = frame.order.in_lps(slice_hu(dataset, uid))
            if not self.places or place.z_mm < min(p.z_mm for p in self.places):
                self._first = _header(dataset)
        except UNREADABLE as error:
            raise unreadable(uid, error) from error
        self.places.append(place)

    def volume(self) -> CtVolume:
        if self._frame is None or self._first is None:
            raise RefusedError("The CT series has no slices.", "Send the CT again.")
        order = sorted(range(self.count), key=lambda i: self.places[i].z_mm)
        sorted_places = [self.places[i] for i in order]
        spacing = check_spacing([place.z_mm for place in sorted_places])
        _reorder(self._hu, order)
        frame = self._frame
        grid = Grid(
            origin_mm=(frame.x_mm, frame.y_mm, sorted_places[0].z_mm),
            spacing_mm=(frame.column_spacing_mm, frame.row_spacing_mm, spacing),
            size=(frame.columns, frame.rows, self.count),
        )
        slices = tuple(
            Reference(sop_class_uid=place.sop_class_uid, sop_instance_uid=place.sop_instance_uid)
            for place in sorted_places
        )
        return CtVolume(hu=self._hu, grid=grid, slices=slices, frame=frame, first=self._first)


def _reorder(hu: npt.NDArray[np.int16], order: list[int]) -> None:
    """Put slice ``order[i]`` at ``i``, in place: a second volume would double the memory of a large CT."""
    done = [False] * len(order)
    for start in range(len(order)):
        if done[start]:
            continue
        held = hu[start].copy()
        at = start
        while order[at] != start:
            hu[at] = hu[order[at]]
            done[at] = True
            at = order[at]
        hu[at] = held
        done[at] = True


def _header(dataset: Dataset) -> Dataset:
    header = Dataset()
    for keyword in (*HEADER_KEYWORDS, *DEVICE_KEYWORDS):
        if keyword in dataset:
            header[keyword] = dataset[keyword]
    return header
