"""``/plans``: ask for a plan, see what came of it."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.artifacts.models import ArtifactView
from radiarch_gateway.artifacts.store import artifacts_of
from radiarch_gateway.artifacts.store import view as artifact_view
from radiarch_gateway.audit.act import about
from radiarch_gateway.auth.guard import ArtifactsReader, JobsCanceller, PlansReader, PlansWriter
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import FieldError, InvalidRequestError
from radiarch_gateway.housekeeping.quota import refuse_when_full
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.jobs.filters import FiltersDep, PageDep
from radiarch_gateway.jobs.routes import cancel_job
from radiarch_gateway.jobs.views import JobView
from radiarch_gateway.plans.request import PlanRequest
from radiarch_gateway.plans.store import Order, plan, plan_view, plans_page, taken_before
from radiarch_gateway.plans.views import PlanAccepted, PlanPage, PlanView
from radiarch_gateway.problems import problems
from radiarch_gateway.workflows.resolve import resolve

router = APIRouter(prefix="/plans", tags=["plans"])

PlanId = Annotated[str, Path(description="As `POST /plans` answered.", pattern=ID_PATTERN)]
Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The client's own name for this request: made again with it, no second plan is made.",
    ),
]


@router.post(
    "",
    summary="Ask for a plan",
    status_code=202,
    responses={
        202: {
            "description": "Taken: the job is queued.",
            "headers": {"Location": {"description": "The plan.", "schema": {"type": "string"}}},
        },
        **problems(409, 422, 503, 507),
    },
)
async def create_plan(
    gateway: GatewayDep, caller: PlansWriter, request: PlanRequest, response: Response, idempotency_key: Key = None
) -> PlanAccepted:
    """Resolve a request and queue its job.

    Every number that will be used is in the answer, with where it came from. What cannot be planned whatever
    the images show is refused here, field by field; what only the images can tell is refused by the job.
    """
    about(study_instance_uid=request.study_instance_uid)
    accepted = await _taken_before(gateway, caller.clinic_id, idempotency_key, request)
    if accepted is None:
        await _refuse_when_full(gateway)
        order = Order(
            request=request,
            resolved=resolve(request, await gateway.catalogues.current(), gateway.settings),
            pacs=_pacs(gateway, request.pacs),
            clinic_id=caller.clinic_id,
            asked_by=caller.id,
            idempotency_key=idempotency_key,
        )
        accepted = await gateway.intake.take(order)
    about(plan_id=accepted.id)
    response.headers["Location"] = accepted.url
    return accepted


async def _taken_before(gateway: Gateway, clinic_id: str, key: str | None, request: PlanRequest) -> PlanAccepted | None:
    def look(key: str) -> PlanAccepted | None:
        with gateway.database.reading() as session:
            return taken_before(session, clinic_id, key, request)

    return await run_in_threadpool(look, key) if key is not None else None


async def _refuse_when_full(gateway: Gateway) -> None:
    quota_gb = gateway.settings.objects_quota_gb
    if quota_gb is not None:
        await run_in_threadpool(refuse_when_full, gateway.database, quota_gb)


def _pacs(gateway: Gateway, requested: str | None) -> str:
    name = gateway.settings.default_pacs if requested is None else requested
    known = sorted(gateway.settings.pacs)
    if name not in known:
        message = f"There is no PACS connector '{name}' here."
        allowed = "one of: " + (", ".join(known) or "none is configured")
        raise InvalidRequestError([FieldError(field="pacs", message=message, allowed=allowed)])
    return name


@router.get("", summary="List plans", responses=problems(422))
def list_plans(gateway: GatewayDep, caller: PlansReader, page: PageDep, filters: FiltersDep) -> PlanPage:
    """Plans, newest first; filtered by what is asked of them and of their jobs."""
    with gateway.database.reading() as session:
        return plans_page(session, filters, page, caller)


@router.get("/{plan_id}", summary="See a plan", responses=problems(404, 422))
def get_plan(gateway: GatewayDep, caller: PlansReader, plan_id: PlanId) -> PlanView:
    """The request as asked and as resolved, its job, its files, its DVH metrics and goals."""
    return plan_view(gateway.database, plan_id, caller.clinic_id, gateway.objects)


@router.get("/{plan_id}/artifacts", summary="List a plan's files", responses=problems(404, 422))
def list_artifacts(gateway: GatewayDep, caller: ArtifactsReader, plan_id: PlanId) -> list[ArtifactView]:
    """The files that a plan left, in the exporter's order; none before it is ready."""
    with gateway.database.reading() as session:
        return [artifact_view(row) for row in artifacts_of(session, plan(session, plan_id, caller.clinic_id).id)]


@router.delete("/{plan_id}", summary="Cancel a plan", status_code=202, responses=problems(404, 409, 422))
def delete_plan(gateway: GatewayDep, caller: JobsCanceller, plan_id: PlanId) -> JobView:
    """The same as `POST /jobs/{id}/cancel`; what was planned is kept."""
    return cancel_job(gateway, caller, plan_id)
