"""What the gateway tells about its deployment."""

from typing import Literal

from pydantic import BaseModel, Field
from radiarch_common.catalogue import CalibrationEntry, MachineEntry


class Reachability(BaseModel):
    """Whether a neighbour answers now."""

    ok: bool
    why: str | None = Field(default=None, description="What was seen when it does not.")


class Reachable(BaseModel):
    """Every neighbour."""

    bus: Reachability
    database: Reachability
    objects: Reachability
    pacs: dict[str, Reachability]


class Defaults(BaseModel):
    """What the deployment has chosen for requests that name none."""

    machine: str | None
    ct_calibration: str | None
    pacs: str


class Deployment(BaseModel):
    """What this gateway stands on."""

    database: Literal["sqlite", "postgresql"]
    objects: Literal["folder", "s3"]
    pacs: dict[str, Literal["folder", "dicomweb"]]


class WorkflowBrief(BaseModel):
    """A workflow by name."""

    id: str
    version: str
    title: str


class Info(BaseModel):
    """What this gateway is and whom it reaches."""

    version: str
    planner_version: str | None = Field(description="`null`: no planner has published its catalogue yet.")
    workflows: list[WorkflowBrief]
    machines: list[MachineEntry]
    ct_calibrations: list[CalibrationEntry]
    defaults: Defaults
    deployment: Deployment
    reachable: Reachable
    workers: dict[str, int] = Field(description="Living workers by stage.")
    unreadable_events: int = Field(description="Events not understood since this gateway started.")
    warnings: list[str]


class Health(BaseModel):
    """A probe's answer."""

    status: Literal["ok"] = "ok"
