"""``/info`` and ``/health``."""

from typing import Literal, cast

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from radiarch_common.asyncapi import asyncapi_document
from radiarch_common.catalogue import Catalogue
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import Settings

from radiarch_gateway.auth.guard import InfoReader
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.edge.tls import OPEN_LINE, open_line
from radiarch_gateway.errors import NotReadyError
from radiarch_gateway.info.models import Defaults, Deployment, Health, Info, Reachability, Reachable, WorkflowBrief
from radiarch_gateway.problems import problems
from radiarch_gateway.version import VERSION

RETRY_AFTER_S = 5

router = APIRouter(tags=["info"])
asyncapi = APIRouter()
health = APIRouter(prefix="/health", tags=["health"])


@router.get("/info", summary="This deployment")
async def get_info(gateway: GatewayDep, _: InfoReader) -> Info:
    """Version, what planners offer, the deployment's own choices, and which neighbours answer now."""
    catalogue = await gateway.catalogues.known()
    answers = await gateway.probes.ask()
    return Info(
        version=VERSION,
        planner_version=catalogue.planner_version if catalogue else None,
        workflows=_workflows(catalogue),
        machines=list(catalogue.machines) if catalogue else [],
        ct_calibrations=list(catalogue.ct_calibrations) if catalogue else [],
        defaults=Defaults(
            machine=gateway.settings.default_machine,
            ct_calibration=gateway.settings.default_ct_calibration,
            pacs=gateway.settings.default_pacs,
        ),
        deployment=_deployment(gateway),
        reachable=Reachable(
            bus=await _bus(gateway),
            database=answers["database"],
            objects=answers["objects"],
            pacs={name: answers[f"pacs:{name}"] for name in sorted(gateway.settings.pacs)},
        ),
        workers=await _workers(gateway),
        unreadable_events=gateway.aggregator.unreadable,
        warnings=_warnings(catalogue, gateway.settings),
    )


def _workflows(catalogue: Catalogue | None) -> list[WorkflowBrief]:
    templates = [entry.template for entry in catalogue.workflows] if catalogue else []
    return [WorkflowBrief(id=t.id, version=t.version, title=t.title) for t in templates]


def _deployment(gateway: Gateway) -> Deployment:
    return Deployment(
        database=cast("Literal['sqlite', 'postgresql']", gateway.database.kind),
        objects="folder" if gateway.settings.s3 is None else "s3",
        pacs={name: pacs.kind for name, pacs in sorted(gateway.settings.pacs.items())},
    )


async def _bus(gateway: Gateway) -> Reachability:
    try:
        await gateway.link.ping()
    except UnavailableError as error:
        return Reachability(ok=False, why=str(error))
    return Reachability(ok=True)


async def _workers(gateway: Gateway) -> dict[str, int]:
    try:
        return await gateway.link.workers()
    except UnavailableError:
        return {}


def _warnings(catalogue: Catalogue | None, settings: Settings) -> list[str]:
    found = ["Not for treatment: every plan is UNAPPROVED, for research."]
    if settings.authentication == "none":
        found.append("Whoever is at this machine may do everything: there is no login.")
    if open_line(settings):
        found.append(OPEN_LINE)
    if settings.s3 is None or settings.database_url.startswith("sqlite"):
        found.append("Embedded parts (SQLite or a folder of objects): for one machine, not for a clinic.")
    entries = (*catalogue.machines, *catalogue.ct_calibrations) if catalogue else ()
    found += [f"'{entry.id}' ({entry.title}) is not commissioned." for entry in entries if not entry.commissioned]
    return found


@asyncapi.get("/asyncapi.json", include_in_schema=False)
async def get_asyncapi() -> JSONResponse:
    """What crosses the bus, as AsyncAPI 3.0: the contract, nothing of this deployment."""
    return JSONResponse(asyncapi_document())


@health.get("/live", summary="Alive", responses=problems(503))
async def live(gateway: GatewayDep) -> Health:
    """Whether this process works; if not, start it anew."""
    if gateway.dead:
        raise NotReadyError(f"Ended: {', '.join(gateway.dead)}.", RETRY_AFTER_S)
    return Health()


@health.get("/ready", summary="Ready for requests", responses=problems(503))
async def ready(gateway: GatewayDep) -> Health:
    """Whether requests can be answered: the database is there. Without the bus, plans are taken and wait."""
    database = await gateway.probes.database()
    if not database.ok:
        raise NotReadyError(f"The database does not answer: {database.why}", RETRY_AFTER_S)
    return Health()


@health.get("/planning", summary="Ready for plans", responses=problems(503))
async def planning(gateway: GatewayDep) -> Health:
    """Whether a plan can be asked for: a planner has told what it offers."""
    await gateway.catalogues.current()
    return Health()
