"""A rule tried on a study as it is now: the same steps as in earnest, with nothing written."""

from collections.abc import Mapping

from radiarch_common.errors import UnavailableError
from radiarch_common.settings import Settings

from radiarch_gateway.errors import FieldError, InvalidRequestError, MissingError
from radiarch_gateway.hooks.orthanc import UnreadableError
from radiarch_gateway.hooks.study import Study
from radiarch_gateway.hooks.watcher import Watcher
from radiarch_gateway.rules.asking import NotPlannedError, check, request_for, resolved_for
from radiarch_gateway.rules.judge import SEVERAL
from radiarch_gateway.rules.matching import Outcome, match
from radiarch_gateway.rules.views import RuleTest, RuleTried
from radiarch_gateway.workflows.catalogue import Catalogues


async def try_rule(
    watchers: Mapping[str, Watcher], catalogues: Catalogues, settings: Settings, trial: RuleTest
) -> RuleTried:
    """What a rule would make of a study.

    Raises
    ------
    InvalidRequestError
        If the rule asks for what cannot be planned, or the PACS is not watched.
    MissingError
        If the PACS has no such study.
    UnavailableError, NotReadyError
        If the PACS cannot be read, or no planner has published its catalogue.
    """
    catalogue = await catalogues.current()
    check(trial.rule, catalogue, settings)
    name = trial.pacs or settings.default_pacs
    watcher = watchers.get(name)
    if watcher is None:
        allowed = "one of: " + (", ".join(sorted(watchers)) or "none is watched")
        message = f"PACS connector '{name}' is not watched."
        raise InvalidRequestError([FieldError(field="pacs", message=message, allowed=allowed)])
    study, settled = await _study(watcher, trial.study_instance_uid)
    found = match(trial.rule.match, study)
    ready = next(iter(found.ready), None)
    if ready is None:
        return RuleTried(outcome=found.outcome, why=list(found.why), settled=settled)
    if len(found.ready) > 1:
        return RuleTried(outcome=Outcome.REFUSED, why=[SEVERAL.format(len(found.ready))], settled=settled)
    request = request_for(trial.rule, study, ready)
    told = request.model_dump(mode="json", exclude_unset=True)
    try:
        resolved = resolved_for(request, ready, catalogue, settings)
    except NotPlannedError as error:
        return RuleTried(outcome=Outcome.REFUSED, why=list(error.why), settled=settled, request=told)
    return RuleTried(outcome=Outcome.PLANNED, why=[], settled=settled, request=told, resolved=resolved)


async def _study(watcher: Watcher, study_instance_uid: str) -> tuple[Study, bool]:
    try:
        found = await watcher.look_up(study_instance_uid)
    except UnreadableError as error:
        raise UnavailableError(f"Study {study_instance_uid} in PACS '{watcher.orthanc.name}'", str(error)) from error
    if found is None:
        raise MissingError("study", study_instance_uid)
    return found
