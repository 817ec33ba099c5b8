"""A CT from another scanner than the calibration's is said, and one whose scanner nobody knows.

Fails when another make, model or kVp goes unsaid, and when the calibration's own scanner is warned about.
"""

from pathlib import Path

import pytest
import radiarch_planner
from radiarch_common.case import CaseManifest, Reference
from radiarch_common.geometry import Grid
from radiarch_planner.machine import CalibrationFile, ScannerFile, read_calibration
from radiarch_planner.scanner import scanner_warnings

SHIPPED = Path(radiarch_planner.__file__).parent / "ct_calibrations"
REFERENCE = Reference(sop_class_uid="1.2", sop_instance_uid="1.2.3")


def ct(manufacturer: str, model: str, kvp: float | None) -> CaseManifest:
    return CaseManifest(
        grid=Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 1), size=(1, 1, 1)),
        structures=(),
        body=1,
        patient_position="HFS",
        frame_of_reference_uid="1.2",
        study_instance_uid="1.2",
        ct_series_instance_uid="1.2",
        ct_slices=(REFERENCE,),
        structure_set=REFERENCE,
        header={},
        manufacturer=manufacturer,
        manufacturer_model_name=model,
        kvp=kvp,
        digests={},
    )


def calibration(*scanners: tuple[str, str | None, float | None]) -> CalibrationFile:
    water = read_calibration(SHIPPED / "water").file
    found = tuple(ScannerFile(manufacturer=make, model=model, kvp=kvp) for make, model, kvp in scanners)
    return water.model_copy(update={"id": "own", "scanners": found})


OWN = calibration(("SIEMENS", "Somatom", 120.0), ("SIEMENS", "Confidence", 100.0))


@pytest.mark.parametrize("known", [("SIEMENS", "Somatom", 120.0), ("Siemens ", "confidence", 100.0)])
def test_its_own_scanner_is_no_warning(known: tuple[str, str, float]) -> None:
    assert scanner_warnings(OWN, ct(*known)) == ()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (("SIEMENS", "Somatom", 100.0), "SIEMENS Somatom at 100 kV"),
        (("SIEMENS", "Confidence", 120.0), "SIEMENS Confidence at 120 kV"),
        (("GE", "Somatom", 120.0), "GE Somatom at 120 kV"),
        (("SIEMENS", "", 120.0), "SIEMENS (unknown model) at 120 kV"),
        (("SIEMENS", "Somatom", None), "SIEMENS Somatom at unknown kV"),
        (("", "", None), "an unknown scanner at unknown kV"),
    ],
)
def test_another_or_an_unknown_one_is(other: tuple[str, str, float | None], named: str) -> None:
    [warning] = scanner_warnings(OWN, ct(*other))
    assert warning == (
        "CT calibration 'own' was measured on SIEMENS Somatom at 120 kV; SIEMENS Confidence at 100 kV; "
        f"this CT is from {named}."
    )


def test_what_the_calibration_does_not_tell_matches_nothing() -> None:
    """The shipped tables tell a make and no more; nobody knows whether the CT's model and kVp are theirs."""
    toshiba = read_calibration(SHIPPED / "ucl-toshiba").file
    [warning] = scanner_warnings(toshiba, ct("TOSHIBA", "Aquilion", 120.0))
    assert "measured on TOSHIBA (unknown model) at unknown kV; this CT is from TOSHIBA Aquilion at 120 kV" in warning


def test_a_calibration_of_no_scanner_says_so() -> None:
    [warning] = scanner_warnings(read_calibration(SHIPPED / "water").file, ct("RADIARCH", "Phantom", 120.0))
    assert warning.startswith("CT calibration 'water' names no scanner that it was measured on; this CT is from")
