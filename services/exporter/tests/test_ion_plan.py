"""What a reader finds in the RT Ion Plan: read from its bytes, compared with the result."""

from datetime import datetime
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from radiarch_common.case import Case
from radiarch_common.errors import RefusedError
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result, ResultManifest
from radiarch_exporter.ion_plan import ion_plan
from radiarch_exporter.record import encoded


@pytest.fixture
def plan_bytes(job: ExportResult, case: Case, result: Result) -> bytes:
    return encoded(ion_plan(job, case.manifest, result.manifest))


@pytest.fixture
def plan(plan_bytes: bytes) -> Dataset:
    return dcmread(BytesIO(plan_bytes))


def test_spots_sum_up_to_the_meterset(plan: Dataset) -> None:
    """To all the digits that a decimal string has; meterset and last cumulative weight are the same string."""
    metersets = {
        int(r.ReferencedBeamNumber): Fraction(r.BeamMeterset.original_string)
        for r in plan.FractionGroupSequence[0].ReferencedBeamSequence
    }
    assert set(metersets) == {1, 2}
    for beam in plan.IonBeamSequence:
        spots = sum(Fraction(w) for point in beam.IonControlPointSequence for w in _floats(point))
        final = Fraction(beam.FinalCumulativeMetersetWeight.original_string)
        assert abs(spots - final) <= spots * Fraction(1, 10**12)
        assert final == metersets[beam.BeamNumber]
        assert final == Fraction(beam.IonControlPointSequence[-1].CumulativeMetersetWeight.original_string)


def test_control_points_come_in_pairs(plan: Dataset) -> None:
    for beam in plan.IonBeamSequence:
        points = beam.IonControlPointSequence
        assert [p.ControlPointIndex for p in points] == list(range(beam.NumberOfControlPoints))
        given = Fraction(0)
        for first, second in zip(points[::2], points[1::2], strict=True):
            assert Fraction(first.CumulativeMetersetWeight.original_string) == given
            given += sum(Fraction(w) for w in _floats(first))
            assert Fraction(second.CumulativeMetersetWeight.original_string) == given
            assert set(_floats(second)) == {0.0}
            assert first.ScanSpotPositionMap == second.ScanSpotPositionMap
            assert first.NominalBeamEnergy == second.NominalBeamEnergy


def test_spots_and_beams_are_those_of_the_result(plan: Dataset, result: Result) -> None:
    for item, beam in zip(plan.IonBeamSequence, result.manifest.beams, strict=True):
        first = item.IonControlPointSequence[0]
        assert (item.BeamNumber, item.BeamName, item.RadiationType) == (beam.number, beam.name, "PROTON")
        assert (first.GantryAngle, first.PatientSupportAngle) == (beam.gantry_angle_deg, beam.couch_angle_deg)
        assert list(first.IsocenterPosition) == pytest.approx(beam.isocentre_mm, abs=1e-9)
        assert tuple(item.VirtualSourceAxisDistances) == beam.virtual_source_axis_distances_mm
        for point, layer in zip(item.IonControlPointSequence[::2], beam.layers, strict=True):
            assert float(point.NominalBeamEnergy) == pytest.approx(layer.energy_mev, rel=1e-12)
            assert tuple(_floats(point)) == layer.mu
            positions = np.asarray(point.ScanSpotPositionMap).reshape(-1, 2)
            np.testing.assert_array_equal(positions[:, 0], np.asarray(layer.x_mm, dtype=np.float32))
            np.testing.assert_array_equal(positions[:, 1], np.asarray(layer.y_mm, dtype=np.float32))
            np.testing.assert_array_equal(point.ScanningSpotSize, np.asarray(layer.spot_fwhm_mm, dtype=np.float32))


def test_a_range_shifter_is_in_the_beam_that_has_it(job: ExportResult, case: Case, robust: Result) -> None:
    """PS3.3 C.8.8.25: described once in the beam, set in its first control point, and nowhere else."""
    plan = dcmread(BytesIO(encoded(ion_plan(job, case.manifest, robust.manifest))))
    behind, without = plan.IonBeamSequence
    assert without.NumberOfRangeShifters == 0
    assert not [element for element in without.iterall() if element.keyword.startswith("RangeShifter")]
    assert behind.NumberOfRangeShifters == 1
    [shifter] = behind.RangeShifterSequence
    assert (shifter.RangeShifterNumber, shifter.RangeShifterID, shifter.RangeShifterType) == (1, "rs-40", "BINARY")
    assert shifter.RangeShifterDescription == "40 mm of Lucite"
    first, *others = behind.IonControlPointSequence
    [setting] = first.RangeShifterSettingsSequence
    assert (setting.ReferencedRangeShifterNumber, setting.RangeShifterSetting) == (1, "IN")
    assert setting.IsocenterToRangeShifterDistance == 310.0
    assert setting.RangeShifterWaterEquivalentThickness == pytest.approx(46.2, abs=1e-5)
    assert not any("RangeShifterSettingsSequence" in point for point in others)


def test_references_lead_to_study_structures_and_prescription(plan: Dataset, case: Case) -> None:
    manifest = case.manifest
    assert plan.StudyInstanceUID == manifest.study_instance_uid
    assert plan.FrameOfReferenceUID == manifest.frame_of_reference_uid
    assert plan.SeriesInstanceUID not in (manifest.ct_series_instance_uid, plan.SOPInstanceUID)
    structures = plan.ReferencedStructureSetSequence[0]
    assert structures.ReferencedSOPInstanceUID == manifest.structure_set.sop_instance_uid
    assert structures.ReferencedSOPClassUID == manifest.structure_set.sop_class_uid
    wanted = plan.DoseReferenceSequence[0]
    assert (wanted.ReferencedROINumber, wanted.TargetPrescriptionDose) == (12, 54)
    assert "RBE 1.1" in wanted.DoseReferenceDescription
    assert plan.PatientSetupSequence[0].PatientPosition == manifest.patient_position
    assert plan.FractionGroupSequence[0].NumberOfFractionsPlanned == 30


def test_it_says_that_it_is_not_for_treatment(plan: Dataset) -> None:
    assert (plan.ApprovalStatus, plan.PlanIntent) == ("UNAPPROVED", "RESEARCH")
    assert "NOT FOR CLINICAL USE" in plan.RTPlanDescription
    assert 0 < len(plan.RTPlanLabel) <= 16
    assert "not for treatment" in plan.SeriesDescription


@pytest.mark.parametrize(
    ("charset", "written"), [("ISO_IR 192", "Yamada^Tarō".encode()), ("ISO_IR 100", "Müller^Jürgen".encode("latin-1"))]
)
def test_patient_and_study_are_verbatim(
    plan: Dataset, plan_bytes: bytes, case: Case, charset: str, written: bytes
) -> None:
    given = Dataset.from_json(case.manifest.header)
    assert plan.SpecificCharacterSet == charset
    assert {e.tag: e.value for e in given} == {e.tag: plan[e.tag].value for e in given}
    assert written in plan_bytes


@pytest.mark.parametrize("charset", ["ISO_IR 100"])
def test_a_text_that_the_study_s_character_set_cannot_write_is_not_lost(
    job: ExportResult, case: Case, result: Result
) -> None:
    software = {"計画": "1"}
    provenance = result.manifest.provenance.model_copy(update={"software": software})
    manifest = result.manifest.model_copy(update={"provenance": provenance})
    plan = dcmread(BytesIO(encoded(ion_plan(job, case.manifest, manifest))))
    assert plan.SpecificCharacterSet == "ISO_IR 192"
    assert plan.SoftwareVersions == "計画 1"
    assert plan.PatientName == "Müller^Jürgen"


def test_no_decimal_string_is_longer_than_the_standard_allows(plan: Dataset) -> None:
    texts = [str(v) for e in plan.iterall() if e.VR == "DS" for v in _values(e.value)]
    assert len(texts) > 40
    assert max(len(t) for t in texts) <= 16


def test_dates_are_those_of_the_job_in_the_study_s_time_zone(job: ExportResult, case: Case, result: Result) -> None:
    assert _moment(ion_plan(job, case.manifest, result.manifest)) == datetime(2026, 3, 14, 23, 30, 15)  # noqa: DTZ001
    for offset, there in (
        ("+0100", datetime(2026, 3, 15, 0, 30, 15)),  # noqa: DTZ001
        ("-0330", datetime(2026, 3, 14, 20, 0, 15)),  # noqa: DTZ001
    ):
        header = {**case.manifest.header, "00080201": {"vr": "SH", "Value": [offset]}}
        study = case.manifest.model_copy(update={"header": header})
        assert _moment(ion_plan(job, study, result.manifest)) == there


@pytest.mark.parametrize("mu", [0.3, 0.0, -1.0, float("nan")])
def test_a_weight_that_a_32_bit_float_does_not_hold_is_a_defect(
    job: ExportResult, case: Case, result: Result, mu: float
) -> None:
    with pytest.raises(ValueError, match=r"32-bit float|non-finite"):
        ion_plan(job, case.manifest, _with_layer(result.manifest, {"mu": (mu,)}))


def test_a_beam_without_spots_is_refused_by_name(job: ExportResult, case: Case, result: Result) -> None:
    with pytest.raises(RefusedError, match="LAO"):
        ion_plan(job, case.manifest, _with_layer(result.manifest, {"mu": (), "x_mm": (), "y_mm": ()}))


def test_a_layer_with_more_spots_than_dicom_holds_is_refused(job: ExportResult, case: Case, result: Result) -> None:
    def layer(count: int) -> dict[str, object]:
        return {"mu": (1.0,) * count, "x_mm": (0.5,) * count, "y_mm": (0.5,) * count}

    with pytest.raises(RefusedError, match="8192 spots"):
        ion_plan(job, case.manifest, _with_layer(result.manifest, layer(8192)))
    full = dcmread(BytesIO(encoded(ion_plan(job, case.manifest, _with_layer(result.manifest, layer(8191))))))
    assert full.IonBeamSequence[0].IonControlPointSequence[0].NumberOfScanSpotPositions == 8191


def _with_layer(manifest: ResultManifest, change: dict[str, object]) -> ResultManifest:
    """The manifest with the first layer (of one spot) of the first beam changed."""
    beam = manifest.beams[0]
    layers = (beam.layers[0].model_copy(update=change), *beam.layers[1:])
    return manifest.model_copy(update={"beams": (beam.model_copy(update={"layers": layers}), *manifest.beams[1:])})


def _moment(plan: Dataset) -> datetime:
    return datetime.strptime(plan.RTPlanDate + plan.RTPlanTime, "%Y%m%d%H%M%S")  # noqa: DTZ007


def _floats(point: Dataset) -> list[float]:
    return [float(v) for v in _values(point.ScanSpotMetersetWeights)]


def _values(value: Any) -> list[Any]:  # noqa: ANN401 - whatever pydicom has as a value
    if value is None:
        return []
    return [value] if isinstance(value, str | float) else list(value)
