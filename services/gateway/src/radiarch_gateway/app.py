"""The gateway: HTTP in, jobs on the bus, job state from events."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from radiarch_common.settings import Settings
from starlette.staticfiles import StaticFiles

from radiarch_gateway import problems
from radiarch_gateway.accounts.clinic_routes import router as clinics
from radiarch_gateway.accounts.key_routes import router as keys
from radiarch_gateway.accounts.user_routes import router as users
from radiarch_gateway.artifacts.routes import router as artifacts
from radiarch_gateway.artifacts.store import API
from radiarch_gateway.audit.middleware import AuditMiddleware
from radiarch_gateway.audit.routes import router as audit
from radiarch_gateway.auth.guard import PUBLIC, check_routes
from radiarch_gateway.auth.routes import router as auth
from radiarch_gateway.bootstrap import build
from radiarch_gateway.describe import DESCRIPTION, TAGS, document
from radiarch_gateway.edge.stack import surround
from radiarch_gateway.erasures.routes import router as erasures
from radiarch_gateway.hooks.routes import router as hooks
from radiarch_gateway.info.routes import asyncapi, health
from radiarch_gateway.info.routes import router as info
from radiarch_gateway.jobs.all_events import router as all_events
from radiarch_gateway.jobs.routes import router as jobs
from radiarch_gateway.page.entrance import router as entrance
from radiarch_gateway.page.routes import router as page
from radiarch_gateway.plans.routes import router as plans
from radiarch_gateway.rules.routes import router as rules
from radiarch_gateway.stream import StreamOverError
from radiarch_gateway.version import VERSION
from radiarch_gateway.workflows.routes import router as workflows


def create_app(settings: Settings) -> FastAPI:
    """The application; its background work runs while it is served."""
    gateway = build(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with gateway.running():
            yield

    # Hospital networks reach no content host: the documentation's scripts come from this server.
    app = FastAPIOffline(
        title="Radiarch", version=VERSION, description=DESCRIPTION, openapi_tags=TAGS, lifespan=lifespan
    )
    app.state.gateway = gateway
    problems.install(app)
    app.add_middleware(AuditMiddleware, audit=gateway.audit)
    app.add_exception_handler(StreamOverError, _over)
    for router in (info, workflows, plans, jobs, all_events, artifacts, rules, hooks, erasures):
        app.include_router(router, prefix=API)
    for router in (auth, clinics, users, keys):
        app.include_router(router, prefix=API)
    app.include_router(health)
    app.include_router(asyncapi)
    app.include_router(audit, prefix=API)
    app.include_router(page)
    app.include_router(entrance)
    app.mount("/page", StaticFiles(packages=[("radiarch_gateway.page", "static")]), name="page")
    check_routes(app)
    surround(app, settings, gateway.rates, PUBLIC, API)
    document(app)
    return app


def _over(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)
