"""What people and programs read besides DICOM: numbers, units, origins, and no patient."""

import csv
import json
from io import StringIO

from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.dvh_tables import COLUMNS, dvh_csv, dvh_json
from radiarch_exporter.plan_json import plan_json


def test_the_csv_holds_every_point_of_every_curve(result: Result) -> None:
    rows = list(csv.DictReader(StringIO(dvh_csv(result.manifest).decode())))
    assert tuple(rows[0]) == COLUMNS
    for curve in result.manifest.dvh:
        own = [row for row in rows if row["structure"] == curve.structure]
        assert {row["roi_number"] for row in own} == {str(curve.number)}
        assert len(own) == len(curve.dose_gy_rbe)
        row, dose, percent = own[30], curve.dose_gy_rbe[30], curve.volume_percent[30]
        assert abs(float(row["dose_gy_rbe"]) - dose) < 1e-4
        assert abs(float(row["volume_percent"]) - percent) < 1e-3
        assert abs(float(row["volume_cc"]) - percent / 100 * curve.volume_cc) < 1e-2


def test_the_json_holds_curves_metrics_and_units(result: Result) -> None:
    document = json.loads(dvh_json(result.manifest))
    assert document["units"]["dose_gy_rbe"] == "Gy(RBE)"
    assert document["notice"] == "NOT FOR CLINICAL USE"
    for curve, known in zip(document["curves"], result.manifest.dvh, strict=True):
        assert curve["metrics"] == known.metrics
        assert tuple(curve["dose_gy_rbe"]) == known.dose_gy_rbe


def test_the_report_says_where_numbers_came_from_and_what_to_beware_of(
    job: ExportResult, case: Case, result: Result
) -> None:
    document = json.loads(plan_json(job, case.manifest, result.manifest))
    assert document["request"]["origins"]["machine"] == "deployment"
    assert document["request"]["spec"]["prescription"]["dose_gy_rbe"] == 54.0
    assert document["warnings"]["planner"] == ["The machine is not commissioned."]
    assert document["warnings"]["case"] == ["Three voxels were padding and became air."]
    assert document["provenance"]["seed"] == 4711
    assert document["uncertainty"]["percent"] == 1.7
    assert [g["verdict"] for g in document["goals"]] == ["met", "acceptable"]
    assert document["indices"]["gradient"] == 4.634
    assert [b["delivery_s"] for b in document["beam_statistics"]] == [38.5, None]
    spots = sum(len(layer.mu) for layer in result.manifest.beams[1].layers)
    assert document["beams"][1]["spots"] == spots


def test_the_report_does_not_change_with_the_clock(job: ExportResult, case: Case, result: Result) -> None:
    slower = result.manifest.model_copy(update={"timings": {"beamlets": 999.0}})
    later = job.model_copy(update={"result_key": "results/abcdefgh12345678/1-2-78"})
    assert plan_json(later, case.manifest, slower) == plan_json(job, case.manifest, result.manifest)


def test_both_carry_scenarios_and_let(job: ExportResult, case: Case, robust: Result) -> None:
    """What a program needs to judge robustness by; the worst scenario of each goal is named."""
    plan = json.loads(plan_json(job, case.manifest, robust.manifest))
    dvh = json.loads(dvh_json(robust.manifest))
    for document in (plan, dvh):
        assert [s["scenario"]["name"] for s in document["scenarios"]][:2] == ["nominal", "setup x +3 mm"]
        assert document["scenarios"][4]["metrics"]["PTV"]["D95%[Gy]"] == 46.1
        assert [s["structure"] for s in document["let"]] == ["BODY", "PTV"]
    assert [(w["scenario"], w["achieved"], w["verdict"]) for w in plan["worst_goals"]] == [
        ("setup y -4 mm", 46.1, "missed"),
        ("density -3.5 %", 1234.0, "missed"),
    ]
    assert plan["beams"][0]["range_shifter"]["wet_mm"] == 46.2
    assert plan["beams"][1]["range_shifter"] is None
    assert len(plan["objective_course"]) == 80
    assert "half a plane spacing" in dvh["between_contours"]


def test_a_nominal_plan_has_no_worst_goals(job: ExportResult, case: Case, result: Result) -> None:
    document = json.loads(plan_json(job, case.manifest, result.manifest))
    assert document["worst_goals"] == document["scenarios"] == document["let"] == []
