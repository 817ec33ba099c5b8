"""Minimum of a smooth function between bounds: limited-memory BFGS on the variables that are free to move.

Every sum is numpy's own pairwise sum over elements, never a BLAS product, whose order changes with the number
of threads and the kind of CPU: the same input gives the same result bit for bit.

References
----------
D. P. Bertsekas, "Projected Newton methods for optimization problems with simple constraints",
SIAM J. Control Optim. 20 (1982) 221-246. J. Nocedal, "Updating quasi-Newton matrices with limited storage",
Math. Comp. 35 (1980) 773-782.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
CostAndGradient = Callable[[FloatArray], tuple[float, FloatArray]]

_MEMORY = 12
_ARMIJO = 1e-4
_SHORTEST = 1e-8
_WINDOW = 8
"""Iterations over which the cost must still fall."""


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    Attributes
    ----------
    x
        Shape (n,), float64, within the bounds.
    course
        Cost at the start and after each iteration: it never rises.
    converged
        Whether it ended because the cost fell no more, not because the iterations were used up.
    """

    x: FloatArray
    course: tuple[float, ...]
    converged: bool


def minimise(
    cost: CostAndGradient,
    start: FloatArray,
    low: float,
    high: float,
    iterations: int,
    tolerance: float,
    each: Callable[[int, float], None],
) -> Minimum:
    """Minimise between the same bounds for every variable.

    Parameters
    ----------
    cost
        Function and gradient; continuously differentiable.
    start
        Shape (n,); put between the bounds first.
    tolerance
        The search ends when the cost fell by less than this share of itself over eight iterations.
    each
        Called before each iteration with its number and the cost so far; what it raises ends the search.
    """
    x = np.clip(start, low, high)
    f, g = cost(x)
    course = [f]
    pairs: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=_MEMORY)
    for iteration in range(iterations):
        each(iteration, f)
        free = ~(((x <= low) & (g > 0)) | ((x >= high) & (g < 0)))
        step = None
        if pairs:
            step = _line_search(cost, x, f, g, _direction(g, free, pairs), low, high, 1.0)
        if step is None:
            pairs.clear()
            downhill = np.where(free, -g, 0.0)
            step = _line_search(cost, x, f, g, downhill, low, high, _first_length(x, downhill))
        if step is None:
            return Minimum(x, tuple(course), converged=True)
        new_x, new_f, new_g = step
        _remember(pairs, new_x - x, new_g - g)
        x, f, g = new_x, new_f, new_g
        course.append(f)
        if len(course) > _WINDOW and course[-1 - _WINDOW] - f <= tolerance * abs(f):
            return Minimum(x, tuple(course), converged=True)
    return Minimum(x, tuple(course), converged=False)


def _dot(a: FloatArray, b: FloatArray) -> float:
    return float(np.sum(a * b))


def _remember(pairs: deque[tuple[FloatArray, FloatArray]], s: FloatArray, y: FloatArray) -> None:
    if _dot(s, y) > 1e-10 * np.sqrt(_dot(s, s) * _dot(y, y)):
        pairs.append((s, y))


def _first_length(x: FloatArray, downhill: FloatArray) -> float:
    """A first step that changes the variables by a tenth."""
    size = np.sqrt(_dot(downhill, downhill))
    return 0.1 * float(np.sqrt(_dot(x, x)) or 1.0) / float(size) if size > 0 else 1.0


def _direction(g: FloatArray, free: npt.NDArray[np.bool_], pairs: deque[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Two-loop recursion on the free variables."""
    q = np.where(free, g, 0.0)
    used: list[tuple[FloatArray, FloatArray, float, float]] = []
    for s, y in reversed(pairs):
        s_free, y_free = np.where(free, s, 0.0), np.where(free, y, 0.0)
        curvature = _dot(s_free, y_free)
        if curvature <= 1e-12 * _dot(y_free, y_free):
            continue
        alpha = _dot(s_free, q) / curvature
        q -= alpha * y_free
        used.append((s_free, y_free, curvature, alpha))
    if used:
        _, y_free, curvature, _ = used[0]
        q *= curvature / _dot(y_free, y_free)
    for s_free, y_free, curvature, alpha in reversed(used):
        q += (alpha - _dot(y_free, q) / curvature) * s_free
    return -q


def _line_search(
    cost: CostAndGradient,
    x: FloatArray,
    f: float,
    g: FloatArray,
    direction: FloatArray,
    low: float,
    high: float,
    length: float,
) -> tuple[FloatArray, float, FloatArray] | None:
    """A point along the direction, put between the bounds, that lowers the cost enough; None when there is none."""
    if _dot(g, direction) >= 0:
        return None
    first = length
    while length >= _SHORTEST * first:
        new_x = np.clip(x + length * direction, low, high)
        expected = _dot(g, new_x - x)
        new_f, new_g = cost(new_x)
        if new_f <= f + _ARMIJO * expected and new_f < f:
            return new_x, new_f, new_g
        # Minimum of the parabola through both costs and the slope.
        bend = new_f - f - expected
        shrink = -expected / (2 * bend) if expected < 0 < bend else 0.5
        length *= float(np.clip(shrink, 0.1, 0.5))
    return None
