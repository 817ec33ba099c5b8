"""A validator that knows the standard, and not our code, reads what we write."""

from pathlib import Path

import pytest
from pydicom import Dataset
from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.record import encoded
from radiarch_testkit.dciodvfy import remarks


@pytest.fixture(params=["RTPLAN", "RTPLAN with a range shifter", "RTDOSE"])
def record(request: pytest.FixtureRequest, job: ExportResult, case: Case, result: Result, robust: Result) -> Dataset:
    if request.param == "RTPLAN with a range shifter":
        return ion_plan(job, case.manifest, robust.manifest)
    if request.param == "RTPLAN":
        return ion_plan(job, case.manifest, result.manifest)
    return rt_dose(job, case.manifest, result.manifest, result.dose_gy_rbe())


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100"])
def test_the_validator_has_nothing_to_say(record: Dataset, tmp_path: Path) -> None:
    assert remarks(encoded(record), tmp_path) == []


def test_the_validator_is_awake(record: Dataset, tmp_path: Path) -> None:
    """Each kind with one required element taken away: a validator that skips the file would not notice."""
    keyword = "RTPlanGeometry" if record.Modality == "RTPLAN" else "DoseSummationType"
    delattr(record, keyword)
    assert any(keyword in remark for remark in remarks(encoded(record), tmp_path))
