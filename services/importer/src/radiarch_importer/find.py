"""Which structure set, and which CT it was drawn on."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, RTStructureSetStorage, SegmentationStorage
from radiarch_common.errors import RefusedError
from radiarch_common.pacs import InstanceRef, Pacs
from radiarch_common.part10 import UNREADABLE, unreadable


@dataclass(frozen=True)
class Found:
    """A structure set and the CT instances of the one series that it refers to, as the PACS lists them now."""

    structure_set: Dataset
    structure_set_ref: InstanceRef
    ct_refs: tuple[InstanceRef, ...]

    @property
    def study_instance_uid(self) -> str:
        """Study of both."""
        return self.structure_set_ref.study_instance_uid

    @property
    def ct_series_instance_uid(self) -> str:
        """Series of the CT."""
        return self.ct_refs[0].series_instance_uid


def find(pacs: Pacs, study_instance_uid: str, segmentation_uid: str | None) -> Found:
    """The structure set that is meant, and its CT; no pixels are read.

    Parameters
    ----------
    segmentation_uid
        SOP Instance UID of the structure set; None when the study has only one.

    Raises
    ------
    RefusedError
        When there is no such thing, or more than one; it lists what could be meant.
    """
    listed = pacs.instances(study_instance_uid)
    if not listed:
        raise RefusedError(
            f"PACS '{pacs.name}' has no study {study_instance_uid}.",
            "Send CT and RTSTRUCT to this PACS, or name the PACS that has them.",
        )
    ref = _structure_set_ref(listed, segmentation_uid)
    dataset = pacs.instance(ref)
    if dataset is None:
        raise RefusedError(
            f"Structure set {ref.sop_instance_uid} went away while it was read.", "Send it to the PACS again."
        )
    try:
        ct_refs = _ct_refs(dataset, listed)
    except UNREADABLE as error:
        raise unreadable(ref.sop_instance_uid, error) from error
    return Found(structure_set=dataset, structure_set_ref=ref, ct_refs=ct_refs)


def _structure_set_ref(listed: list[InstanceRef], segmentation_uid: str | None) -> InstanceRef:
    structure_sets = [ref for ref in listed if ref.sop_class_uid == RTStructureSetStorage]
    uids = ", ".join(sorted(ref.sop_instance_uid for ref in structure_sets)) or "none"
    if segmentation_uid is None:
        if len(structure_sets) == 1:
            return structure_sets[0]
        if not structure_sets:
            raise RefusedError("The study has no RTSTRUCT.", "Send one that was drawn on its CT.")
        raise RefusedError(
            f"The study has {len(structure_sets)} RTSTRUCTs.",
            f"Name the one that is meant as segmentation_uid: {uids}.",
        )
    named = [ref for ref in listed if ref.sop_instance_uid == segmentation_uid]
    if not named:
        raise RefusedError(f"The study has no instance {segmentation_uid}.", f"Its RTSTRUCTs are: {uids}.")
    if named[0].sop_class_uid == SegmentationStorage:
        raise RefusedError(
            f"Instance {segmentation_uid} is a DICOM SEG, which cannot be planned on yet.",
            "Send its structures as an RTSTRUCT.",
        )
    if named[0].sop_class_uid != RTStructureSetStorage:
        raise RefusedError(f"Instance {segmentation_uid} is not an RTSTRUCT.", f"Its RTSTRUCTs are: {uids}.")
    return named[0]


def _ct_refs(structure_set: Dataset, listed: list[InstanceRef]) -> tuple[InstanceRef, ...]:
    series, images = _referenced(structure_set)
    by_uid = {ref.sop_instance_uid: ref for ref in listed}
    series |= {by_uid[uid].series_instance_uid for uid in images if uid in by_uid}
    if not series and not images:
        raise RefusedError(
            "The RTSTRUCT does not say on which CT it was drawn (no referenced series, no contour images).",
            "Export it again from the contouring system, with its references.",
        )
    found = {ref.series_instance_uid for ref in listed if ref.series_instance_uid in series}
    ct_series = sorted({ref.series_instance_uid for ref in listed if _is_ct(ref)} & found)
    if not ct_series:
        raise _no_ct(sorted(series), [ref for ref in listed if ref.series_instance_uid in found])
    if len(ct_series) > 1:
        raise RefusedError(
            f"The RTSTRUCT refers to {len(ct_series)} CT series: {', '.join(ct_series)}.",
            "Export a structure set that was drawn on one CT.",
        )
    missing = sorted(uid for uid in images if uid not in by_uid)
    if missing:
        raise RefusedError(
            f"{len(missing)} CT slices that the RTSTRUCT refers to are not in the PACS: {_some(missing)}.",
            "Send the whole CT series again.",
        )
    return tuple(ref for ref in listed if ref.series_instance_uid == ct_series[0])


def _referenced(structure_set: Dataset) -> tuple[set[str], set[str]]:
    """Series and CT images that a structure set refers to."""
    series: set[str] = set()
    images: set[str] = set()
    for frame in structure_set.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for one in study.get("RTReferencedSeriesSequence") or ():
                series.add(str(one.SeriesInstanceUID))
                images |= set(_ct_images(one))
    for roi in structure_set.get("ROIContourSequence") or ():
        for contour in roi.get("ContourSequence") or ():
            images |= set(_ct_images(contour))
    return series, images


def _ct_images(item: Dataset) -> Iterator[str]:
    for image in item.get("ContourImageSequence") or ():
        if image.get("ReferencedSOPClassUID") == CTImageStorage:
            yield str(image.ReferencedSOPInstanceUID)


def _is_ct(ref: InstanceRef) -> bool:
    return ref.sop_class_uid == CTImageStorage


def _no_ct(series: list[str], found: list[InstanceRef]) -> RefusedError:
    if any(ref.sop_class_uid == EnhancedCTImageStorage for ref in found):
        return RefusedError(
            "The RTSTRUCT was drawn on an enhanced (multi-frame) CT, which cannot be planned on yet.",
            "Export the CT as single-frame CT images.",
        )
    kinds = ", ".join(sorted({ref.modality for ref in found}))
    what = f"series of {kinds}, not of CT" if found else f"series {_some(series)}, which the study in the PACS lacks"
    return RefusedError(f"The RTSTRUCT refers to {what}.", "Send the CT on which the structures were drawn.")


def _some(uids: list[str]) -> str:
    more = f" and {len(uids) - 3} more" if len(uids) > 3 else ""
    return ", ".join(uids[:3]) + more
