"""``/``, ``/plan/{id}``, ``/login`` and ``/logout``: HTML, rendered here."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from radiarch_common.errors import UnavailableError
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.artifacts.models import ArtifactRow, ArtifactView
from radiarch_gateway.artifacts.store import artifact, content
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import ACCESS_COOKIE, needs
from radiarch_gateway.auth.scopes import Scope
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import DamagedError, ForbiddenError, UnauthorizedError
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.info.routes import get_info
from radiarch_gateway.jobs.filters import Filters, Page
from radiarch_gateway.page.cookies import forget, is_ours, keep
from radiarch_gateway.page.dvh import Chart, Curves, chart
from radiarch_gateway.page.html import answer
from radiarch_gateway.page.route import SEE_OTHER, PageRoute, login_form
from radiarch_gateway.plans.store import plan_view, plans_page
from radiarch_gateway.plans.views import PlanPage, PlanView

LAST: Final = 20
"""Jobs on the first page."""
_OURS: Final = re.compile(r"/|/plan/[A-Za-z0-9_-]{1,64}")
"""Where a login may lead to: pages of this server."""

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HomeReader = Annotated[Caller, needs(Scope.INFO, Scope.PLANS_READ, Scope.JOBS_READ)]
PlanReader = Annotated[Caller, needs(Scope.PLANS_READ, Scope.JOBS_READ, Scope.ARTIFACTS_READ)]
Field = Annotated[str, Form(max_length=1024)]


@router.get("/")
async def home(request: Request, gateway: GatewayDep, caller: HomeReader) -> Response:
    """What this server is, whom it reaches, and the last jobs."""
    info = await get_info(gateway, caller)
    plans = await run_in_threadpool(_last, gateway, caller)
    neighbours = [
        ("Message bus", info.reachable.bus),
        ("Database", info.reachable.database),
        ("Object store", info.reachable.objects),
        *((f"PACS '{name}'", found) for name, found in info.reachable.pacs.items()),
    ]
    return answer(request, gateway, "home.html", {"info": info, "neighbours": neighbours, "plans": plans.items})


def _last(gateway: Gateway, caller: Caller) -> PlanPage:
    with gateway.database.reading() as session:
        return plans_page(session, Filters(), Page(LAST, None), caller)


@router.get("/plan/{plan_id}")
def plan(
    request: Request, gateway: GatewayDep, caller: PlanReader, plan_id: Annotated[str, Path(pattern=ID_PATTERN)]
) -> Response:
    """A plan: where it is, its goals, its DVH, its dose, its files."""
    view = plan_view(gateway.database, plan_id, caller.clinic_id, gateway.objects)
    shown: dict[str, Any] = {
        "plan": view,
        "dvh": _dvh(gateway, caller, view),
        "picture": _one(view, "PICTURE"),
        "report": next((file for file in view.artifacts if file.name == "report.pdf"), None),
    }
    return answer(request, gateway, "plan.html", shown)


def _one(view: PlanView, kind: str) -> ArtifactView | None:
    return next((file for file in view.artifacts if file.kind == kind), None)


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


@router.get("/login")
def show_login(request: Request, gateway: GatewayDep) -> Response:
    """The form."""
    if gateway.settings.authentication == "none":
        return RedirectResponse("/", SEE_OTHER)
    return login_form(request, gateway, why=None, goes_to="/", status=200)


@router.post("/login")
def log_in(
    request: Request,
    gateway: GatewayDep,
    username: Field = "",
    password: Field = "",
    totp_code: Field = "",
    goes_to: Field = "/",
    form_token: Field = "",
) -> Response:
    """Keep a login in cookies, and go where it was asked for."""
    goes_to = goes_to if _OURS.fullmatch(goes_to) else "/"
    _check_form(gateway, request, form_token)
    if gateway.door is None:
        return login_form(request, gateway, why="Nobody can log in here.", goes_to=goes_to)
    client_ip = request.client.host if request.client else "unknown"
    try:
        entry = gateway.door.log_in(username, password, totp_code.strip() or None, client_ip)
    except UnauthorizedError as error:
        return login_form(request, gateway, why=str(error), goes_to=goes_to)
    response = RedirectResponse(goes_to, SEE_OTHER, {"Cache-Control": "no-store"})
    keep(request, gateway, response, entry)
    return response


@router.post("/logout")
def log_out(request: Request, gateway: GatewayDep, form_token: Field = "") -> Response:
    """End the login that the cookies hold."""
    _check_form(gateway, request, form_token)
    token = request.cookies.get(ACCESS_COOKIE)
    if token is not None and gateway.door is not None:
        gateway.door.log_out(token)
    response = RedirectResponse("/login", SEE_OTHER)
    forget(response)
    return response


def _check_form(gateway: Gateway, request: Request, form_token: str) -> None:
    if not is_ours(gateway, request, form_token):
        raise ForbiddenError("This form is from elsewhere, or too old: go back and load the page again.")
