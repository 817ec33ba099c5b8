"""A case: CT and structures of one patient, as the planner reads them and people can open them.

Layout in the object store, content-addressed (``<sha256>`` is the digest of ``case.json``)::

    cases/<sha256>/case.json               geometry, structures, references, patient header, digests
    cases/<sha256>/ct.nrrd                 int16, HU, (z, y, x)
    cases/<sha256>/contours.npz            <number>.points (n, 2) mm, <number>.starts, <number>.z_mm
    cases/<sha256>/structures/<number>.nrrd   uint8, occupancy of each CT voxel in 1/255, cropped

``case.json`` is written last: a case that a message names is complete.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour, Grid
from radiarch_common.objects import ObjectStore
from radiarch_common.plans import Model, Sha256, Uid
from radiarch_common.volumes import from_nrrd, to_nrrd

CASE_LAYOUT = 1


class Reference(Model):
    """A SOP instance that the case was made from."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


class Structure(Model):
    """One region of interest of the structure set.

    ``interpreted_type`` is DICOM's RT ROI Interpreted Type (``EXTERNAL``, ``PTV``, ...), "" when unknown.
    ``unused_contours`` counts contours that were left out because they are not closed, or not axial. ``derived``
    tells how a structure was made that the structure set does not have: nothing that is exported refers to its
    number.
    """

    number: int
    name: str
    interpreted_type: str
    volume_cc: float
    grid: Grid
    unused_contours: int = 0
    derived: str = ""


class CaseManifest(Model):
    """What ``case.json`` says.

    Attributes
    ----------
    header
        Patient and study attributes in the DICOM JSON model, to be copied verbatim into what is exported.
    ct_slices
        By rising z, one for each plane of ``grid``.
    body
        Number of the structure that outlines the patient.
    digests
        SHA-256 of every other file of the bundle, by its name.
    """

    layout: int = CASE_LAYOUT
    grid: Grid
    structures: tuple[Structure, ...]
    body: int
    patient_position: str
    frame_of_reference_uid: Uid
    study_instance_uid: Uid
    ct_series_instance_uid: Uid
    ct_slices: tuple[Reference, ...]
    structure_set: Reference
    header: dict[str, Any]
    manufacturer: str = ""
    manufacturer_model_name: str = ""
    kvp: float | None = None
    warnings: tuple[str, ...] = ()
    digests: dict[str, Sha256]

    def structure(self, name: str) -> Structure:
        """The structure of that name. Raises RefusedError that lists the names there are."""
        found = [s for s in self.structures if s.name == name]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(s.name for s in self.structures))
        if found:
            raise RefusedError(f"The structure set has {len(found)} structures named '{name}'.", "Rename all but one.")
        raise RefusedError(f"The structure set has no structure '{name}'.", f"It has: {names}.")


@dataclass(frozen=True)
class CaseDraft:
    """A case not yet stored, as the importer builds it.

    ``manifest`` has empty digests; ``occupancy`` maps structure numbers to uint8 arrays on that structure's
    grid; ``contours`` maps them to their contours.
    """

    manifest: CaseManifest
    ct_hu: npt.NDArray[np.int16]
    occupancy: dict[int, npt.NDArray[np.uint8]]
    contours: dict[int, list[Contour]]


class Case:
    """A stored case; arrays are read when asked for, and checked against their digest."""

    def __init__(self, objects: ObjectStore, key: str, manifest: CaseManifest) -> None:
        self._objects = objects
        self.key = key
        self.manifest = manifest

    @property
    def sha256(self) -> str:
        """Digest of the whole case."""
        return self.key.rsplit("/", 1)[-1]

    def _file(self, name: str) -> bytes:
        data = self._objects.get(f"{self.key}/{name}")
        if hashlib.sha256(data).hexdigest() != self.manifest.digests[name]:
            raise ValueError(f"{self.key}/{name} is not what was stored there: its SHA-256 differs")
        return data

    def ct_hu(self) -> npt.NDArray[np.int16]:
        """CT on ``manifest.grid``: shape (z, y, x), int16, HU."""
        return from_nrrd(self._file("ct.nrrd"))[0].astype(np.int16, copy=False)

    def occupancy(self, structure: Structure) -> npt.NDArray[np.float32]:
        """Share of each voxel of ``structure.grid`` inside the structure: shape (z, y, x), float32, 0..1."""
        array, _ = from_nrrd(self._file(f"structures/{structure.number}.nrrd"))
        return array.astype(np.float32) / np.float32(255)

    def contours(self) -> dict[int, list[Contour]]:
        """Closed planar contours, by structure number; LPS, mm."""
        return _read_contours(self._file("contours.npz"))


def save_case(objects: ObjectStore, draft: CaseDraft) -> str:
    """Store a case and return its key; storing the same case again writes the same bytes to the same key."""
    files = dict(_files(draft))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = draft.manifest.model_copy(update={"digests": digests})
    text = manifest.model_dump_json(indent=1).encode()
    key = f"cases/{hashlib.sha256(text).hexdigest()}"
    for name, data in files.items():
        objects.put(f"{key}/{name}", data)
    objects.put(f"{key}/case.json", text)
    return key


def load_case(objects: ObjectStore, key: str) -> Case:
    """The case stored under ``key``."""
    text = objects.get(f"{key}/case.json")
    if f"cases/{hashlib.sha256(text).hexdigest()}" != key:
        raise ValueError(f"{key}/case.json is not what was stored there: its SHA-256 differs")
    try:
        return Case(objects, key, CaseManifest.model_validate_json(text))
    except ValidationError as error:
        raise ValueError(f"{key} has a layout that this version cannot read: {error}") from error


def _files(draft: CaseDraft) -> Iterator[tuple[str, bytes]]:
    yield "ct.nrrd", to_nrrd(draft.ct_hu.astype(np.int16, copy=False), draft.manifest.grid, "HU")
    yield "contours.npz", _write_contours(draft.contours)
    for structure in draft.manifest.structures:
        occupancy = draft.occupancy[structure.number]
        yield f"structures/{structure.number}.nrrd", to_nrrd(occupancy, structure.grid, "fraction / 255")


def _write_contours(contours: dict[int, list[Contour]]) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, planes in sorted(contours.items()):
        sizes = [len(c.points_mm) for c in planes]
        arrays[f"{number}.points"] = np.concatenate([c.points_mm for c in planes]) if planes else np.zeros((0, 2))
        arrays[f"{number}.starts"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        arrays[f"{number}.z_mm"] = np.asarray([c.z_mm for c in planes], dtype=np.float64)
    out = BytesIO()
    np.savez_compressed(out, **arrays)  # pyright: ignore[reportArgumentType]
    return out.getvalue()


def _read_contours(data: bytes) -> dict[int, list[Contour]]:
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        numbers = sorted(int(name.split(".")[0]) for name in arrays.files if name.endswith(".starts"))
        found: dict[int, list[Contour]] = {}
        for number in numbers:
            points, starts, z_mm = (arrays[f"{number}.{part}"] for part in ("points", "starts", "z_mm"))
            found[number] = [
                Contour(z_mm=float(z), points_mm=points[a:b])
                for z, a, b in zip(z_mm, starts[:-1], starts[1:], strict=True)
            ]
        return found
