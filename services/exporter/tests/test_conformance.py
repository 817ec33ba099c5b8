"""A validator that knows the standard, and not our code, reads what we write."""

import shutil
import subprocess
from pathlib import Path

import pytest
from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.record import encoded
from radiarch_testkit.require import require


@pytest.fixture(scope="module")
def dciodvfy() -> str:
    """Debian's DICOM validator."""
    found = shutil.which("dciodvfy")
    require(found is not None, "dciodvfy is not installed (Debian: dicom3tools)")
    return str(found)


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100"])
@pytest.mark.parametrize("kind", ["RTPLAN", "RTDOSE"])
def test_the_validator_has_nothing_to_say(
    dciodvfy: str, kind: str, job: ExportResult, case: Case, result: Result, tmp_path: Path
) -> None:
    record = (
        ion_plan(job, case.manifest, result.manifest)
        if kind == "RTPLAN"
        else rt_dose(job, case.manifest, result.manifest, result.dose_gy_rbe())
    )
    file = tmp_path / f"{kind}.dcm"
    file.write_bytes(encoded(record))
    said = subprocess.run([dciodvfy, "-new", str(file)], capture_output=True, text=True, check=False)
    remarks = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    assert remarks == []
