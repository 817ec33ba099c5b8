"""A job in the gateway's database that nobody has begun, and its plan."""

from datetime import datetime, timedelta

from radiarch_gateway.auth.caller import LOCAL
from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.plans.models import PlanRow
from sqlmodel import Session


def put_queued_job(session: Session, job_id: str, at: datetime) -> None:
    """Asked for at a time by the caller of a gateway without login; it has a day."""
    session.add(
        PlanRow(
            id=job_id,
            created_at=at,
            clinic_id=LOCAL.clinic_id,
            asked_by=LOCAL.id,
            study_instance_uid="1.2",
            pacs="main",
            workflow="proton-impt",
            requested={},
            resolved={},
            body_sha256="",
        )
    )
    session.flush()
    session.add(JobRow(id=job_id, created_at=at, updated_at=at, deadline=at + timedelta(hours=24)))
