"""Every active rule, held against a study that has changed; what it asks for is taken, once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger

from radiarch_gateway.db import Database
from radiarch_gateway.errors import ConflictError, NotReadyError
from radiarch_gateway.hooks.study import Study, content_key
from radiarch_gateway.plans.store import Order, take
from radiarch_gateway.rules import decisions
from radiarch_gateway.rules.asking import NotPlannedError, check_pins, request_for, resolved_for
from radiarch_gateway.rules.decisions import Decision
from radiarch_gateway.rules.matching import Outcome, Ready, match
from radiarch_gateway.rules.store import ActiveRule, active_rules
from radiarch_gateway.workflows.catalogue import Catalogues

SECOND: Final = timedelta(seconds=2)
"""Orthanc tells times to the second, and its clock was compared to the second."""
RETRY_AFTER_S: Final = 2
SEVERAL: Final = "{} structure sets match, and none is named: ask for the one that is meant by `POST /plans`."
OLD: Final = "It came before the rule was signed: ask for it by `POST /plans`."

log = get_logger(__name__)


class RuleJudge:
    """Decides over studies."""

    def __init__(
        self, database: Database, catalogues: Catalogues, settings: Settings, taken: Callable[[], None]
    ) -> None:
        self._database = database
        self._catalogues = catalogues
        self._settings = settings
        self._taken = taken

    async def interested(self) -> bool:
        """Whether a rule is active."""
        return bool(await asyncio.to_thread(self._rules))

    async def judge(self, study: Study) -> None:
        """Hold every active rule against a study. Raises NotReadyError when no catalogue is known."""
        for rule in await asyncio.to_thread(self._rules):
            await self._one(rule, study)

    async def _one(self, rule: ActiveRule, study: Study) -> None:
        found = match(rule.body.match, study)
        if not found.ready:
            await self._write(rule, study, found.outcome, found.why)
            return
        contents = {content_key(rule.id, study, one.structure_set, one.ct): one for one in found.ready}
        known = await asyncio.to_thread(decisions.planned, self._database, list(contents))
        left = {content: one for content, one in contents.items() if content not in known}
        new = {content: one for content, one in left.items() if one.arrived_at + SECOND >= rule.signed_at}
        if left and not new:
            await self._write(rule, study, Outcome.REFUSED, (OLD,))
        elif len(new) > 1:
            await self._write(rule, study, Outcome.REFUSED, (SEVERAL.format(len(new)),))
        for content, ready in new.items() if len(new) == 1 else ():
            await self._plan(rule, study, content, ready)

    async def _plan(self, rule: ActiveRule, study: Study, content: str, ready: Ready) -> None:
        catalogue = await self._catalogues.current()
        request = request_for(rule.body, study, ready)
        try:
            resolved = resolved_for(request, ready, catalogue, self._settings)
            check_pins(rule.pinned, resolved)
        except NotPlannedError as error:
            await self._write(rule, study, Outcome.REFUSED, error.why)
            return
        order = Order(
            request=request,
            resolved=resolved,
            pacs=study.pacs,
            clinic_id=rule.clinic_id,
            asked_by=rule.asked_by,
            idempotency_key=decisions.idempotency_key(rule.id, content),
        )
        plan_id = await asyncio.to_thread(self._take, rule, content, order)
        self._taken()
        log.info("planned by a rule", rule=rule.id, version=rule.version, pacs=study.pacs, job_id=plan_id)

    def _take(self, rule: ActiveRule, content: str, order: Order) -> str:
        """Take a plan; done again after a crash anywhere in it, it is the same plan."""
        decisions.begin_plan(self._database, rule, content)
        try:
            plan_id = take(self._database, order, self._settings).id
        except ConflictError as error:  # taken by an earlier version of the rule, or being taken
            known = decisions.plan_of(self._database, rule, content)
            if known is None:
                raise NotReadyError(str(error), RETRY_AFTER_S) from error
            plan_id = known
        decision = Decision(order.pacs, order.request.study_instance_uid, Outcome.PLANNED, plan_id=plan_id)
        decisions.end_plan(self._database, rule, content, decision)
        return plan_id

    async def _write(self, rule: ActiveRule, study: Study, outcome: Outcome, why: tuple[str, ...]) -> None:
        decision = Decision(study.pacs, study.study_instance_uid, outcome, why)
        await asyncio.to_thread(decisions.write, self._database, rule, decision)

    def _rules(self) -> list[ActiveRule]:
        with self._database.reading() as session:
            return active_rules(session)
