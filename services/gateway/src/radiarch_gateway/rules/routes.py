"""``/rules``: which studies are planned without being asked for."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from radiarch_common.plans import Uid
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import RulesReader, RulesSigner, RulesWriter
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems
from radiarch_gateway.rules import decisions, store
from radiarch_gateway.rules.asking import check
from radiarch_gateway.rules.body import RuleBody
from radiarch_gateway.rules.matching import Outcome
from radiarch_gateway.rules.trial import try_rule
from radiarch_gateway.rules.views import DecisionPage, Pins, RulePage, RuleTest, RuleTried, RuleView

router = APIRouter(prefix="/rules", tags=["rules"])

RuleId = Annotated[str, Path(pattern=ID_PATTERN)]
VersionNumber = Annotated[int, Path(ge=1, le=1_000_000)]


@router.post("", summary="Make a rule", status_code=201, responses=problems(422, 503))
async def make_rule(gateway: GatewayDep, caller: RulesWriter, body: RuleBody) -> RuleView:
    """A rule with its first version. It plans nothing until a physicist signs it.

    What it asks for is resolved here and now, and refused as `POST /plans` would refuse it.
    """
    check(body, await gateway.catalogues.current(), gateway.settings)
    return await run_in_threadpool(_make, gateway, caller, body)


@router.get("", summary="List rules")
def list_rules(gateway: GatewayDep, caller: RulesReader) -> RulePage:
    """Every rule, newest first."""
    with gateway.database.reading() as session:
        return store.page(session, caller.clinic_id)


@router.get("/decisions", summary="Why a study was planned, or was not", responses=problems(422))
def list_decisions(
    gateway: GatewayDep,
    caller: RulesReader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")] = None,
    study_instance_uid: Annotated[Uid | None, Query()] = None,
    rule_id: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
) -> DecisionPage:
    """What rules decided, newest first. A study that is looked at again with the same outcome is told once."""
    with gateway.database.reading() as session:
        return decisions.page(
            session,
            caller.clinic_id,
            limit,
            cursor=cursor,
            study_instance_uid=study_instance_uid,
            rule_id=rule_id,
            outcome=outcome,
        )


@router.post("/test", summary="Try a rule on a study", responses=problems(404, 422, 503))
async def rule_tried(gateway: GatewayDep, _: RulesWriter, trial: RuleTest) -> RuleTried:
    """What a rule would make of a study, and why. Nothing is queued, and nothing is written down."""
    return await try_rule(gateway.watchers, gateway.catalogues, gateway.settings, trial)


@router.get("/{rule_id}", summary="See a rule", responses=problems(404, 422))
def get_rule(gateway: GatewayDep, caller: RulesReader, rule_id: RuleId) -> RuleView:
    """A rule with all its versions and signatures."""
    with gateway.database.reading() as session:
        return store.view(session, store.find(session, caller.clinic_id, rule_id))


@router.post("/{rule_id}/versions", summary="Change a rule", status_code=201, responses=problems(404, 422, 503))
async def change_rule(gateway: GatewayDep, caller: RulesWriter, rule_id: RuleId, body: RuleBody) -> RuleView:
    """A new version, which needs a signature of its own; until it has one, the signed version goes on.

    Studies that the rule has planned are not planned again by a new version: ask for them by `POST /plans`.
    """
    check(body, await gateway.catalogues.current(), gateway.settings)
    return await run_in_threadpool(_change, gateway, caller, rule_id, body)


@router.post("/{rule_id}/versions/{version}/sign", summary="Sign a version", responses=problems(404, 409, 422, 503))
async def sign_version(gateway: GatewayDep, caller: RulesSigner, rule_id: RuleId, version: VersionNumber) -> RuleView:
    """Sign a version: it plans what comes from now on.

    It is signed for the workflow, the machine and the CT calibration as they are now. When a planner offers another
    version of one of them, the rule rests until it is signed again.
    """
    body = await run_in_threadpool(_body, gateway, caller, rule_id, version)
    pinned = Pins.of(check(body, await gateway.catalogues.current(), gateway.settings))
    return await run_in_threadpool(_sign, gateway, caller, rule_id, version, pinned)


@router.post("/{rule_id}/deactivate", summary="Put a rule to rest", responses=problems(404, 422))
def deactivate_rule(gateway: GatewayDep, caller: RulesWriter, rule_id: RuleId) -> RuleView:
    """It plans nothing more until a version of it is signed anew. Asked again, nothing changes."""
    with gateway.database.writing() as session:
        return store.deactivate(session, caller.clinic_id, rule_id, caller.id)


def _make(gateway: Gateway, caller: Caller, body: RuleBody) -> RuleView:
    with gateway.database.writing() as session:
        return store.make(session, caller.clinic_id, caller.id, body)


def _change(gateway: Gateway, caller: Caller, rule_id: str, body: RuleBody) -> RuleView:
    with gateway.database.writing() as session:
        return store.change(session, caller.clinic_id, rule_id, caller.id, body)


def _body(gateway: Gateway, caller: Caller, rule_id: str, version: int) -> RuleBody:
    with gateway.database.reading() as session:
        return RuleBody.model_validate(store.version_of(session, caller.clinic_id, rule_id, version).body)


def _sign(gateway: Gateway, caller: Caller, rule_id: str, version: int, pinned: Pins) -> RuleView:
    with gateway.database.writing() as session:
        return store.sign(session, caller.clinic_id, rule_id, version, caller.id, pinned)
