"""From a matching structure set to a request and what it is resolved to. Pure."""

from collections.abc import Sequence

from radiarch_common.catalogue import Catalogue
from radiarch_common.errors import RadiarchError
from radiarch_common.plans import ResolvedPlan
from radiarch_common.settings import Settings

from radiarch_gateway.errors import FieldError, InvalidRequestError
from radiarch_gateway.hooks.study import Study
from radiarch_gateway.plans.request import PlanRequest
from radiarch_gateway.rules.body import RuleBody
from radiarch_gateway.rules.matching import Ready
from radiarch_gateway.rules.views import Pins
from radiarch_gateway.workflows.resolve import resolve

NO_STUDY = "0.0"
"""Stands for a study where a rule is checked without one."""


class NotPlannedError(RadiarchError):
    """A study matches and cannot be planned by this rule; ``why`` says all of it."""

    def __init__(self, why: Sequence[str]) -> None:
        super().__init__(" ".join(why))
        self.why = tuple(why)


def check(rule: RuleBody, catalogue: Catalogue, settings: Settings) -> ResolvedPlan:
    """What a rule asks for, on no study. Raises InvalidRequestError naming fields of the rule."""
    unknown = sorted(set(rule.match.pacs or ()) - set(settings.pacs))
    if unknown:
        allowed = "one of: " + (", ".join(sorted(settings.pacs)) or "none is configured")
        message = f"There is no PACS connector '{unknown[0]}' here."
        raise InvalidRequestError([FieldError(field="match.pacs", message=message, allowed=allowed)])
    request = PlanRequest.model_validate({"study_instance_uid": NO_STUDY, **_asked(rule)})
    try:
        return resolve(request, catalogue, settings)
    except InvalidRequestError as error:
        named = [one.model_copy(update={"field": f"request.{one.field}"}) for one in error.errors]
        raise InvalidRequestError(named) from error


def request_for(rule: RuleBody, study: Study, ready: Ready) -> PlanRequest:
    """What a rule asks for on a structure set, named so that no other can be taken for it."""
    place = {
        "study_instance_uid": study.study_instance_uid,
        "segmentation_uid": ready.structure_set.sop_uid,
        "pacs": study.pacs,
    }
    return PlanRequest.model_validate({**place, **_asked(rule)})


def resolved_for(request: PlanRequest, ready: Ready, catalogue: Catalogue, settings: Settings) -> ResolvedPlan:
    """What a request is resolved to. Raises NotPlannedError when it cannot be, or the target was not drawn."""
    try:
        resolved = resolve(request, catalogue, settings)
    except InvalidRequestError as error:
        raise NotPlannedError([f"{one.field}: {one.message}" for one in error.errors]) from error
    target = resolved.spec.prescription.target
    if target not in ready.structure_set.structures and target not in {
        one.name for one in resolved.spec.derived_structures
    }:
        raise NotPlannedError([f"The structure set has no structure '{target}', the target."])
    return resolved


def check_pins(signed: Pins, resolved: ResolvedPlan) -> None:
    """Raise NotPlannedError when planners offer something else under the names that were signed."""
    now = Pins.of(resolved)
    changed = [
        f"It was signed for {what} '{old.id}' version {old.version}; it would be '{new.id}' version {new.version} "
        "now. Sign it again."
        for what, old, new in (
            ("workflow", signed.workflow, now.workflow),
            ("machine", signed.machine, now.machine),
            ("CT calibration", signed.ct_calibration, now.ct_calibration),
        )
        if old != new
    ]
    if changed:
        raise NotPlannedError(changed)


def _asked(rule: RuleBody) -> dict[str, object]:
    asked = rule.request
    return {name: getattr(asked, name) for name in asked.model_fields_set}
