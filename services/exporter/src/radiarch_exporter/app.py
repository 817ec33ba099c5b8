"""Exporter: jobs.export -> write the result as DICOM, keep it, put it into the PACS, look that it is there."""

from collections.abc import Sequence

from radiarch_common.case import load_case
from radiarch_common.messages import Artifact, ExportResult
from radiarch_common.result import load_result
from radiarch_common.run import Run
from radiarch_common.stage import Stage

from radiarch_exporter.export import export_result

stage = Stage("exporter", takes=ExportResult, gives=None)


@stage
def export(job: ExportResult, run: Run) -> Sequence[Artifact]:
    """Export one result; a second attempt makes the same bytes."""
    case = load_case(run.objects, job.case_key)
    result = load_result(run.objects, job.result_key)
    return export_result(job, case, result, run.objects, run.pacs, run)
