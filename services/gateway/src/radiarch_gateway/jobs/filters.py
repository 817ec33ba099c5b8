"""Which jobs, or plans by their jobs, a list shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from radiarch_common.messages import StageName
from radiarch_common.plans import Identifier, Uid
from sqlalchemy import ColumnElement
from sqlmodel import col

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.ids import ID_PATTERN, NO_NUL
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.moments import Moment
from radiarch_gateway.plans.models import PlanRow

ME = "me"


@dataclass(frozen=True)
class Filters:
    """Everything that is asked for must hold; within ``states`` one of them."""

    states: tuple[JobState, ...] = ()
    stage: StageName | None = None
    study_instance_uid: str | None = None
    workflow: str | None = None
    asked_by: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Which part of a list."""

    limit: int
    cursor: str | None


def _filters(
    state: Annotated[list[JobState] | None, Query(description="In this state; several: in one of them.")] = None,
    stage: Annotated[StageName | None, Query(description="The stage has the job, or had it last.")] = None,
    study_instance_uid: Annotated[Uid | None, Query(description="On this study.")] = None,
    workflow: Annotated[Identifier | None, Query(description="With this workflow.")] = None,
    asked_by: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description="By `me`, or by somebody named as in `asked_by`.")
    ] = None,
    created_after: Annotated[Moment | None, Query(description="Asked for at this time or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Asked for before this time.")] = None,
) -> Filters:
    return Filters(tuple(state or ()), stage, study_instance_uid, workflow, asked_by, created_after, created_before)


def _page(
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")] = None,
) -> Page:
    return Page(limit, cursor)


FiltersDep = Annotated[Filters, Depends(_filters)]
PageDep = Annotated[Page, Depends(_page)]


def conditions(filters: Filters, page: Page, caller: Caller) -> list[ColumnElement[bool]]:
    """What must hold of ``PlanRow`` joined with ``JobRow`` to be shown to a caller who asked so."""
    asked_by = caller.id if filters.asked_by == ME else filters.asked_by
    same = (
        (col(JobRow.stage), filters.stage),
        (col(PlanRow.study_instance_uid), filters.study_instance_uid),
        (col(PlanRow.workflow), filters.workflow),
        (col(PlanRow.asked_by), asked_by),
    )
    found = [column == value for column, value in same if value is not None]
    found.append(col(PlanRow.clinic_id) == caller.clinic_id)
    if page.cursor is not None:
        found.append(col(PlanRow.id) < page.cursor)
    if filters.states:
        found.append(col(JobRow.state).in_([state.value for state in filters.states]))
    if filters.created_after is not None:
        found.append(col(PlanRow.created_at) >= filters.created_after)
    if filters.created_before is not None:
        found.append(col(PlanRow.created_at) < filters.created_before)
    return found
