"""Importer: jobs.import -> fetch the study, make a case -> jobs.plan."""

from radiarch_common.messages import ImportStudy, PlanCase
from radiarch_common.run import Run
from radiarch_common.stage import Stage

from radiarch_importer.build import build_case

stage = Stage("importer", takes=ImportStudy, gives="planner")


@stage
def import_study(job: ImportStudy, run: Run) -> PlanCase:
    """Make the case of one study; safe to run twice for the same job."""
    spec = job.request.spec
    study, target = (job.study_instance_uid, job.segmentation_uid), spec.prescription.target
    derived, body = spec.derived_structures, spec.body_from_ct
    key = build_case(run.pacs, run.objects, *study, target, run, derived=derived, body_from_ct=body)
    return PlanCase.of(_with_origin(job), case_key=key)


def _with_origin(job: ImportStudy) -> ImportStudy:
    """The job, with who chose the structure set: the request, or the study that has only one."""
    chosen = "case" if job.segmentation_uid is None else "request"
    request = job.request.model_copy(update={"origins": {**job.request.origins, "segmentation_uid": chosen}})
    return job.model_copy(update={"request": request})
