"""A plan and its job as they begin: out of the event that says that the plan was taken, and nothing besides."""

from typing import Any, Final

from pydantic_core import PydanticUndefined
from radiarch_common.messages import ExportResult, ImportStudy, JobMessage, PlanCase, Requested, StageName
from radiarch_common.plans import ResolvedPlan

from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.plans.models import PlanRow

WAITING: Final = "Accepted; waiting for the message bus."
_UNBORN: Final = {
    name: field.get_default() for name, field in JobRow.model_fields.items() if field.default is not PydanticUndefined
}
"""What every job begins with."""


def plan_values(event: Requested) -> dict[str, Any]:
    """The columns of the plan that was taken."""
    return {
        "id": event.job_id,
        "created_at": event.at,
        "clinic_id": event.clinic_id,
        "asked_by": event.asked_by,
        "study_instance_uid": event.study_instance_uid,
        "segmentation_uid": event.segmentation_uid,
        "pacs": event.pacs,
        "workflow": event.resolved.workflow.id,
        "requested": event.requested,
        "resolved": event.resolved.model_dump(mode="json"),
        "idempotency_key": event.idempotency_key,
        "body_sha256": event.body_sha256,
    }


def plan_of(event: Requested) -> PlanRow:
    """The plan that was taken."""
    return PlanRow(**plan_values(event))


def job_values(event: Requested) -> dict[str, Any]:
    """The columns of its job, before the bus has heard of it."""
    return {
        **_UNBORN,
        "id": event.job_id,
        "created_at": event.at,
        "updated_at": event.at,
        "deadline": event.deadline,
        "message": WAITING,
        "timings": {},
        "log": [],
        "ahead": [],
    }


def job_of(event: Requested) -> JobRow:
    """Its job, before the bus has heard of it."""
    return JobRow(**job_values(event))


def first_message(event: Requested) -> ImportStudy:
    """What the importer is told."""
    return ImportStudy(
        job_id=event.job_id,
        run=event.run,
        created_at=event.at,
        deadline=event.deadline,
        pacs=event.pacs,
        request=event.resolved,
        study_instance_uid=event.study_instance_uid,
        segmentation_uid=event.segmentation_uid,
    )


def message_for(plan: PlanRow, job: JobRow, queue: StageName) -> JobMessage:
    """What a stage is told of a job that is put back for it.

    Raises
    ------
    ValueError
        If the stages before have not left what it needs.
    """
    first = ImportStudy(
        job_id=plan.id,
        run=job.run,
        created_at=plan.created_at,
        deadline=job.deadline,
        pacs=plan.pacs,
        request=ResolvedPlan.model_validate(plan.resolved),
        study_instance_uid=plan.study_instance_uid,
        segmentation_uid=plan.segmentation_uid,
    )
    if queue == "planner":
        return PlanCase.of(first, case_key=job.case_key)
    if queue == "exporter":
        return ExportResult.of(first, case_key=job.case_key, result_key=job.result_key)
    return first


def furthest_queue(job: JobRow) -> StageName:
    """The last stage that can go on from what the stages before it have left."""
    if job.case_key is None:
        return "importer"
    return "planner" if job.result_key is None else "exporter"
