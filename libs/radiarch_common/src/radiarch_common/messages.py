"""The contract: every job and every event that crosses the bus. Ids and object keys, never pixels or names."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter

from radiarch_common.plans import Identifier, Model, ResolvedPlan, Sha256, Uid

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{8,40}$")]
StageName = Literal["gateway", "importer", "planner", "exporter"]
STAGES: tuple[StageName, ...] = ("gateway", "importer", "planner", "exporter")
ObjectKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,511}$")]


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class JobMessage(Model):
    """What every job on the bus carries.

    Attributes
    ----------
    run
        A job put back (from the dead letters, by the reconciler) starts a new run.
    created_at
        When the job was asked for; dates written into DICOM come from here.
    deadline
        A job that has not ended by then fails; if it waited, it says for what.
    pacs
        Name of the PACS connector that holds the study and takes the plan.
    """

    version: Literal[1] = 1
    job_id: JobId
    run: int = Field(ge=1)
    created_at: AwareDatetime
    deadline: AwareDatetime
    pacs: str
    request: ResolvedPlan

    @classmethod
    def of(cls, job: "JobMessage", **own: str | None) -> Self:
        """The next stage's job: the common part of ``job`` and ``own`` fields."""
        shared = {name: getattr(job, name) for name in JobMessage.model_fields if name != "version"}
        return cls.model_validate({**shared, **own})

    @property
    def object_keys(self) -> dict[str, str]:
        """What this job names in the object store, by field."""
        return self.model_dump(include={"case_key", "result_key"})


class ImportStudy(JobMessage):
    """Make a case of one study and one structure set."""

    study_instance_uid: Uid
    segmentation_uid: Uid | None = None


class PlanCase(JobMessage):
    """Plan one case."""

    case_key: ObjectKey


class ExportResult(JobMessage):
    """Write one result as DICOM and put it into the PACS."""

    case_key: ObjectKey
    result_key: ObjectKey


class Artifact(Model):
    """One file that a job left: in the object store, and for DICOM in the PACS too."""

    name: str
    kind: Literal["RTPLAN", "RTDOSE", "DVH", "PICTURE", "REPORT"]
    media_type: str
    key: ObjectKey
    sha256: Sha256
    size_bytes: int
    sop_instance_uid: Uid | None = None
    dicomweb_url: str | None = None


class EventMessage(Model):
    """What every event carries. Job state is ordered by ``order`` and only moves forward in it."""

    version: Literal[1] = 1
    job_id: JobId
    run: int = Field(ge=1)
    stage: StageName
    attempt: int = Field(ge=0)
    at: AwareDatetime

    @property
    def rank(self) -> int:
        """Place of this kind of event inside one attempt."""
        first = {"requested": 0, "requeued": 0, "cancelling": 0, "started": 0}
        return (first | {"progress": 1, "waiting": 1, "finished": 2}).get(self.what, 3)

    @property
    def what(self) -> str:
        """The kind of event, the last token of its subject."""
        return str(getattr(self, "kind", ""))

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Run, stage, attempt, rank: attempts are counted per stage, so the stage comes before them."""
        return self.run, STAGES.index(self.stage), self.attempt, self.rank


class Requested(EventMessage):
    """A plan was asked for, and taken: all that the gateway keeps of it, so that it can be told again from here.

    Attributes
    ----------
    clinic_id, asked_by
        Whose work it is, and who asked: a user, a key or a rule by its id, never by name.
    requested
        The body as it came.
    body_sha256
        Digest of that body, as an ``idempotency_key`` used again is compared with it.
    """

    kind: Literal["requested"] = "requested"
    clinic_id: Identifier
    asked_by: str
    deadline: AwareDatetime
    pacs: str
    study_instance_uid: Uid
    segmentation_uid: Uid | None = None
    requested: dict[str, Any]
    resolved: ResolvedPlan
    idempotency_key: str | None = None
    body_sha256: Sha256


class Requeued(EventMessage):
    """A job was put back: ``run`` is the new one.

    Attributes
    ----------
    queue
        The stage that goes on with it.
    asked_by
        Who asked for it, by id; ``None``: nobody, it had been lost.
    """

    kind: Literal["requeued"] = "requeued"
    reason: str
    deadline: AwareDatetime
    queue: StageName = "importer"
    asked_by: str | None = None


class Cancelling(EventMessage):
    """Somebody asked for an end; the job has not stopped yet."""

    kind: Literal["cancelling"] = "cancelling"
    asked_by: str


class Erased(EventMessage):
    """Everything of this job was erased and must not come back: what is told again from here leaves it out."""

    kind: Literal["erased"] = "erased"


class Started(EventMessage):
    """An attempt began."""

    kind: Literal["started"] = "started"


class Progressed(EventMessage):
    """How far the stage is, 0..1, and what it does now."""

    kind: Literal["progress"] = "progress"
    progress: float = Field(ge=0, le=1)
    message: str
    eta_seconds: float | None = None


class Waiting(EventMessage):
    """A neighbour is down; the job is tried again after ``retry_in_s``."""

    kind: Literal["waiting"] = "waiting"
    waiting_for: str
    retry_in_s: float


class Retrying(EventMessage):
    """An attempt failed for a reason that may pass."""

    kind: Literal["retrying"] = "retrying"
    reason: str
    retry_in_s: float


class Finished(EventMessage):
    """The stage is done. The exporter's is the job's success, and names what it left."""

    kind: Literal["finished"] = "finished"
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds of each part of the stage.")
    outputs: dict[str, str] = Field(default_factory=dict, description="Object keys that the next stage was handed.")
    artifacts: tuple[Artifact, ...] = ()


class Failed(EventMessage):
    """The job is over: refused, or given up on."""

    kind: Literal["failed"] = "failed"
    refused: bool
    reason: str
    hint: str = ""


class Cancelled(EventMessage):
    """The job is over because somebody asked."""

    kind: Literal["cancelled"] = "cancelled"


Event = Annotated[
    Requested
    | Requeued
    | Cancelling
    | Started
    | Progressed
    | Waiting
    | Retrying
    | Finished
    | Failed
    | Cancelled
    | Erased,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads any event from its JSON."""


class DeadLetter(Model):
    """A job given up on, whole, with why."""

    version: Literal[1] = 1
    stage: StageName
    subject: str
    reason: str
    detail: str = ""
    at: AwareDatetime
    payload: str = Field(description="The message as it came, decoded with replacement.")
