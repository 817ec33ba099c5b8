"""Into the PACS, and back again: what the archive gives back must be what was sent.

Objects that the archive does not take are no refusal of the job: a full disk, a lock or a restart look the
same from here and pass. The runtime tries again, and dead-letters the job with the archive's reasons when
they do not pass. Sending what is there already changes nothing.
"""

from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.tag import BaseTag
from radiarch_common.errors import RefusedError
from radiarch_common.pacs import InstanceRef, Pacs


class ArchiveError(RuntimeError):
    """The archive did not take an object, or gives back another one."""


def send(pacs: Pacs, records: Sequence[Dataset]) -> None:
    """Store all records at once.

    Raises
    ------
    ArchiveError
        If the archive failed to store one of them, with its reasons.
    UnavailableError
        If the archive does not answer.
    """
    report = pacs.store(records)
    if report.failed:
        modality = {str(r.SOPInstanceUID): str(r.Modality) for r in records}
        reasons = "; ".join(f"{modality.get(uid, 'object')} {uid}: {reason}" for uid, reason in report.failed)
        kept = len(records) - len(report.failed)
        raise ArchiveError(f"PACS '{pacs.name}' stored {kept} of {len(records)} objects. Failed: {reasons}")


def read_back(pacs: Pacs, record: Dataset) -> None:
    """Fetch a record again and compare every element, pixels too.

    Raises
    ------
    ArchiveError
        If it is not there, or differs; the message names the elements, not their values.
    UnavailableError
        If the archive does not answer.
    """
    what = f"PACS '{pacs.name}': {record.Modality} {record.SOPInstanceUID}"
    try:
        found = pacs.instance(_ref(record))
    except RefusedError as error:
        # The connector speaks of unreadable input; here it is what we wrote, and the job's input is not at fault.
        raise ArchiveError(f"{what} cannot be read back: {error.reason}") from error
    if found is None:
        raise ArchiveError(f"{what} is not there after it was stored")
    differing = list(differences(record, found))
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ArchiveError(f"{what} is not what was sent; it differs in {', '.join(differing[:5])}{more}")


def differences(sent: Dataset, found: Dataset, where: str = "") -> Iterator[str]:
    """Paths of the elements in which two data sets differ, such as ``IonBeamSequence[0].BeamName``."""
    for tag in sorted(set(sent.keys()) | set(found.keys())):
        name = where + _name(sent if tag in sent else found, tag)
        if tag not in sent or tag not in found:
            yield name
        else:
            yield from _element_differences(sent, found, tag, name)


def _element_differences(sent: Dataset, found: Dataset, tag: BaseTag, name: str) -> Iterator[str]:
    left, right = sent[tag], found[tag]
    if left.VR != right.VR:
        yield name
    elif left.VR != "SQ":
        if left.value != right.value:
            yield name
    elif len(left.value) != len(right.value):
        yield name
    else:
        for index, (ours, theirs) in enumerate(zip(left.value, right.value, strict=True)):
            yield from differences(ours, theirs, f"{name}[{index}].")


def _name(record: Dataset, tag: BaseTag) -> str:
    return record[tag].keyword or str(tag)


def _ref(record: Dataset) -> InstanceRef:
    return InstanceRef(
        study_instance_uid=str(record.StudyInstanceUID),
        series_instance_uid=str(record.SeriesInstanceUID),
        sop_instance_uid=str(record.SOPInstanceUID),
        sop_class_uid=str(record.SOPClassUID),
        modality=str(record.Modality),
    )
