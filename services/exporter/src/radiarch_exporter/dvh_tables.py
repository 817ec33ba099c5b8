"""DVH as JSON (every curve and metric, full precision) and as CSV (one row for each point of each curve).

Columns of ``dvh.csv``, which are keys of each curve of ``dvh.json`` too:

==================  ========  =====================================================
structure                     name of the ROI in the structure set
roi_number                    ROI Number (3006,0022) in the structure set; none for a derived structure
dose_gy_rbe         Gy(RBE)   dose of all fractions
volume_percent      %         share of the structure that receives at least that dose
volume_cc           cm3       volume of the structure that receives at least that dose
==================  ========  =====================================================

In ``dvh.json`` ``volume_cc`` is the whole volume of the structure, and ``derived`` how a structure was made that is
not in the structure set ("" for the others), and on what voxels. ``between_contours`` says what solid the volumes and
doses are those of. ``scenarios`` has metrics and goals of each scenario of a plan's robustness, ``let`` the
dose-averaged LET of each structure, when they were asked for.
"""

import csv
import json
from io import StringIO

from radiarch_common.result import DvhCurve, ResultManifest

from radiarch_exporter.record import NOTICE

BETWEEN_CONTOURS = (
    "Between two contours a structure runs from the one to the other by their shapes; beyond its first and its last it "
    "keeps their shape for half a plane spacing (end caps), and partly covered cells count in part."
)
"""The solid of a drawn structure, as the planner takes it."""
COLUMNS = ("structure", "roi_number", "dose_gy_rbe", "volume_percent", "volume_cc")


def dvh_json(result: ResultManifest) -> bytes:
    """Curves, metrics and units as JSON, UTF-8."""
    spec = result.resolved.spec
    document = {
        "notice": NOTICE,
        "kind": "cumulative",
        "units": {
            "dose_gy_rbe": "Gy(RBE)",
            "volume_percent": "%",
            "volume_cc": "cm3",
            "metrics": "Gy is Gy(RBE)",
            "let": "keV/um",
        },
        "rbe": spec.rbe,
        "fractions": spec.prescription.fractions,
        "between_contours": BETWEEN_CONTOURS,
        "indices": result.indices.model_dump(mode="json") if result.indices else None,
        "scenarios": [scenario.model_dump(mode="json") for scenario in result.scenarios],
        "let": [structure.model_dump(mode="json") for structure in result.let],
        "curves": [_curve(curve) for curve in result.dvh],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode()


def dvh_csv(result: ResultManifest) -> bytes:
    """Curves as CSV with a header line (see ``COLUMNS``), UTF-8, six significant digits."""
    out = StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for curve in result.dvh:
        for dose, volume in zip(curve.dose_gy_rbe, curve.volume_percent, strict=True):
            cc = volume * curve.volume_cc / 100.0
            table.writerow((curve.structure, _roi_number(curve), f"{dose:.6g}", f"{volume:.6g}", f"{cc:.6g}"))
    return out.getvalue().encode()


def _roi_number(curve: DvhCurve) -> int | None:
    return None if curve.derived else curve.number


def _curve(curve: DvhCurve) -> dict[str, object]:
    return {
        "structure": curve.structure,
        "roi_number": _roi_number(curve),
        "derived": curve.derived,
        "volume_cc": curve.volume_cc,
        "metrics": curve.metrics,
        "dose_gy_rbe": curve.dose_gy_rbe,
        "volume_percent": curve.volume_percent,
    }
