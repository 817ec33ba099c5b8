"""``/`` and ``/plan/{id}``: HTML, rendered here; ``/list`` and ``/plan/{id}/job`` are the parts of them that move."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError
from radiarch_common.errors import UnavailableError
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import artifact, content
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import needs
from radiarch_gateway.auth.scopes import Scope
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import DamagedError
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.info.routes import get_info
from radiarch_gateway.jobs.filters import Filters, Page
from radiarch_gateway.jobs.places import places_in
from radiarch_gateway.jobs.store import job
from radiarch_gateway.jobs.views import JobView, job_view
from radiarch_gateway.page.dvh import Chart, Curves, chart
from radiarch_gateway.page.html import answer
from radiarch_gateway.page.route import PageRoute
from radiarch_gateway.plans.store import plan_view, plans_page
from radiarch_gateway.plans.views import PlanPage, PlanView
from radiarch_gateway.rules.decisions import last_decided_at
from radiarch_gateway.rules.store import count_active

LAST: Final = 20
"""Jobs on the first page."""

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HomeReader = Annotated[Caller, needs(Scope.INFO, Scope.PLANS_READ, Scope.JOBS_READ)]
ListReader = Annotated[Caller, needs(Scope.PLANS_READ, Scope.JOBS_READ)]
PlanReader = Annotated[Caller, needs(Scope.PLANS_READ, Scope.JOBS_READ, Scope.ARTIFACTS_READ)]
PlanId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get("/")
async def home(request: Request, gateway: GatewayDep, caller: HomeReader) -> Response:
    """What this server is, whom it reaches, and the last jobs."""
    info = await get_info(gateway, caller)
    neighbours = [
        ("Message bus", info.reachable.bus),
        ("Database", info.reachable.database),
        ("Object store", info.reachable.objects),
        *((f"PACS '{name}'", found) for name, found in info.reachable.pacs.items()),
    ]
    rules, decided_at = await run_in_threadpool(_rules, gateway, caller)
    about = {"info": info, "neighbours": neighbours, "rules": rules, "decided_at": decided_at}
    return answer(request, gateway, "home.html", about | await _list(gateway, caller))


@router.get("/list")
async def last_jobs(request: Request, gateway: GatewayDep, caller: ListReader) -> Response:
    """The last jobs alone."""
    return answer(request, gateway, "list.html", await _list(gateway, caller))


async def _list(gateway: Gateway, caller: Caller) -> dict[str, Any]:
    plans = (await run_in_threadpool(_last, gateway, caller)).items
    return {"plans": plans, "places": await places_in(gateway, (plan.job.queued_for for plan in plans))}


def _last(gateway: Gateway, caller: Caller) -> PlanPage:
    with gateway.database.reading() as session:
        return plans_page(session, Filters(), Page(LAST, None), caller)


def _rules(gateway: Gateway, caller: Caller) -> tuple[int, datetime | None]:
    """How many rules plan for the caller's clinic, and when one last looked at a study."""
    if not caller.may(Scope.RULES_READ):
        return 0, None
    with gateway.database.reading() as session:
        return count_active(session, caller.clinic_id), last_decided_at(session, caller.clinic_id)


@router.get("/plan/{plan_id}")
async def plan(request: Request, gateway: GatewayDep, caller: PlanReader, plan_id: PlanId) -> Response:
    """A plan: where it is, its goals, its DVH, its dose, its files."""
    shown = await run_in_threadpool(_plan, gateway, caller, plan_id)
    shown["places"] = await places_in(gateway, [shown["plan"].job.queued_for])
    return answer(request, gateway, "plan.html", shown)


def _plan(gateway: Gateway, caller: Caller, plan_id: str) -> dict[str, Any]:
    view = plan_view(gateway.database, plan_id, caller.clinic_id, gateway.objects)
    return {
        "plan": view,
        "job": view.job,
        "dvh": _dvh(gateway, caller, view),
        "picture": next((file for file in view.artifacts if file.kind == "PICTURE"), None),
        "report": next((file for file in view.artifacts if file.name == "report.pdf"), None),
    }


@router.get("/plan/{plan_id}/job")
async def plan_job(request: Request, gateway: GatewayDep, caller: ListReader, plan_id: PlanId) -> Response:
    """Where a plan's job is, alone."""
    view = await run_in_threadpool(_job, gateway, caller, plan_id)
    shown = {"job": view, "report": None, "places": await places_in(gateway, [view.queued_for])}
    return answer(request, gateway, "job.html", shown)


def _job(gateway: Gateway, caller: Caller, plan_id: str) -> JobView:
    with gateway.database.reading() as session:
        return job_view(job(session, plan_id, caller.clinic_id))


def _dvh(gateway: Gateway, caller: Caller, view: PlanView) -> Chart | None:
    """The diagram; none while there is no DVH, or where ``outcome_missing`` says why it cannot be shown."""
    file = next((file for file in view.artifacts if file.kind == "DVH" and file.media_type == "application/json"), None)
    if file is None or not view.dvh:
        return None
    try:
        curves = Curves.model_validate_json(content(gateway.objects, _row(gateway, caller, file.id))).curves
    except (UnavailableError, DamagedError, ValidationError):
        return None
    return chart(curves, view.goals)


def _row(gateway: Gateway, caller: Caller, artifact_id: str) -> ArtifactRow:
    with gateway.database.reading() as session:
        return artifact(session, artifact_id, caller.clinic_id)
