"""The optimum of a plan: beamlets of every scenario that an objective looks at, and the spots that serve best."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.plans import PlanSpec
from radiarch_common.robustness import NOMINAL, Scenario
from radiarch_common.watch import PartOf, Watch, one_by_one

from radiarch_planner.deliverable import DeliverableSpots, deliverable_spots
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.engines.base import Placement
from radiarch_planner.memory import (
    grid_bytes,
    machine_memory_bytes,
    refuse_large_tally,
    refuse_many_beamlets,
    tally_bytes,
)
from radiarch_planner.objectives import Region, terms_of, voxels_needed
from radiarch_planner.planning import Planning
from radiarch_planner.problem import Measure, Problem
from radiarch_planner.single_field import problem_of_beam, spots_of_each_beam
from radiarch_planner.tradeoffs import Optimised, Standing, standing_against

LIMIT_ROOM = 1.1
"""Spots are optimised this factor inside the machine's limits, so that the normalisation may scale the plan."""
_UNDELIVERABLE_PERCENT = 15.0
"""Of the prescription; 10 of it is the room inside the limits."""
_ALL_BEAMLETS = 0.76
"""Share of the progress that the beamlets have, beside the optimisation."""


@dataclass(frozen=True)
class Optimum:
    """What the optimiser found.

    Attributes
    ----------
    robust_costs
        Cost of the robust objectives by the name of the scenario; empty when none is robust, and for beams that were
        optimised each alone.
    standing
        What stands against each goal.
    """

    spots: DeliverableSpots
    robust_costs: dict[str, float]
    standing: Standing


@dataclass(frozen=True)
class _Rows:
    """Voxels that beamlets are needed in: of the nominal scenario, and of each other; flat indices, rising."""

    nominal: npt.NDArray[np.int64]
    robust: npt.NDArray[np.int64]
    scenarios: tuple[Scenario, ...]
    measure: Measure

    @classmethod
    def of(cls, planning: Planning) -> "_Rows":
        spec = planning.spec
        nominal = voxels_needed(list(planning.inside.values()))
        robust = dict.fromkeys(objective.structure for objective in spec.objectives if objective.robust)
        if spec.robustness is None or spec.robustness.optimise == "nominal" or not robust:
            return cls(nominal, nominal[:0], (NOMINAL,), "worst case")
        rows = voxels_needed([planning.inside[name] for name in robust])
        return cls(nominal, rows, spec.robustness.scenarios(), spec.robustness.optimise)

    def of_scenario(self, scenario: Scenario) -> npt.NDArray[np.int64]:
        return self.nominal if scenario is self.scenarios[0] else self.robust


def find_optimum(planning: Planning, placement: Placement, watch: Watch) -> Optimum:
    """Spots that the machine can deliver and that serve the objectives best.

    Raises
    ------
    RefusedError
        If the beamlets do not fit into the memory, or the limits on the MU of a spot forbid the prescription.
    StoppedError
        When asked to stop.
    """
    spec, rows = planning.spec, _Rows.of(planning)
    _refuse_what_cannot_fit(planning, placement, rows)
    problem = _problem(planning, placement, rows, PartOf(watch, 0.0, _ALL_BEAMLETS))
    target = Region.of(spec.prescription.target, planning.target, rows.nominal)
    inner = spec.model_copy(
        update={
            "minimum_spot_mu": spec.minimum_spot_mu * LIMIT_ROOM,
            "maximum_spot_mu": spec.maximum_spot_mu / LIMIT_ROOM,
        }
    )
    counts = [beam.count for beam in placement.beams if beam.count]
    alone = spec.optimisation == "each beam alone" and len(counts) > 1
    part = PartOf(watch, _ALL_BEAMLETS, 1.0)
    with watch.timed("optimisation"):
        if alone:
            spots = spots_of_each_beam(problem, target, inner, counts, part)
        else:
            spots = deliverable_spots(problem, target, inner, part)
        _refuse_undeliverable(spec, spots.residual_percent)
        refuse_idle_beams(placement, spots, inner)
        if alone:
            mu = np.split(spots.mu, np.cumsum(counts)[:-1])
            found = [Optimised(problem_of_beam(problem, counts, beam), mu[beam]) for beam in range(len(counts))]
        else:
            found = [Optimised(problem, spots.mu)]
        standing = standing_against(found, inner, planning.inside, rows.nominal, spots.converged)
        costs = () if alone else problem.robust_costs(spots.mu)
    names = [scenario.name for scenario in rows.scenarios]
    return Optimum(spots, dict(zip(names, costs, strict=False)), standing)


def _problem(planning: Planning, placement: Placement, rows: _Rows, watch: Watch) -> Problem:
    """Objectives, and the beamlets of each scenario that they need."""
    spec, engine = planning.spec, planning.engine
    several = len(rows.scenarios) > 1
    plain = [objective for objective in spec.objectives if not (several and objective.robust)]
    robust = [objective for objective in spec.objectives if several and objective.robust]
    terms = terms_of(plain, planning.inside, rows.nominal)
    of_each = tuple(terms_of(robust, planning.inside, rows.of_scenario(scenario)) for scenario in rows.scenarios)
    expected_s = engine.beamlet_seconds(planning.patient, placement, spec)
    names = [f"scenario {scenario.name}" for scenario in rows.scenarios]
    watches = one_by_one(watch, names, expected_s) if several else iter([watch])
    models: list[DoseModel] = []
    for scenario, part in zip(rows.scenarios, watches, strict=True):
        needed = rows.of_scenario(scenario)
        beamlets = engine.beamlets(planning.patient, placement, needed, spec, part, scenario)
        models.append(DoseModel(beamlets, spec.prescription.fractions * spec.rbe))
    return Problem(tuple(models), terms, of_each if several else (), rows.measure)


def _refuse_undeliverable(spec: PlanSpec, residual_percent: float) -> None:
    """Refuse a prescription that the limits on the MU of a spot put out of reach."""
    if abs(residual_percent) <= _UNDELIVERABLE_PERCENT:
        return
    few = residual_percent < 0
    raise RefusedError(
        f"With {spec.minimum_spot_mu:g} to {spec.maximum_spot_mu:g} MU in each spot the target gets "
        f"{abs(residual_percent):.0f} % {'less' if few else 'more'} than '{spec.prescription.normalisation}' of "
        f"{spec.prescription.dose_gy_rbe:g} Gy(RBE) in {spec.prescription.fractions} fractions.",
        "Ask for more fractions, more beams, or a smaller spot or layer spacing."
        if few
        else "Ask for fewer fractions, fewer beams, or a larger spot or layer spacing.",
    )


def refuse_idle_beams(placement: Placement, spots: DeliverableSpots, spec: PlanSpec) -> None:
    """Refuse a beam that the optimum makes no use of: it cannot be written, and somebody asked for it.

    Raises
    ------
    RefusedError
        That names the first such beam.
    """
    beams = [beam for beam in placement.beams if beam.count]
    starts = np.cumsum([0, *(beam.count for beam in beams)])
    for beam, start in zip(beams, starts[:-1], strict=True):
        if not spots.mu[start : start + beam.count].any():
            raise RefusedError(
                f"The optimum has no spot of beam '{beam.beam.name}': other beams serve the objectives better, or its "
                f"spots would have less than {spec.minimum_spot_mu / 2:.2g} MU.",
                "Leave the beam out, give it another direction, or ask for 'each beam alone'.",
            )


def _refuse_what_cannot_fit(planning: Planning, placement: Placement, rows: _Rows) -> None:
    patient, spec, engine = planning.patient, planning.spec, planning.engine
    volumes = grid_bytes(planning.case.manifest.grid, patient.grid)
    beams = len(spec.beams)
    refuse_large_tally(volumes, tally_bytes(patient.grid, beams, let_map=spec.let_map), beams, machine_memory_bytes())
    needed = [len(rows.of_scenario(scenario)) for scenario in rows.scenarios]
    beamlets = sum(engine.beamlet_bytes(patient, placement, count, spec) for count in needed)
    refuse_many_beamlets(
        volumes, beamlets, placement.count, spec.primaries_per_spot, machine_memory_bytes(), len(needed)
    )
