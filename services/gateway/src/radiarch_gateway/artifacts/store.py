"""Artifacts in the database and in the object store."""

import hashlib
from collections.abc import Sequence
from typing import Final

from radiarch_common.messages import Artifact
from radiarch_common.objects import ObjectMissingError, ObjectStore
from radiarch_common.telemetry import get_logger
from sqlmodel import Session, col, select

from radiarch_gateway.artifacts.models import ArtifactRow, ArtifactView
from radiarch_gateway.errors import DamagedError, MissingError
from radiarch_gateway.plans.models import PlanRow

API: Final = "/api/v1"

log = get_logger(__name__)


def add_artifacts(session: Session, job_id: str, artifacts: Sequence[Artifact]) -> None:
    """Note what a job left; ids follow from job and name, so that they never change."""
    for position, artifact in enumerate(artifacts):
        digest = hashlib.sha256(f"{job_id}/{artifact.name}".encode()).hexdigest()
        row = ArtifactRow(id=digest[:32], job_id=job_id, position=position, **artifact.model_dump())
        session.merge(row)


def artifacts_of(session: Session, job_id: str) -> list[ArtifactRow]:
    """What a job left, in the exporter's order."""
    statement = select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(col(ArtifactRow.position))
    return list(session.exec(statement).all())


def view(row: ArtifactRow) -> ArtifactView:
    """An artifact as users see it."""
    return ArtifactView(
        **row.model_dump(exclude={"job_id", "position", "key"}), download_url=f"{API}/artifacts/{row.id}"
    )


def artifact(session: Session, artifact_id: str, clinic_id: str) -> ArtifactRow:
    """One artifact of a clinic; another's is as good as missing. Raises MissingError."""
    row = session.get(ArtifactRow, artifact_id)
    plan = session.get(PlanRow, row.job_id) if row else None
    if row is None or plan is None or plan.clinic_id != clinic_id:
        raise MissingError("artifact", artifact_id)
    return row


def content(objects: ObjectStore, row: ArtifactRow) -> bytes:
    """The bytes of an artifact, exactly as its job left them.

    Raises
    ------
    DamagedError
        If they are gone or changed.
    UnavailableError
        If the object store does not answer.
    """
    try:
        data = objects.get(row.key)
    except ObjectMissingError as error:
        raise DamagedError(f"The bytes of {row.name} are no longer in the object store.") from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise DamagedError(f"The bytes of {row.name} are not what was stored: their SHA-256 differs.")
    return data
