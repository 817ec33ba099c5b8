"""A workflow that an operator wrote, looked at as the plan it would become."""

from typing import Any

from radiarch_common.catalogue import GoalTemplate, WorkflowTemplate
from radiarch_common.plans import PlanSpec, Prescription

_DOSE_GY_RBE, _FRACTIONS = 60.0, 30
"""Of the plan that is looked at; a workflow is for any prescription."""


def check_workflow(template: WorkflowTemplate) -> None:
    """Check that a workflow makes a plan of a common prescription.

    Raises
    ------
    pydantic.ValidationError
        Naming the fields of the workflow that no plan may have.
    """
    values: dict[str, Any] = {
        name: getattr(template, name) for name in PlanSpec.model_fields if hasattr(template, name)
    }
    values["prescription"] = Prescription(
        target="{target}", dose_gy_rbe=_DOSE_GY_RBE, fractions=_FRACTIONS, normalisation=template.normalisation
    )
    values["objectives"] = [
        {**o.model_dump(exclude={"dose_percent"}), "dose_gy_rbe": o.dose_percent * _DOSE_GY_RBE / 100.0}
        for o in template.objectives
    ]
    values["goals"] = [_goal(goal) for goal in template.goals]
    # A machine's, never a workflow's.
    values |= {"minimum_spot_mu": 0.01, "maximum_spot_mu": 100.0}
    PlanSpec.model_validate(values)


def _goal(goal: GoalTemplate) -> dict[str, Any]:
    factor = _DOSE_GY_RBE / 100.0 if goal.metric.endswith("[Gy]") else 1.0
    limit = None if goal.limit is None else goal.limit * factor
    return {**goal.model_dump(), "value": goal.value * factor, "limit": limit}
