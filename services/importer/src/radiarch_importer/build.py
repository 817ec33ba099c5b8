"""A study becomes a case, once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from radiarch_common.body import BodyFromCt
from radiarch_common.case import (
    CASE_LAYOUT,
    CaseDraft,
    CaseManifest,
    Reference,
    Structure,
    load_case,
    save_case,
)
from radiarch_common.contours import occupancy, volume_cc
from radiarch_common.derived import DerivedStructure
from radiarch_common.errors import RefusedError
from radiarch_common.objects import ObjectMissingError, ObjectStore
from radiarch_common.pacs import Pacs
from radiarch_common.part10 import UNREADABLE, unreadable
from radiarch_common.watch import Watch

from radiarch_importer.body import MADE_NAME, make_body
from radiarch_importer.checks import check_target
from radiarch_importer.find import Found, find
from radiarch_importer.header import header_of
from radiarch_importer.structures import Roi, check_frame, find_body, read_rois, warnings_of
from radiarch_importer.volume import CtVolume, read_ct

IMPORTER_LAYOUT = 1
"""Raised whenever the same study would make another case, so that old cases are not used for it."""


def build_case(
    pacs: Pacs,
    objects: ObjectStore,
    study_instance_uid: str,
    segmentation_uid: str | None,
    target: str,
    watch: Watch,
    *,
    derived: Sequence[DerivedStructure] = (),
    body_from_ct: BodyFromCt | None = None,
) -> str:
    """The key of the case of one study and one structure set; made when it is not there yet.

    Parameters
    ----------
    segmentation_uid
        SOP Instance UID of the RTSTRUCT; None when the study has only one.
    target
        Name of the structure that will be planned on; checked, not part of the case.
    derived
        Structures that the planner will make; the target may be one of them.
    body_from_ct
        How BODY is made when the structure set has none; None to refuse such a study.

    Raises
    ------
    RefusedError
        When the study cannot be planned.
    UnavailableError
        When PACS or object store do not answer.
    """
    watch.progress(0.0, "Looking for the structure set and its CT")
    with watch.timed("find"):
        found = find(pacs, study_instance_uid, segmentation_uid)
        index_key = _index_key(pacs, found, body_from_ct)
        case_key = _indexed(objects, index_key)
    if case_key is None:
        draft = _draft(pacs, found, body_from_ct, watch)
        watch.progress(0.9, "Storing the case")
        with watch.timed("store"):
            case_key = save_case(objects, draft)
            objects.put(index_key, json.dumps({"case_key": case_key}).encode())
    check_target(load_case(objects, case_key), target, derived)
    watch.progress(1.0, "The case is ready")
    return case_key


def _index_key(pacs: Pacs, found: Found, body_from_ct: BodyFromCt | None) -> str:
    """Where the case is noted that these instances make."""
    made_from: dict[str, object] = {
        "layouts": [IMPORTER_LAYOUT, CASE_LAYOUT],
        "pacs": pacs.name,
        "ct": sorted(ref.sop_instance_uid for ref in found.ct_refs),
        "structure_set": found.structure_set_ref.sop_instance_uid,
    }
    if body_from_ct is not None:
        made_from["body_from_ct"] = body_from_ct.model_dump()
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return f"case-index/{digest}.json"


def _indexed(objects: ObjectStore, index_key: str) -> str | None:
    """The case that was noted, when it is still there."""
    try:
        case_key = str(json.loads(objects.get(index_key))["case_key"])
    except ObjectMissingError:
        return None
    return case_key if objects.exists(f"{case_key}/case.json") else None


def _draft(pacs: Pacs, found: Found, body_from_ct: BodyFromCt | None, watch: Watch) -> CaseDraft:
    with watch.timed("structures"):
        try:
            rois = read_rois(found.structure_set)
        except UNREADABLE as error:
            raise unreadable(found.structure_set_ref.sop_instance_uid, error) from error
        body = find_body(rois, may_be_made=body_from_ct is not None)
    with watch.timed("retrieve"):
        ct = read_ct(pacs, found, watch)
    _check_patient(found, ct)
    check_frame(rois, ct.frame.frame_of_reference_uid)
    with watch.timed("structures"):
        parts = _parts(ct, rois, watch)
        number = body.number if body is not None else _add_body(parts, ct, body_from_ct)
        contours = {roi.number: roi.contours for roi in rois}
        return CaseDraft(_manifest(found, ct, parts, number), ct.hu, parts.occupancy, contours)


def _check_patient(found: Found, ct: CtVolume) -> None:
    if str(found.structure_set.get("PatientID", "") or "").strip() != ct.frame.patient_id:
        raise RefusedError(
            "CT and RTSTRUCT have different PatientIDs.",
            "Make sure that both are of one patient, and correct the identity in the PACS.",
        )


@dataclass
class _Parts:
    """Structures, the voxels they fill, by number, and what a reader should know of them."""

    structures: list[Structure] = field(default_factory=list[Structure])
    occupancy: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict[int, npt.NDArray[np.uint8]])
    warnings: list[str] = field(default_factory=list[str])


def _parts(ct: CtVolume, rois: list[Roi], watch: Watch) -> _Parts:
    parts = _Parts()
    if not ct.frame.patient_id:
        parts.warnings.append("CT and RTSTRUCT have no PatientID: nothing proves one patient.")
    slice_mm = ct.grid.spacing_mm[2]
    for done, roi in enumerate(rois):
        watch.progress(0.7 + 0.2 * done / len(rois), f"Structure {done + 1} of {len(rois)}")
        parts.occupancy[roi.number], grid = occupancy(roi.contours, ct.grid)
        parts.structures.append(
            Structure(
                number=roi.number,
                name=roi.name,
                interpreted_type=roi.interpreted_type,
                volume_cc=volume_cc(roi.contours, slice_mm),
                grid=grid,
                unused_contours=sum(roi.unused.values()),
            )
        )
        parts.warnings += warnings_of(roi, slice_mm)
    return parts


def _add_body(parts: _Parts, ct: CtVolume, body_from_ct: BodyFromCt | None) -> int:
    """Make BODY from the CT and return its number, which no ROI has."""
    if body_from_ct is None:
        raise ValueError("a body is made only when it was asked for")
    made = make_body(ct.hu, ct.grid, body_from_ct)
    number = max((structure.number for structure in parts.structures), default=0) + 1
    taken = {structure.name for structure in parts.structures}
    parts.structures.append(
        Structure(
            number=number,
            name=MADE_NAME if MADE_NAME not in taken else f"{MADE_NAME} (from CT)",
            interpreted_type="EXTERNAL",
            volume_cc=made.volume_cc,
            grid=made.grid,
            derived=made.recipe,
        )
    )
    parts.occupancy[number] = made.occupancy
    parts.warnings += made.warnings
    return number


def _manifest(found: Found, ct: CtVolume, parts: _Parts, body: int) -> CaseManifest:
    kvp = ct.first.get("KVP")
    return CaseManifest(
        grid=ct.grid,
        structures=tuple(parts.structures),
        body=body,
        patient_position=ct.frame.patient_position,
        frame_of_reference_uid=ct.frame.frame_of_reference_uid,
        study_instance_uid=found.study_instance_uid,
        ct_series_instance_uid=found.ct_series_instance_uid,
        ct_slices=ct.slices,
        structure_set=Reference(
            sop_class_uid=found.structure_set_ref.sop_class_uid,
            sop_instance_uid=found.structure_set_ref.sop_instance_uid,
        ),
        header=header_of(ct.first),
        manufacturer=str(ct.first.get("Manufacturer", "") or ""),
        manufacturer_model_name=str(ct.first.get("ManufacturerModelName", "") or ""),
        kvp=None if kvp is None else float(kvp),
        warnings=tuple(parts.warnings),
        digests={},
    )
