"""What a reader finds in the RT Dose: voxels in the right place of the patient, with the value of the result."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.dose import rt_dose
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.record import encoded


@pytest.fixture
def dose(job: ExportResult, case: Case, result: Result) -> Dataset:
    return dcmread(BytesIO(encoded(rt_dose(job, case.manifest, result.manifest, result.dose_gy_rbe()))))


def test_every_voxel_is_within_half_a_step(dose: Dataset, result: Result) -> None:
    scaling = float(dose.DoseGridScaling.original_string)
    given = result.dose_gy_rbe().astype(np.float64)
    pixels = dose.pixel_array
    assert pixels.dtype == np.uint32
    # A part in 10**9 for the rounding of the product itself.
    assert np.max(np.abs(pixels * scaling - given)) <= scaling * (0.5 + 1e-6)
    assert 2**32 - 100 < int(pixels.max()) < 2**32


def test_voxels_lie_where_the_planner_put_them(dose: Dataset, result: Result) -> None:
    """Positions from PS3.3 C.7.6.2.1.1 and the frame offsets, looked up in the result by position alone."""
    row_step, column_step = (float(v) for v in dose.PixelSpacing)
    across, down = np.split(np.asarray(dose.ImageOrientationPatient, dtype=float), 2)
    corner = np.asarray(dose.ImagePositionPatient, dtype=float)
    grid = result.manifest.grid
    given = result.dose_gy_rbe()
    pixels, scaling = dose.pixel_array, float(dose.DoseGridScaling)
    random = np.random.default_rng(3)
    for _ in range(200):
        frame, row, column = (int(random.integers(n)) for n in pixels.shape)
        offset = float(dose.GridFrameOffsetVector[frame])
        place = corner + across * column_step * column + down * row_step * row + np.array([0.0, 0.0, offset])
        i, j, k = (round(float(v)) for v in (place - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm))
        assert pixels[frame, row, column] * scaling == pytest.approx(float(given[k, j, i]), abs=1e-6)


def test_planes_are_ct_planes(dose: Dataset, case: Case) -> None:
    ct_mm = case.manifest.grid.axis_mm(2)
    for offset in dose.GridFrameOffsetVector:
        assert np.min(np.abs(ct_mm - (float(dose.ImagePositionPatient[2]) + float(offset)))) < 1e-6
    assert dose.GridFrameOffsetVector[0] == 0
    assert dose.FrameIncrementPointer == 0x3004000C
    assert dose.NumberOfFrames == len(dose.GridFrameOffsetVector)


def test_it_says_what_the_dose_is(dose: Dataset) -> None:
    assert (dose.DoseType, dose.DoseUnits, dose.DoseSummationType) == ("EFFECTIVE", "GY", "PLAN")
    assert "RBE 1.1 constant" in dose.DoseComment
    assert "not for clinical use" in dose.DoseComment
    assert len(dose.DoseComment) <= 64


def test_references_lead_to_the_plan_and_the_structures(
    dose: Dataset, job: ExportResult, case: Case, result: Result
) -> None:
    plan = ion_plan(job, case.manifest, result.manifest)
    item = dose.ReferencedRTPlanSequence[0]
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (plan.SOPClassUID, plan.SOPInstanceUID)
    assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.481.8"
    structures = dose.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    assert structures == case.manifest.structure_set.sop_instance_uid
    assert (dose.StudyInstanceUID, dose.FrameOfReferenceUID) == (plan.StudyInstanceUID, plan.FrameOfReferenceUID)
    assert dose.SeriesInstanceUID != plan.SeriesInstanceUID


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_dose_that_is_none_is_not_written(job: ExportResult, case: Case, result: Result, wrong: float) -> None:
    dose = np.full(result.manifest.grid.shape, wrong, dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        rt_dose(job, case.manifest, result.manifest, dose)


def test_planes_between_ct_planes_are_not_written(job: ExportResult, case: Case, result: Result) -> None:
    grid = result.manifest.grid
    x, y, z = grid.origin_mm
    shifted = result.manifest.model_copy(update={"grid": grid.model_copy(update={"origin_mm": (x, y, z + 0.4)})})
    with pytest.raises(ValueError, match="planes"):
        rt_dose(job, case.manifest, shifted, result.dose_gy_rbe())


def test_the_curves_of_the_result_are_in_it(dose: Dataset, result: Result) -> None:
    """Read as viewers do: the volume of a bin receives at least the dose of its lower edge."""
    for item, curve in zip(dose.DVHSequence, result.manifest.dvh, strict=True):
        assert item.DVHReferencedROISequence[0].ReferencedROINumber == curve.number
        widths, volumes_cc = (np.asarray(item.DVHData[k::2], dtype=float) for k in (0, 1))
        assert len(widths) == item.DVHNumberOfBins
        lower_gy = np.cumsum(widths) - widths
        wanted = np.interp(curve.dose_gy_rbe, lower_gy, volumes_cc)[:-1]
        np.testing.assert_allclose(
            wanted, np.asarray(curve.volume_percent[:-1]) / 100 * curve.volume_cc, atol=0.002 * curve.volume_cc
        )
        assert item.DVHMeanDose == curve.metrics["Mean[Gy]"]
