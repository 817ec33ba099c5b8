"""``/artifacts``: the bytes."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import artifact, content
from radiarch_gateway.auth.guard import ArtifactsReader
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/artifacts", tags=["artifacts"])

ArtifactId = Annotated[str, Path(description="As in the plan's `artifacts`.", pattern=ID_PATTERN)]


def _load(gateway: Gateway, artifact_id: str, clinic_id: str) -> ArtifactRow:
    with gateway.database.reading() as session:
        return artifact(session, artifact_id, clinic_id)


@router.get(
    "/{artifact_id}",
    summary="Download an artifact",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes; `ETag` is their SHA-256.",
            "content": {
                "*/*": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        304: {"description": "The client's copy (`If-None-Match`) is the same."},
        **problems(404, 422, 500, 503),
    },
)
async def get_artifact(
    gateway: GatewayDep,
    caller: ArtifactsReader,
    artifact_id: ArtifactId,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Bytes of one file of a plan, checked against the SHA-256 they were stored with."""
    row = await run_in_threadpool(_load, gateway, artifact_id, caller.clinic_id)
    headers = {
        "ETag": f'"{row.sha256}"',
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if if_none_match is not None and row.sha256 in if_none_match:
        return Response(status_code=304, headers=headers)
    data = await run_in_threadpool(content, gateway.objects, row)
    headers["Content-Disposition"] = f'attachment; filename="{_plain(row.name)}"'
    return Response(data, media_type=row.media_type, headers=headers)


def _plain(name: str) -> str:
    """A file name that cannot leave its quotes."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name if letter.isascii())
