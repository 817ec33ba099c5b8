"""How a patient lies on the couch: the eight positions that can be planned, by DICOM's words.

References
----------
DICOM PS3.3 C.7.3.1.1.2: head or feet first into the equipment; supine is face up, prone face down, decubitus left
is left side down, decubitus right is right side down.
"""

from radiarch_common.errors import RefusedError

POSITIONS = {
    "HFS": "head first, supine",
    "HFP": "head first, prone",
    "HFDL": "head first, left side down",
    "HFDR": "head first, right side down",
    "FFS": "feet first, supine",
    "FFP": "feet first, prone",
    "FFDL": "feet first, left side down",
    "FFDR": "feet first, right side down",
}
"""Patient Position (0018,5100), and what each means."""
ACCEPTED = ", ".join(POSITIONS)


def check_position(position: str) -> None:
    """Refuse a position that beams cannot be aimed at; no position is not taken for any. Raises RefusedError."""
    if position not in POSITIONS:
        what = f"'{position}'" if position else "not known: PatientPosition is empty"
        raise RefusedError(
            f"The patient position is {what}.",
            f"Export the CT with the position in which the patient is treated; these can be planned: {ACCEPTED}.",
        )
