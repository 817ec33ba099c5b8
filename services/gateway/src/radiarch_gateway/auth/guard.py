"""What a route asks of its caller. A route that asks nothing, and is not named as public, keeps the server down."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from radiarch_common.errors import RadiarchError
from starlette.concurrency import run_in_threadpool
from starlette.routing import Host, Mount

from radiarch_gateway.audit.act import Act, action_of, current
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.scopes import Scope
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.edge.asgi import client_address
from radiarch_gateway.edge.rates import REFUSED, neighbourhood
from radiarch_gateway.errors import ForbiddenError, UnauthorizedError

PUBLIC: Final = frozenset(
    {
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/health/planning"),
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/auth/refresh"),
        ("GET", "/api/v1/artifacts/{artifact_id}/file"),
        ("HEAD", "/api/v1/artifacts/{artifact_id}/file"),
        ("GET", "/docs"),
        ("GET", "/docs/oauth2-redirect"),
        ("GET", "/redoc"),
        ("GET", "/openapi.json"),
        ("GET", "/asyncapi.json"),
        ("POST", "/api/v1/hooks/orthanc/{pacs}"),  # signed by a secret of its own; it wakes, and answers nothing
        ("GET", "/login"),
        ("POST", "/login"),
        ("POST", "/password"),  # its form and the login's cookie are looked at by the route
        ("POST", "/logout"),
    }
)
"""Method and path of what anybody may call. Nothing tells of a plan or a person, but a signed link."""

MOUNTED: Final = frozenset({"page", "static-offline-docs"})
"""Names of what is mounted: files that anybody may have."""

ACCESS_COOKIE: Final = "radiarch_access"
"""Holds the access token of somebody who logged in on the page."""
_SAFE: Final = frozenset({"GET", "HEAD"})

_SILENT: Final = frozenset({Scope.INFO, Scope.WORKFLOWS})
"""What only these give tells nothing of a person or a study: the audit log does without it."""

_BEARER = HTTPBearer(
    auto_error=False, description="An access token of `POST /auth/login`, a token of the OIDC issuer, or an API key."
)


class UnguardedRouteError(RadiarchError):
    """A route asks for no scope and is not public: a defect."""


async def _caller(
    request: Request,
    needed: SecurityScopes,
    gateway: GatewayDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Caller:
    found = getattr(request.state, "caller", None)
    if not isinstance(found, Caller):
        try:
            found = await _enter(gateway, request, _credential(request, bearer))
        except UnauthorizedError:
            await gateway.rates.count(request.scope, "address", REFUSED, neighbourhood(client_address(request.scope)))
            raise
        request.state.caller = found
        await gateway.rates.count(request.scope, "caller", found.id)
    act = current()
    if act is not None:
        act.silent = _SILENT.issuperset(needed.scopes)
    missing = sorted(scope for scope in needed.scopes if not found.may(Scope(scope)))
    if missing:
        raise ForbiddenError(f"This needs {', '.join(missing)}{_why(found)}")
    return found


def _credential(request: Request, bearer: HTTPAuthorizationCredentials | None) -> str | None:
    """The header's, whatever it holds; else the page's cookie, for what changes nothing: other sites cannot use it."""
    if "Authorization" in request.headers or request.method not in _SAFE:
        return bearer.credentials if bearer else None
    return request.cookies.get(ACCESS_COOKIE)


def _queried(request: Request) -> set[str]:
    """What the route reads of the query: anything else is told by whoever asks, and by nobody known."""
    return set(_query_of(request.scope["route"].dependant))


def _query_of(dependant: Dependant) -> Iterator[str]:
    yield from (field.name for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_of(inner)


async def _enter(gateway: Gateway, request: Request, credential: str | None) -> Caller:
    """Find out who asks, and have it known what they do and to what."""
    act = current() or Act()
    ids = {name: str(value) for name, value in request.path_params.items()}
    operation = f"{request.method} {request.scope['route'].path}"
    act.action = action_of(request.method, of_something=bool(ids))
    act.about({name: request.query_params[name] for name in _queried(request) & set(request.query_params)} | ids)
    try:
        found = await gateway.doorkeeper.find(credential)
    except (UnauthorizedError, ForbiddenError) as error:
        if error.who is not None:
            act.actor, act.operation = error.who, operation
        raise
    act.actor, act.clinic_id, act.operation = found.id, found.clinic_id, operation
    if ids and act.action != "R":
        await run_in_threadpool(gateway.audit.find_study, act)
    return found


def _why(caller: Caller) -> str:
    if caller.scopes == frozenset({Scope.SELF}):
        return ": first set a password of your own, `POST /auth/password`."
    if not caller.roles:
        return ", which your API key does not give."
    return f", which your role ({', '.join(sorted(caller.roles))}) does not give."


def needs(*scopes: Scope) -> Any:  # noqa: ANN401 - what FastAPI takes as a dependency
    """The dependency of a route that takes all of these scopes."""
    return Security(_caller, scopes=[str(scope) for scope in scopes])


InfoReader = Annotated[Caller, needs(Scope.INFO)]
WorkflowsReader = Annotated[Caller, needs(Scope.WORKFLOWS)]
PlansReader = Annotated[Caller, needs(Scope.PLANS_READ)]
PlansWriter = Annotated[Caller, needs(Scope.PLANS_WRITE)]
JobsReader = Annotated[Caller, needs(Scope.JOBS_READ)]
JobsCanceller = Annotated[Caller, needs(Scope.JOBS_CANCEL)]
Self = Annotated[Caller, needs(Scope.SELF)]
AccountsAdmin = Annotated[Caller, needs(Scope.ACCOUNTS)]
Eraser = Annotated[Caller, needs(Scope.ERASE)]
ArtifactsReader = Annotated[Caller, needs(Scope.ARTIFACTS_READ)]
RulesReader = Annotated[Caller, needs(Scope.RULES_READ)]
RulesWriter = Annotated[Caller, needs(Scope.RULES_WRITE)]
RulesSigner = Annotated[Caller, needs(Scope.RULES_SIGN)]
Auditor = Annotated[Caller, needs(Scope.AUDIT)]


def routes_and_scopes(app: FastAPI) -> Iterator[tuple[str, str, frozenset[Scope]]]:
    """Method, path and scopes of every route."""
    for route in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        scopes = frozenset(Scope(scope) for scope in _scopes(dependant)) if dependant else frozenset[Scope]()
        methods = route.methods or set()
        for method in sorted(methods - {"HEAD"} if "GET" in methods else methods):  # whose HEAD is its GET
            yield method, route.path or "", scopes


def _scopes(dependant: Dependant) -> Iterator[str]:
    yield from dependant.own_oauth_scopes or []
    for inner in dependant.dependencies:
        yield from _scopes(inner)


def check_routes(app: FastAPI) -> None:
    """Raise UnguardedRouteError when a route asks for nothing and is not public."""
    for method, path, scopes in routes_and_scopes(app):
        if not scopes and (method, path) not in PUBLIC:
            raise UnguardedRouteError(f"{method} {path} asks for no scope and is not named as public")
    for route in app.routes:
        if isinstance(route, Mount | Host) and route.name not in MOUNTED:
            raise UnguardedRouteError(f"what is mounted as {route} asks nobody")
