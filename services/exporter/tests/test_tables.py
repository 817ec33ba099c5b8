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
