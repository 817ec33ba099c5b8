"""The optimiser: right gradient, right minimum, the same bits, within bounds, stopped when asked."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.errors import RefusedError, StoppedError
from radiarch_common.plans import Objective
from radiarch_common.watch import QuietWatch
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.objectives import Region, terms_of, voxels_needed
from radiarch_planner.optimize import optimise, uniform_start
from radiarch_planner.problem import Problem
from radiarch_planner.quasi_newton import minimise
from scipy.optimize import lsq_linear
from scipy.sparse import csc_matrix, random_array

FloatArray = npt.NDArray[np.float64]
KINDS = ("DMin", "DMax", "DMean", "DUniform")


def objective(kind: str, dose: float, weight: float = 1.0, structure: str = "PTV") -> Objective:
    return Objective.model_validate({"structure": structure, "kind": kind, "dose_gy_rbe": dose, "weight": weight})


def beamlets(rows: int, spots: int, seed: int = 1) -> csc_matrix:
    rng = np.random.default_rng(seed)
    return csc_matrix(random_array((rows, spots), density=0.3, rng=rng, dtype=np.float32))


def occupancy(voxels: int, seed: int = 2) -> npt.NDArray[np.float32]:
    """Some voxels outside, some in part."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.uniform(-0.5, 1.5, (voxels, 1, 1)), 0, 1).astype(np.float32)


def tell_nobody(_iteration: int, _cost: float) -> None:
    pass


def plainly(kind: str, limit: float, dose: FloatArray, share: FloatArray) -> float:
    """The cost of one objective as its definition reads."""
    share = share / share.sum()
    if kind == "DMean":
        return max(float(share @ dose) - limit, 0.0) ** 2
    away = {"DMin": np.minimum(dose - limit, 0), "DMax": np.maximum(dose - limit, 0), "DUniform": dose - limit}[kind]
    return float(share @ away**2)


@pytest.mark.parametrize("kind", KINDS)
def test_cost_is_the_mean_over_the_volume(kind: str) -> None:
    inside = occupancy(60)
    model = DoseModel(beamlets(60, 9), 33.0)
    mu = np.linspace(0.0, 0.4, 9)
    dose = (model.beamlets.toarray().astype(np.float64) @ mu) * 33.0
    limit = float(np.median(dose)) * 0.9
    terms = terms_of([objective(kind, limit, weight=7.0)], {"PTV": inside}, np.arange(60))
    expected = 7.0 * plainly(kind, limit, dose, inside.reshape(-1).astype(np.float64))
    assert Problem.nominal_only(model, terms).cost(mu)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_were_left_out_count_as_no_dose(kind: str) -> None:
    """Cropping the beamlets to fewer voxels changes neither cost nor gradient when those voxels get no dose."""
    whole = beamlets(60, 9).toarray()
    whole[40:] = 0
    inside, mu = occupancy(60), np.full(9, 0.3)
    found: list[tuple[float, FloatArray]] = []
    for rows in (60, 40):
        terms = terms_of([objective(kind, 3.0)], {"PTV": inside}, np.arange(rows))
        found.append(Problem.nominal_only(DoseModel(csc_matrix(whole[:rows]), 33.0), terms).cost(mu))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-9)


def test_gradient_is_the_slope_of_the_cost() -> None:
    """Central differences of all four kinds together, structures overlapping."""
    inside = {"PTV": occupancy(80, 2), "Rectum": occupancy(80, 3)}
    objectives = [objective(k, d, w, s) for k, d, w, s in zip(
        KINDS, (20.0, 12.0, 5.0, 15.0), (3.0, 2.0, 1.0, 0.5), ("PTV", "Rectum", "Rectum", "PTV"), strict=True
    )]  # fmt: skip
    terms = terms_of(objectives, inside, np.arange(80))
    problem = Problem.nominal_only(DoseModel(beamlets(80, 12), 33.0), terms)
    mu = np.random.default_rng(5).uniform(0.05, 0.4, 12)
    gradient = problem.cost(mu)[1]
    for spot in range(12):
        step = np.zeros(12)
        step[spot] = 1e-3
        slope = (problem.cost(mu + step)[0] - problem.cost(mu - step)[0]) / 2e-3
        assert gradient[spot] == pytest.approx(slope, rel=2e-3, abs=1e-3 * float(np.abs(gradient).max()))


def uniform_problem() -> Problem:
    inside = np.ones((200, 1, 1), np.float32)
    terms = terms_of([objective("DUniform", 2.0)], {"PTV": inside}, np.arange(200))
    return Problem.nominal_only(DoseModel(beamlets(200, 40), 1.0), terms)


def test_reaches_the_minimum_of_bounded_least_squares() -> None:
    """DUniform alone is a bounded least-squares problem: SciPy's active-set solver knows its minimum."""
    problem = uniform_problem()
    exact = lsq_linear(
        problem.nominal.beamlets.toarray().astype(np.float64), np.full(200, 2.0), (0.15, 0.35), tol=1e-14
    )
    least = 2 * exact.cost / 200
    found = minimise(problem.cost, np.full(40, 0.2), 0.15, 0.35, 400, 0.0, tell_nobody)
    assert found.course[-1] == pytest.approx(least, rel=1e-5)
    np.testing.assert_allclose(found.x, exact.x, atol=2e-3)
    assert np.sum(found.x == 0.15) == np.sum(exact.x < 0.15 + 1e-8) > 0
    assert np.sum(found.x == 0.35) == np.sum(exact.x > 0.35 - 1e-8) > 0


def test_narrow_valley_between_bounds() -> None:
    """Rosenbrock's function, whose minimum (1, 1) the bounds forbid: on them it lies at (0.5, 0.25)."""

    def rosenbrock(x: FloatArray) -> tuple[float, FloatArray]:
        a, b = x
        cost = (1 - a) ** 2 + 100 * (b - a * a) ** 2
        return float(cost), np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])

    found = minimise(rosenbrock, np.array([-1.2, 0.4]), -2.0, 0.5, 200, 0.0, tell_nobody)
    np.testing.assert_allclose(found.x, [0.5, 0.25], atol=1e-5)


def test_cost_never_rises_and_spots_stay_within_bounds() -> None:
    problem = uniform_problem()
    found = optimise(problem, np.full(40, 5.0), (0.02, 0.3), 100, QuietWatch())
    assert all(a >= b for a, b in pairwise(found.course))
    assert found.mu.min() >= 0.02
    assert found.mu.max() <= 0.3
    assert found.converged


def test_iterations_are_a_limit() -> None:
    problem = uniform_problem()
    found = optimise(problem, np.full(40, 0.1), (0.0, 1.0), 3, QuietWatch())
    assert len(found.course) == 4
    assert not found.converged


@pytest.mark.parametrize("spots", [400, 12_000])
def test_same_bits_on_any_number_of_threads(spots: int) -> None:
    """BLAS splits sums over threads from 10,000 elements on; a plan must not depend on that."""
    program = (
        "import hashlib, numpy as np\n"
        "from scipy.sparse import csc_matrix, random_array\n"
        "from radiarch_common.plans import Objective\n"
        "from radiarch_common.watch import QuietWatch\n"
        "from radiarch_planner.objectives import terms_of\n"
        "from radiarch_planner.dose_model import DoseModel\n"
        "from radiarch_planner.optimize import optimise\n"
        "from radiarch_planner.problem import Problem\n"
        f"a = csc_matrix(random_array((500, {spots}), density=0.02, rng=np.random.default_rng(3), dtype=np.float32))\n"
        "o = [Objective(structure='PTV', kind='DUniform', dose_gy_rbe=2.0)]\n"
        "t = terms_of(o, {'PTV': np.ones((500, 1, 1), np.float32)}, np.arange(500))\n"
        "p = Problem.nominal_only(DoseModel(a, 1.0), t)\n"
        f"m = optimise(p, np.full({spots}, 0.1), (0.0, 1.0), 30, QuietWatch()).mu\n"
        "print(hashlib.sha256(m.tobytes()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(found) == 1
    assert all(found)


class StopsAfter(QuietWatch):
    def __init__(self, reports: int) -> None:
        super().__init__()
        self._left = reports

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        self._left -= 1
        if self._left < 0:
            self.stopping.set()
        super().progress(fraction, message, eta_seconds)


def test_stops_when_asked() -> None:
    problem = uniform_problem()
    watch = StopsAfter(5)
    with pytest.raises(StoppedError):
        optimise(problem, np.full(40, 0.1), (0.0, 1.0), 100, watch)
    assert len(watch.reports) == 5


def test_says_iteration_and_cost_as_it_goes() -> None:
    """The course is shown live: each report has the cost that the course keeps."""
    watch = QuietWatch()
    found = optimise(uniform_problem(), np.full(40, 0.1), (0.0, 1.0), 5, watch)
    said = [message for _, message in watch.reports]
    assert said == [
        f"optimising, iteration {number} of at most 5, cost {cost:.3g}"
        for number, cost in enumerate(found.course[:-1], start=1)
    ]


def test_start_gives_the_target_its_prescription() -> None:
    model = DoseModel(beamlets(60, 9), 33.0)
    target = Region.of("PTV", occupancy(60), np.arange(60))
    start = uniform_start(model, target, 60.0)
    assert target.mean(model.dose_gy_rbe(start)) == pytest.approx(60.0, rel=1e-5)
    assert len(set(start)) == 1


def test_target_that_no_spot_reaches_is_refused() -> None:
    model = DoseModel(csc_matrix((60, 9), dtype=np.float32), 33.0)
    with pytest.raises(RefusedError, match="No spot gives the target"):
        uniform_start(model, Region.of("PTV", occupancy(60), np.arange(60)), 60.0)


def test_objective_on_nothing_is_refused() -> None:
    with pytest.raises(RefusedError, match="no voxel"):
        terms_of([objective("DMax", 1.0)], {"PTV": np.zeros((5, 1, 1), np.float32)}, np.arange(5))
    with pytest.raises(RefusedError, match="No structure 'PTV'"):
        terms_of([objective("DMax", 1.0)], {"Rectum": np.ones((5, 1, 1), np.float32)}, np.arange(5))


def test_voxels_of_any_structure_are_needed_once() -> None:
    a, b = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    a[0, 0, 1] = a[1, 1, 1] = b[1, 1, 1] = b[1, 0, 0] = 0.5
    assert voxels_needed([a, b]).tolist() == [1, 4, 7]
