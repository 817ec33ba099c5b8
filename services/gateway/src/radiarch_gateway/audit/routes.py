"""``/audit``: who did what to which study."""

import json
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from radiarch_gateway.audit import fhir
from radiarch_gateway.audit.act import Action
from radiarch_gateway.audit.chain import Head
from radiarch_gateway.audit.store import Wanted, check, entries, page
from radiarch_gateway.audit.views import AuditPage, ChainView
from radiarch_gateway.auth.guard import Auditor
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import FieldError, InvalidRequestError
from radiarch_gateway.ids import NO_NUL
from radiarch_gateway.moments import Moment
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/audit", tags=["audit"])

_MOST = 2**62

Since = Annotated[Moment | None, Query(description="From then on, with a zone.")]
Until = Annotated[Moment | None, Query(description="Before then, with a zone.")]
Study = Annotated[
    str | None,
    Query(pattern=r"^[0-9.]{1,64}$", description="Only acts on this study, also of one that was erased."),
]
Actor = Annotated[str | None, Query(max_length=200, pattern=NO_NUL, examples=["user:0123"])]


@router.get("", summary="List acts", responses=problems(422))
def list_acts(
    gateway: GatewayDep,
    caller: Auditor,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    action: Annotated[Action | None, Query(description="Create, read, update, delete, execute.")] = None,
    study_instance_uid: Study = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=_MOST, description="`next_before` of the page before.")] = None,
) -> AuditPage:
    """What people and services of your clinic did, newest first."""
    study = _hashed(gateway, study_instance_uid)
    wanted = Wanted(caller.clinic_id, since=since, until=until, actor=actor, action=action, study=study)
    with gateway.database.reading() as session:
        return page(session, wanted, limit, before)


@router.get(
    "/export",
    summary="Export acts",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "FHIR R4 AuditEvents, one a line, oldest first.",
            "content": {fhir.MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **problems(422),
    },
)
def export_acts(
    gateway: GatewayDep, caller: Auditor, since: Since = None, until: Until = None, study_instance_uid: Study = None
) -> StreamingResponse:
    """What people and services of your clinic did, for another system to keep."""
    wanted = Wanted(caller.clinic_id, since=since, until=until, study=_hashed(gateway, study_instance_uid))
    headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(gateway, wanted), media_type=fhir.MEDIA_TYPE, headers=headers)


@router.get("/check", summary="Check the log", responses=problems(422))
def check_chain(
    gateway: GatewayDep,
    _: Auditor,
    sequence: Annotated[int | None, Query(ge=1, le=_MOST, description="Of a head that was noted before.")] = None,
    hash: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="Its hash.")] = None,
) -> ChainView:
    """Whether every entry of this server, of all clinics, is as it was written.

    The chain alone finds what was changed, removed or put in between. That the end was cut off, or that all of it
    was written anew, is found with a head that was noted elsewhere.
    """
    if (sequence is None) != (hash is None):
        name = "hash" if hash is None else "sequence"
        raise InvalidRequestError([FieldError(field=name, message="A head is a sequence and its hash.")])
    known = Head(sequence, hash) if sequence is not None and hash is not None else None
    return check(gateway.database, known)


def lines(gateway: Gateway, wanted: Wanted) -> Iterator[str]:
    """Acts as NDJSON."""
    for row in entries(gateway.database, wanted):
        yield json.dumps(fhir.audit_event(row), ensure_ascii=False) + "\n"


def _hashed(gateway: Gateway, study_instance_uid: str | None) -> str | None:
    return gateway.audit.hashed(study_instance_uid) if study_instance_uid is not None else None
