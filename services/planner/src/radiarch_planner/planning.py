"""What every step of one plan needs: the request in the case's words, patient, engine."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case
from radiarch_common.errors import RefusedError
from radiarch_common.objectives import contradiction
from radiarch_common.plans import BODY, PlanSpec

from radiarch_planner.engines.base import Engine, FloatArray, Patient


@dataclass(frozen=True)
class Planning:
    """What every step of one plan needs.

    ``inside`` maps the structures with objectives, and the target, to the share of each voxel of the patient's
    grid inside them: shape (z, y, x), float32, 0..1. ``body`` tells the voxels that BODY has a part in, same shape.
    """

    case: Case
    spec: PlanSpec
    engine: Engine
    patient: Patient
    inside: Mapping[str, FloatArray]
    body: npt.NDArray[np.bool_]

    @property
    def target(self) -> FloatArray:
        """The prescription's target, as in ``inside``."""
        return self.inside[self.spec.prescription.target]


def spec_of_case(spec: PlanSpec, case: Case) -> PlanSpec:
    """A spec whose structures are the case's.

    Raises
    ------
    RefusedError
        That lists the names there are when a structure is not among them; or if objectives contradict each other now
        that BODY has its name.
    """
    body = body_name(case)

    def named(structure: str) -> str:
        return body if structure == BODY else case.manifest.structure(structure).name

    case.manifest.structure(spec.prescription.target)
    objectives = tuple(o.model_copy(update={"structure": named(o.structure)}) for o in spec.objectives)
    goals = tuple(g.model_copy(update={"structure": named(g.structure)}) for g in spec.goals)
    found = contradiction(objectives, body)
    if found:
        raise RefusedError(f"{found[0].upper()}{found[1:]}.", "Change the dose of one of them, or leave it out.")
    return spec.model_copy(update={"objectives": objectives, "goals": goals})


def body_name(case: Case) -> str:
    """What the case calls BODY."""
    return next(s.name for s in case.manifest.structures if s.number == case.manifest.body)


def structures_of(spec: PlanSpec) -> list[str]:
    """Structures whose voxels the plan needs: the target, and those with objectives; each once."""
    return list(dict.fromkeys([spec.prescription.target, *(objective.structure for objective in spec.objectives)]))
