"""The optimiser against OpenTPS' own cost, gradient and solver, and against SciPy, on the same beamlets and objectives.

    uv run python bench/optimiser.py [--spots 3000] [--rows 40000] [--iterations 100] [--skip-opentps]

Beamlets are made here, seeded: narrow beams with a plateau and a peak through a box around a target, an organ at risk
beside it. Measured are one cost with its gradient (the best of several), and a whole search between the same bounds
from the same start, each side in turn on otherwise idle cores:

- radiarch: fused cost and gradient, its own search; ended when it converges, and once more to the last iteration
- opentps: its ``DoseFidelity`` and its ``ScipyOpt`` (L-BFGS-B), as ``BoundConstraintsOptimizer`` uses them
- scipy: L-BFGS-B on the same cost and gradient written plainly, double precision, a transposed copy for the gradient

The cost at the end is evaluated by the same formula for all. Prints a table and, last, one JSON object.
"""

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import Objective
from radiarch_common.watch import QuietWatch
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.objectives import terms_of
from radiarch_planner.optimize import optimise
from radiarch_planner.problem import Problem
from radiarch_planner.quasi_newton import minimise
from scipy.optimize import minimize
from scipy.sparse import csc_matrix, csr_matrix

FloatArray = npt.NDArray[np.float64]
CostAndGradient = Callable[[FloatArray], tuple[float, FloatArray]]

GY_PER_MU, DOSE_GY, MAXIMUM_MU = 33.0, 60.0, 250.0
OBJECTIVES = (
    ("PTV", "DUniform", DOSE_GY, 100.0),
    ("PTV", "DMin", 0.98 * DOSE_GY, 50.0),
    ("Core", "DMax", 25.0, 20.0),
    ("BODY", "DMax", 1.03 * DOSE_GY, 50.0),
    ("BODY", "DMean", 0.0, 1.0),
)
METRICS = {"DUniform": "DUNIFORM", "DMin": "DMIN", "DMax": "DMAX", "DMean": "DMEAN"}


def made(spots: int, rows: int, width_mm: float) -> tuple[csc_matrix, dict[str, npt.NDArray[np.bool_]]]:
    """Beamlets, Gy for 1 MU of one fraction, shape (rows, spots), and the rows of each structure."""
    rng = np.random.default_rng(20240501)
    side = round((rows / 0.6) ** (1 / 3))
    axes = [3.0 * (np.arange(n) - n / 2) for n in (side, side, round(rows / side**2))]
    z, y, x = (a.reshape(-1) for a in np.meshgrid(axes[2], axes[1], axes[0], indexing="ij"))
    radius = np.sqrt(x**2 + y**2 + z**2)
    inside = {"PTV": (radius < 30) & ~(x**2 + y**2 < 12**2), "Core": x**2 + y**2 < 9**2, "BODY": radius < 1e9}
    values: list[npt.NDArray[np.float32]] = []
    found: list[npt.NDArray[np.int32]] = []
    counts = [0]
    for _ in range(spots):
        side_of = rng.choice([-1.0, 1.0])
        at_y, at_z, depth = rng.uniform(-34, 34, 3)
        along = side_of * x - depth
        profile = np.where(along < 0, 0.3, 0.0) + np.exp(-((along / 4.0) ** 2) / 2)
        dose = 0.03 * profile * np.exp(-((y - at_y) ** 2 + (z - at_z) ** 2) / (2 * width_mm**2))
        rows_of = np.flatnonzero(dose > 1e-5)
        found.append(rows_of.astype(np.int32))
        values.append((dose[rows_of] * rng.normal(1.0, 0.1, len(rows_of))).astype(np.float32))
        counts.append(counts[-1] + len(rows_of))
    matrix = csc_matrix((np.concatenate(values), np.concatenate(found), np.array(counts)), shape=(len(x), spots))
    return matrix, inside


def ours(matrix: csc_matrix, inside: dict[str, npt.NDArray[np.bool_]]) -> Problem:
    """The problem as the planner states it."""
    objectives = [
        Objective.model_validate({"structure": name, "kind": kind, "dose_gy_rbe": dose, "weight": weight})
        for name, kind, dose, weight in OBJECTIVES
    ]
    occupancies = {name: mask.astype(np.float32).reshape(-1, 1, 1) for name, mask in inside.items()}
    terms = terms_of(objectives, occupancies, np.arange(len(inside["BODY"])))
    return Problem.nominal_only(DoseModel(matrix, GY_PER_MU), terms)


def plain(matrix: csc_matrix, inside: dict[str, npt.NDArray[np.bool_]]) -> CostAndGradient:
    """Cost and gradient as one writes them down first."""
    forward = csr_matrix(matrix.astype(np.float64) * GY_PER_MU)
    back = csr_matrix(forward.T)

    def cost(mu: FloatArray) -> tuple[float, FloatArray]:
        dose = forward @ mu
        total, slope = 0.0, np.zeros(len(dose))
        for name, kind, limit, weight in OBJECTIVES:
            mask = inside[name]
            if kind == "DMean":
                above = max(float(dose[mask].mean()) - limit, 0.0)
                total += weight * above**2
                slope[mask] += 2 * weight * above / mask.sum()
                continue
            away = dose[mask] - limit
            away = {"DMin": np.minimum(away, 0), "DMax": np.maximum(away, 0), "DUniform": away}[kind]
            total += weight * float(np.mean(away**2))
            slope[mask] += 2 * weight * away / mask.sum()
        return total, back @ slope

    return cost


def of_opentps(matrix: csc_matrix, inside: dict[str, npt.NDArray[np.bool_]]) -> Any:  # noqa: ANN401 - untyped library
    """OpenTPS' cost function, with what it reads of a plan; weights are MU of all fractions there."""
    from opentps.core.data.plan import FidObjective
    from opentps.core.processing.planOptimization.objectives.doseFidelity import DoseFidelity

    metrics: Any = FidObjective.Metrics
    objectives = [
        SimpleNamespace(
            metric=getattr(metrics, METRICS[kind]),
            Metrics=metrics,
            maskVec=inside[name],
            limitValue=limit,
            weight=weight,
            robust=False,
        )
        for name, kind, limit, weight in OBJECTIVES
    ]
    scaled = csc_matrix(matrix * np.float32(GY_PER_MU))
    design = SimpleNamespace(
        objectives=SimpleNamespace(fidObjList=objectives),
        beamlets=SimpleNamespace(toSparseMatrix=lambda: scaled),
        robustness=SimpleNamespace(scenarios=[]),
    )
    return DoseFidelity(SimpleNamespace(planDesign=design), xSquare=False)


def best_ms(work: Callable[[], object], times: int) -> float:
    """The shortest of several, in ms."""
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return 1000 * min(took)


def main() -> None:
    """Measure each side in turn; OpenTPS writes into the home folder, which is one of its own here."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"], os.environ["MPLBACKEND"] = home, "Agg"
        measure(arguments())


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spots", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--width", type=float, default=5.0, help="of a beam, 1 sigma, mm: more is denser")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--skip-opentps", action="store_true", help="it takes minutes")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Each side in turn, then the table."""
    matrix, inside = made(options.spots, options.rows, options.width)
    problem, reference, rows = ours(matrix, inside), plain(matrix, inside), len(inside["BODY"])
    start = np.full(
        options.spots, DOSE_GY / float(np.mean(problem.nominal.dose_gy_rbe(np.ones(options.spots))[inside["PTV"]]))
    )
    told: dict[str, dict[str, float]] = {}

    def tell(side: str, once_ms: float, began: float, iterations: int, mu: FloatArray) -> None:
        seconds = time.perf_counter() - began
        told[side] = {
            "cost_and_gradient_ms": once_ms,
            "search_s": seconds,
            "iterations": iterations,
            "cost": reference(np.asarray(mu, dtype=np.float64))[0],
        }

    once = best_ms(lambda: problem.cost(start), 20)
    began = time.perf_counter()
    found = optimise(problem, start, (0.0, MAXIMUM_MU), options.iterations, QuietWatch())
    tell("radiarch", once, began, len(found.course) - 1, found.mu)
    began = time.perf_counter()
    whole = minimise(problem.cost, start, 0.0, MAXIMUM_MU, options.iterations, 0.0, lambda _iteration, _cost: None)
    tell("radiarch, all iterations", once, began, len(whole.course) - 1, whole.x)
    once = best_ms(lambda: reference(start), 10)
    bounds = [(0.0, MAXIMUM_MU)] * options.spots
    began = time.perf_counter()
    by_scipy = minimize(
        reference, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": options.iterations}
    )
    tell("scipy", once, began, int(by_scipy.nit), by_scipy.x)
    if not options.skip_opentps:
        function, solver = _opentps_tools(matrix, inside, options.iterations)
        once = best_ms(lambda: (function.eval(start), function.grad(start)), 3)
        began = time.perf_counter()
        by_opentps = solver.solve([function], start, bounds=bounds)
        tell("opentps", once, began, int(by_opentps["niter"]), np.asarray(by_opentps["sol"]))
    print(f"{options.spots} spots, {rows} rows, {matrix.nnz / 1e6:.1f} million non-zeros")
    print(f"{'':26}{'cost+gradient':>15}{'search':>11}{'iterations':>12}{'cost':>11}")
    for side, row in told.items():
        print(
            f"{side:26}{row['cost_and_gradient_ms']:12.1f} ms{row['search_s']:9.2f} s{row['iterations']:12.0f}"
            f"{row['cost']:11.4f}"
        )
    size = {"spots": options.spots, "rows": rows, "non_zeros": int(matrix.nnz)}
    print(json.dumps({**size, "cores": len(os.sched_getaffinity(0)), "sides": told}))


def _opentps_tools(matrix: csc_matrix, inside: dict[str, npt.NDArray[np.bool_]], iterations: int) -> tuple[Any, Any]:
    """OpenTPS' cost function and solver."""
    logging.disable(logging.CRITICAL)
    from opentps.core.processing.planOptimization.solvers.scipyOpt import ScipyOpt

    return of_opentps(matrix, inside), ScipyOpt("L-BFGS-B", maxiter=iterations)


if __name__ == "__main__":
    main()
