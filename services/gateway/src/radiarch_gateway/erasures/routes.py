"""``/erasures``: everything of a plan, a study or a patient, gone."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Response
from radiarch_common.archive import Pacs

from radiarch_gateway.artifacts.store import API
from radiarch_gateway.audit.act import about
from radiarch_gateway.auth.guard import Eraser
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.erasures.models import ErasureRequest, ErasureView, erasure_view
from radiarch_gateway.erasures.store import ask, erasure, refuse_what_cannot_be_removed
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/erasures", tags=["erasures"])

ErasureId = Annotated[str, Path(description="As `POST /erasures` answered.", pattern=ID_PATTERN)]


@router.post(
    "",
    summary="Erase a plan, a study or a patient",
    status_code=202,
    responses={
        202: {
            "description": "Taken; it is begun soon, and finished across restarts.",
            "headers": {"Location": {"description": "The erasure.", "schema": {"type": "string"}}},
        },
        **problems(404, 422),
    },
)
def create_erasure(gateway: GatewayDep, caller: Eraser, request: ErasureRequest, response: Response) -> ErasureView:
    """Take away all that this server holds of it: files, rows, messages. Only the clinic's own plans are touched.

    What runs is cancelled first. A patient is found by the cases that were made of their studies: a plan whose import
    never succeeded is erased by its study. What is in the PACS stays, unless `pacs` asks for what was exported; the
    study stays in any case.
    """
    about(**request.model_dump(exclude={"pacs"}, exclude_none=True))
    if request.pacs:
        refuse_what_cannot_be_removed(_removable(gateway.housekeeper.eraser.pacs))
    with gateway.database.writing() as session:
        view = erasure_view(ask(session, caller.clinic_id, caller.id, request))
    gateway.housekeeper.wake()
    response.headers["Location"] = f"{API}/erasures/{view.id}"
    return view


def _removable(pacs: Mapping[str, Pacs]) -> dict[str, bool]:
    return {name: archive.can_remove for name, archive in pacs.items()}


@router.get("/{erasure_id}", summary="See an erasure", responses=problems(404, 422))
def get_erasure(gateway: GatewayDep, caller: Eraser, erasure_id: ErasureId) -> ErasureView:
    """Where an erasure is; `done` says that all of it has gone."""
    with gateway.database.reading() as session:
        return erasure_view(erasure(session, erasure_id, caller.clinic_id))
