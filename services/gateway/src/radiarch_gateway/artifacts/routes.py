"""``/artifacts``: the bytes, and links to them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from radiarch_gateway.artifacts.download import RESPONSES, IfNoneMatch, IfRange, RangeHeader, download
from radiarch_gateway.artifacts.links import ArtifactLink, linked, make_link
from radiarch_gateway.artifacts.store import artifact
from radiarch_gateway.auth.guard import ArtifactsReader
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/artifacts", tags=["artifacts"])

ArtifactId = Annotated[str, Path(description="As in the plan's `artifacts`.", pattern=ID_PATTERN)]
Expires = Annotated[int, Query(ge=0, le=10**10, description="As in the link.")]
Signature = Annotated[str, Query(max_length=500, description="As in the link.")]


@router.head("/{artifact_id}", include_in_schema=False)
@router.get("/{artifact_id}", summary="Download an artifact", response_class=Response, responses=RESPONSES)
def get_artifact(
    request: Request,
    gateway: GatewayDep,
    caller: ArtifactsReader,
    artifact_id: ArtifactId,
    if_none_match: IfNoneMatch = None,
    range_header: RangeHeader = None,
    if_range: IfRange = None,
) -> Response:
    """Bytes of one file of a plan, whole or in part, checked against the SHA-256 they were stored with."""
    del range_header, if_range  # described here, read with the rest of the request
    with gateway.database.reading() as session:
        row = artifact(session, artifact_id, caller.clinic_id)
    return download(request, gateway.objects, gateway.verified, row, if_none_match)


@router.post("/{artifact_id}/link", summary="Make a link to an artifact", responses=problems(404, 422))
def link_artifact(gateway: GatewayDep, caller: ArtifactsReader, artifact_id: ArtifactId) -> ArtifactLink:
    """A link that opens this one file, without a login, until it expires."""
    with gateway.database.reading() as session:
        row = artifact(session, artifact_id, caller.clinic_id)
    lives = timedelta(minutes=gateway.settings.link_lifetime_min)
    return make_link(gateway.secret.key("signed url"), row, caller, lives)


@router.head("/{artifact_id}/file", include_in_schema=False)
@router.get(
    "/{artifact_id}/file",
    summary="Download by a link",
    response_class=Response,
    responses={**RESPONSES, **problems(403)},
)
def get_linked_artifact(
    request: Request,
    gateway: GatewayDep,
    artifact_id: ArtifactId,
    expires: Expires,
    signature: Signature,
    if_none_match: IfNoneMatch = None,
    range_header: RangeHeader = None,
    if_range: IfRange = None,
) -> Response:
    """The same as `GET /artifacts/{id}`, for whoever has a link of `POST /artifacts/{id}/link`."""
    del range_header, if_range
    with gateway.database.reading() as session:
        row = linked(session, gateway.secret.key("signed url"), artifact_id, expires, signature)
    return download(request, gateway.objects, gateway.verified, row, if_none_match)
