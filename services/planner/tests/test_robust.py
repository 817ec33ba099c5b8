"""Robust objectives on a line: shifts of the field as scenarios, every dose computed here from the shifted spots.

Fails when the optimiser looks at the nominal scenario alone, at another measure than it says, or when gradient and
cost do not belong together.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.plans import Objective, Prescription
from radiarch_common.robustness import NOMINAL, Robustness
from radiarch_common.watch import QuietWatch, one_by_one
from radiarch_planner.deliverable import deliverable_spots
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.objectives import Region, terms_of
from radiarch_planner.problem import Measure, Problem, gathered
from radiarch_planner.scenarios import warnings_of_margin
from radiarch_testkit.jobs import resolved_plan
from scipy.sparse import csc_matrix

FloatArray = npt.NDArray[np.float64]
ROWS, FIRST, LAST = 120, 40, 80
SHIFTS_MM = (0.0, 5.0, -5.0)
GY_PER_MU = 33.0
GOAL = Prescription(target="CTV", dose_gy_rbe=60.0, fractions=30, normalisation="D95% = 98 %")
CTV = (
    Objective(structure="CTV", kind="DUniform", dose_gy_rbe=60.0, weight=50.0),
    Objective(structure="BODY", kind="DMean", dose_gy_rbe=0.0, weight=1.0),
)


def spots(shift_mm: float) -> FloatArray:
    """Dose of one MU of each spot: shape (rows, spots)."""
    at, centres = np.arange(ROWS, dtype=np.float64), np.linspace(20.0, 100.0, 33)
    return 1.5 * np.exp(-(((at[:, None] - centres - shift_mm) / 4.0) ** 2) / 2)


def inside() -> dict[str, npt.NDArray[np.float32]]:
    ctv = np.zeros((ROWS, 1, 1), np.float32)
    ctv[FIRST:LAST] = 1.0
    return {"CTV": ctv, "BODY": np.ones((ROWS, 1, 1), np.float32)}


def problem(measure: Measure | Literal["nominal"]) -> Problem:
    """The target's objective robust, but for ``nominal``; the shifted beamlets have rows of the target alone."""
    rows, ctv_rows = np.arange(ROWS), np.arange(FIRST, LAST)
    models = [DoseModel(csc_matrix(spots(0.0).astype(np.float32)), GY_PER_MU)]
    if measure == "nominal":
        return Problem.nominal_only(models[0], terms_of(CTV, inside(), rows))
    models += [DoseModel(csc_matrix(spots(s)[ctv_rows].astype(np.float32)), GY_PER_MU) for s in SHIFTS_MM[1:]]
    nominal = terms_of(CTV[1:], inside(), rows)
    robust = [terms_of(CTV[:1], inside(), rows), *[terms_of(CTV[:1], inside(), ctv_rows)] * 2]
    return Problem(tuple(models), nominal, tuple(robust), measure)


def d95(mu: FloatArray, shift_mm: float) -> float:
    dose = np.sort(spots(shift_mm)[FIRST:LAST] @ mu) * GY_PER_MU
    return float(np.quantile(dose, 0.05))


def worst_d95_percent(measure: Measure | Literal["nominal"]) -> float:
    """Of the nominal D95, which is the same for each."""
    base = resolved_plan().spec
    spec = base.model_copy(update={"prescription": GOAL, "maximum_spot_mu": 250.0, "iterations": 200})
    target = Region.of("CTV", inside()["CTV"], np.arange(ROWS))
    found = deliverable_spots(problem(measure), target, spec, QuietWatch())
    assert d95(found.mu, 0.0) == pytest.approx(0.98 * 60.0, rel=0.02)
    return 100.0 * min(d95(found.mu, shift) for shift in SHIFTS_MM) / d95(found.mu, 0.0)


def test_worst_scenario_gains_by_the_worst_case_and_less_by_the_expected_value() -> None:
    nominal = worst_d95_percent("nominal")
    expected = worst_d95_percent("expected value")
    worst = worst_d95_percent("worst case")
    assert worst > nominal + 2.0
    assert nominal + 0.5 < expected <= worst + 0.2


@pytest.mark.parametrize("measure", ["worst case", "expected value"])
def test_gradient_is_the_slope_of_the_cost(measure: Measure) -> None:
    asked = problem(measure)
    mu = np.random.default_rng(5).uniform(0.05, 0.4, 33)
    gradient = asked.cost(mu)[1]
    for spot in range(0, 33, 4):
        step = np.zeros(33)
        step[spot] = 1e-3
        slope = (asked.cost(mu + step)[0] - asked.cost(mu - step)[0]) / 2e-3
        assert gradient[spot] == pytest.approx(slope, rel=5e-3, abs=1e-3 * float(np.abs(gradient).max()))


def test_cost_is_what_the_measure_says() -> None:
    """From doses computed here; the worst case within the bounds of its stand-in."""
    mu = np.full(33, 0.9)
    robust = [50.0 * float(np.mean((GY_PER_MU * spots(s)[FIRST:LAST] @ mu - 60.0) ** 2)) for s in SHIFTS_MM]
    body = float(np.mean(GY_PER_MU * spots(0.0) @ mu)) ** 2
    assert problem("worst case").robust_costs(mu) == pytest.approx(robust, rel=1e-5)
    assert problem("expected value").cost(mu)[0] == pytest.approx(body + np.mean(robust), rel=1e-5)
    stand_in = problem("worst case").cost(mu)[0] - body
    assert 3 ** (-1 / 10) * max(robust) <= stand_in <= max(robust) * (1 + 1e-6)


@pytest.mark.parametrize("costs", [[1.0, 1.0, 1.0], [0.0, 3.0, 1.0], [1e-30, 2e-30, 5e-31], [1e12, 3.0, 1e11]])
def test_power_mean_and_its_slope(costs: list[float]) -> None:
    value, slope = gathered(np.array(costs), "worst case")
    n = len(costs)
    exact = (np.mean((np.array(costs, dtype=np.longdouble) / max(costs)) ** 10)) ** 0.1 * max(costs)
    assert value == pytest.approx(float(exact), rel=1e-12)
    assert n ** (-1 / 10) * max(costs) <= value * (1 + 1e-12) <= max(costs) * (1 + 1e-9)
    for k in range(n):
        step = 1e-6 * max(costs)
        moved = [c + step * (i == k) for i, c in enumerate(costs)]
        less = [c - step * (i == k and c > step) for i, c in enumerate(costs)]
        rise = (gathered(np.array(moved), "worst case")[0] - gathered(np.array(less), "worst case")[0]) / (
            moved[k] - less[k]
        )
        assert slope[k] == pytest.approx(rise, abs=1e-4)


def test_costs_of_nothing_pull_nowhere() -> None:
    value, slope = gathered(np.zeros(3), "worst case")
    assert value == 0.0
    assert slope.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("measure", ["worst case", "expected value", "nominal"])
def test_pulls_of_the_objectives_are_the_whole_cost_and_gradient(measure: Measure | Literal["nominal"]) -> None:
    asked, mu = problem(measure), np.full(33, 0.7)
    cost, gradient = asked.cost(mu)
    pulls = asked.pulls(mu)
    assert {pull.objective.structure for pull in pulls} == {"CTV", "BODY"}
    assert sum(pull.cost for pull in pulls) == pytest.approx(cost, rel=1e-6)
    assert sum(pull.by_mu for pull in pulls) == pytest.approx(gradient, rel=1e-4, abs=1e-4 * np.abs(gradient).max())


def test_scenarios_are_each_error_alone_to_either_side() -> None:
    """An axis without an error, or no range error, has no scenario; the nominal one is always the first."""
    errors = Robustness(
        setup_mm=(3.0, 0.0, 5.0), range_percent=3.5, optimise="worst case", primaries_per_scenario=10_000
    )
    assert [(s.name, s.setup_mm, s.range_percent) for s in errors.scenarios()] == [
        ("nominal", (0.0, 0.0, 0.0), 0.0),
        ("setup x +3 mm", (3.0, 0.0, 0.0), 0.0),
        ("setup x -3 mm", (-3.0, 0.0, 0.0), 0.0),
        ("setup z +5 mm", (0.0, 0.0, 5.0), 0.0),
        ("setup z -5 mm", (0.0, 0.0, -5.0), 0.0),
        ("density +3.5 %", (0.0, 0.0, 0.0), 3.5),
        ("density -3.5 %", (0.0, 0.0, 0.0), -3.5),
    ]
    nothing = errors.model_copy(update={"setup_mm": (0.0, 0.0, 0.0), "range_percent": 0.0})
    assert nothing.scenarios() == (NOMINAL,)


def test_progress_over_several_scenarios_never_goes_back_and_counts_those_to_come() -> None:
    class Heard(QuietWatch):
        def __init__(self) -> None:
            super().__init__()
            self.left: list[float | None] = []

        def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
            super().progress(fraction, message, eta_seconds)
            self.left.append(eta_seconds)

    heard = Heard()
    for part in one_by_one(heard, ["scenario a", "scenario b"], 40.0):
        part.progress(0.0, "Beamlets: 0%", 40.0)
        part.progress(1.0, "Beamlets: 100%", 0.0)
    assert [fraction for fraction, _ in heard.reports] == [0.0, 0.5, 0.5, 1.0]
    assert heard.reports[2][1] == "scenario b (2 of 2): Beamlets: 0%"
    assert heard.left[:2] == [80.0, 40.0]
    assert heard.left[3] == 0.0


@pytest.mark.parametrize(
    ("margin_mm", "optimise", "said"), [(5.0, "worst case", 0), (4.9, "worst case", 1), (0.0, "nominal", 0)]
)
def test_a_setup_error_beyond_the_spots_is_said(
    margin_mm: float, optimise: Literal["worst case", "nominal"], said: int
) -> None:
    """Spots end at the margin: a target shifted beyond it cannot be covered, however the weights are chosen."""
    errors = Robustness(setup_mm=(0.0, 5.0, 3.0), range_percent=0.0, optimise=optimise, primaries_per_scenario=10_000)
    spec = resolved_plan().spec.model_copy(update={"target_margin_mm": margin_mm, "robustness": errors})
    found = warnings_of_margin(spec)
    assert len(found) == said
    assert all("at least 5" in warning for warning in found)
