"""Conflicts between objectives are said: where structures overlap, and why a goal was missed."""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.plans import Goal, Objective, PlanSpec, Prescription
from radiarch_common.result import GoalResult, Uncertainty
from radiarch_common.watch import QuietWatch
from radiarch_planner.deliverable import deliverable_spots
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.goals import verdict_on
from radiarch_planner.objectives import Region, terms_of
from radiarch_planner.overlaps import checked_overlaps
from radiarch_planner.problem import Problem
from radiarch_planner.tradeoffs import Optimised, explanations, standing_against
from radiarch_testkit.jobs import resolved_plan
from scipy.sparse import csc_matrix

ROWS = 120
GRID = Grid(origin_mm=(0.0, 0.0, 0.0), spacing_mm=(5.0, 5.0, 4.0), size=(10, 10, 10))
Share = npt.NDArray[np.float32]


def objective(structure: str, kind: str, dose: float, weight: float = 1.0, volume: float | None = None) -> Objective:
    fields = {"structure": structure, "kind": kind, "dose_gy_rbe": dose, "weight": weight, "volume_percent": volume}
    return Objective.model_validate(fields)


def boxes(common: int) -> dict[str, Share]:
    """Two boxes of 40 voxels of 0.1 cm3 that share so many."""
    one, other = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.float32)
    one.reshape(-1)[100:140] = 1.0
    other.reshape(-1)[140 - common : 180 - common] = 1.0
    return {"PTV": one, "Rectum": other}


def test_an_overlap_in_conflict_is_said_with_its_volume() -> None:
    asked = [
        objective("PTV", "DUniform", 60, 100),
        objective("PTV", "DMin", 58, 50),
        objective("Rectum", "DMax", 50, 7),
    ]
    (said,) = checked_overlaps(asked, boxes(10), GRID)
    assert "1.00 cm3 in common" in said
    assert "DUniform 60 Gy(RBE) of 'PTV'" in said
    assert "DMax 50 Gy(RBE) of 'Rectum'" in said
    assert "100 and 7" in said


@pytest.mark.parametrize(
    ("kind", "volume", "limit", "common", "conflict"),
    [
        ("DMax", None, 50.0, 0, False),
        ("DMax", None, 60.0, 10, False),
        ("DVHMax", 20.0, 50.0, 10, True),
        ("DVHMax", 30.0, 50.0, 10, False),
        ("DMean", None, 10.0, 10, False),
    ],
    ids=["no overlap", "the same dose", "more than may", "less than may", "a mean has room elsewhere"],
)
def test_only_overlaps_that_must_hurt_are_said(
    kind: str, volume: float | None, limit: float, common: int, conflict: bool
) -> None:
    asked = [objective("PTV", "DMin", 60), objective("Rectum", kind, limit, volume=volume)]
    assert bool(checked_overlaps(asked, boxes(common), GRID)) == conflict


def test_what_the_target_may_spare_is_no_conflict() -> None:
    """95 % of 40 voxels leave two of them: an overlap of two can be spared, one of three cannot."""
    asked = [objective("PTV", "DVHMin", 60, volume=95.0), objective("Rectum", "DMax", 50)]
    assert checked_overlaps(asked, boxes(2), GRID) == ()
    assert len(checked_overlaps(asked, boxes(3), GRID)) == 1


def test_a_structure_denied_everywhere_is_refused_by_name() -> None:
    """The target lies within the organ, or is it under another name: no weight decides that; a neighbour is no such."""
    asked = [objective("PTV", "DMin", 60), objective("Rectum", "DMax", 50)]
    with pytest.raises(RefusedError, match=r"'PTV' and 'Rectum' have 4.00 cm3 .* that is all of 'PTV'") as refusal:
        checked_overlaps(asked, boxes(40), GRID)
    assert "subtract" in refusal.value.hint
    checked_overlaps(asked, boxes(39), GRID)
    checked_overlaps([asked[0], objective("Rectum", "DVHMax", 50, volume=30.0)], boxes(40), GRID)


def planned(core_weight: float, iterations: int = 200) -> tuple[Optimised, PlanSpec, dict[str, Share], bool]:
    """A line of Gaussian spots over a target whose last third is next to an organ at risk."""
    at = np.arange(ROWS)
    spots = 1.5 * np.exp(-(((at[:, None] - np.linspace(20, 100, 33)) / 4.0) ** 2) / 2)
    inside = {name: np.zeros((ROWS, 1, 1), np.float32) for name in ("PTV", "Core", "Far")}
    inside["PTV"][40:80], inside["Core"][78:95], inside["Far"][105:] = 1.0, 1.0, 1.0
    spec = resolved_plan().spec.model_copy(
        update={
            "prescription": Prescription(target="PTV", dose_gy_rbe=60.0, fractions=30, normalisation="D50% = 100 %"),
            "objectives": (
                objective("PTV", "DUniform", 60, 10),
                objective("Core", "DMax", 10, core_weight),
                objective("Far", "DMax", 50, 5),
            ),
            "goals": (
                Goal(structure="PTV", metric="D95%[Gy]", op=">=", value=57.0),
                Goal(structure="Core", metric="D10%[Gy]", op="<=", value=12.0),
                Goal(structure="Rectum", metric="Mean[Gy]", op="<=", value=5.0),
                Goal(structure="PTV", metric="CV40Gy[%]", op="<=", value=1.0),
            ),
            "iterations": iterations,
            "maximum_spot_mu": 250.0,
        }
    )
    model = DoseModel(csc_matrix(spots.astype(np.float32)), 33.0)
    problem = Problem.nominal_only(model, terms_of(spec.objectives, inside, np.arange(ROWS)))
    target = Region.of("PTV", inside["PTV"], np.arange(ROWS))
    found = deliverable_spots(problem, target, spec, QuietWatch())
    return Optimised(problem, found.mu), spec, inside, found.converged


def results(spec: PlanSpec, *achieved: float) -> tuple[GoalResult, ...]:
    return tuple(
        GoalResult(goal=goal, achieved=value, met=verdict_on(goal, value) == "met", verdict=verdict_on(goal, value))
        for goal, value in zip(spec.goals, achieved, strict=True)
    )


def noise(percent: float) -> Uncertainty:
    return Uncertainty(percent=percent, voxels="all", batches=10)


def test_what_stands_against_a_missed_goal_is_the_objective_that_pulls_the_other_way() -> None:
    """The organ's limit holds the target's dose down and the target's holds the organ's up; the far one has no part."""
    found, spec, inside, converged = planned(core_weight=20.0)
    standing = standing_against([found], spec, inside, np.arange(ROWS), converged)
    said = explanations(results(spec, 50.0, 33.0, 4.0, 3.0), standing, noise(0.5))
    target, core, cold = said[:3]
    assert target.startswith("Goal D95%[Gy] >= 57 of 'PTV' is missed: 50 Gy(RBE). Against more dose there: DMax 10 ")
    assert "'Core', weight 20 (" in target
    assert "% of the remaining cost)" in target
    assert "Against less dose there: DUniform 60 Gy(RBE) of 'PTV'" in core
    assert "3 %. Against more dose there: DMax 10 Gy(RBE) of 'Core'" in cold
    assert all("Far" not in sentence for sentence in said)


def test_beams_optimised_alone_are_looked_at_together() -> None:
    """Two halves of the same plan say what the whole says."""
    found, spec, inside, converged = planned(core_weight=20.0)
    twice = standing_against([found, found], spec, inside, np.arange(ROWS), converged)
    assert twice == standing_against([found], spec, inside, np.arange(ROWS), converged)


def test_goals_that_are_met_are_not_explained() -> None:
    found, spec, inside, converged = planned(core_weight=20.0)
    standing = standing_against([found], spec, inside, np.arange(ROWS), converged)
    assert explanations(results(spec, 57.0, 12.0, 5.0, 1.0), standing, noise(0.5)) == ()


def test_a_goal_that_no_objective_looks_at_noise_and_too_few_iterations_are_said() -> None:
    found, spec, inside, converged = planned(core_weight=20.0, iterations=5)
    standing = standing_against([found], spec, inside, np.arange(ROWS), converged)
    said = explanations(results(spec, 56.0, 12.0, 9.0, 0.5), standing, noise(1.5))
    assert "twice the statistical uncertainty of 1.5 %" in said[0]
    assert said[1] == "Goal Mean[Gy] <= 5 of 'Rectum' is missed: 9 Gy(RBE). No objective looks at 'Rectum'."
    assert "5 iterations" in said[-1]


def test_what_the_beamlets_had_was_lost_later() -> None:
    """Without a rival the target has its dose: a final dose that misses it is noise, and no objective is blamed."""
    found, spec, inside, converged = planned(core_weight=1e-6)
    easy = spec.model_copy(update={"goals": (spec.goals[0].model_copy(update={"value": 45.0}),)})
    standing = standing_against([found], easy, inside, np.arange(ROWS), converged)
    (said,) = explanations(results(easy, 44.0), standing, noise(3.0))
    assert "lost to the noise" in said
