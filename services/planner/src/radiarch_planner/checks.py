"""What a plan is refused for before an engine starts, though nothing but its evaluation would stumble over it."""

from collections.abc import Mapping

from radiarch_common.case import Case
from radiarch_common.errors import RefusedError
from radiarch_common.plans import PlanSpec

from radiarch_planner.engines.base import FloatArray
from radiarch_planner.metrics import Metric


def check_structures(case: Case, spec: PlanSpec, inside: Mapping[str, FloatArray]) -> None:
    """Refuse a plan whose target, objectives or goals are of a structure that there is nothing of.

    Parameters
    ----------
    inside
        Share of each voxel of the dose grid inside the target and the structures with objectives.

    Raises
    ------
    RefusedError
        Also if a goal's metric cannot be read.
    """
    uses = {
        "is the target": [spec.prescription.target],
        "has an objective": [objective.structure for objective in spec.objectives],
        "has a goal": [goal.structure for goal in spec.goals],
    }
    for use, names in uses.items():
        for name in names:
            _check_structure(case, name, use, inside.get(name))
    for goal in spec.goals:
        Metric.parse(goal.metric)


def _check_structure(case: Case, name: str, use: str, share: FloatArray | None) -> None:
    if case.manifest.structure(name).volume_cc <= 0:
        raise RefusedError(
            f"Structure '{name}' {use} and has no volume: its contours enclose nothing.",
            "Draw it, or leave it out of the plan.",
        )
    if share is not None and not share.any():
        raise RefusedError(
            f"Structure '{name}' {use}, and no voxel of the dose grid lies in it.",
            "Draw it inside BODY, or leave it out of the plan.",
        )
