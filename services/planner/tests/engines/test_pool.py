"""Pieces of work: the longest begin first, results come in the order of the pieces."""

from functools import partial
from pathlib import Path

from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.build import Build
from radiarch_planner.engines.processes import ProcessPool, Runner


def test_the_longest_begins_first_and_results_keep_their_order() -> None:
    """Fails when the order of results follows that of the work: sums of floats would then depend on it."""
    begun: list[int] = []
    taken: list[tuple[int, int]] = []

    def piece(number: int, _: Runner) -> int:
        begun.append(number)
        return 10 * number

    pool = ProcessPool(Build("none", "", "", Path("none"), Path("none"), ""), size=1)
    pieces = [partial(piece, number) for number in range(4)]
    pool.run(pieces, QuietWatch(), lambda _: None, lambda n, result: taken.append((n, result)), [1.0, 3.0, 2.0, 5.0])
    assert begun == [3, 1, 2, 0]
    assert taken == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_progress_counts_work_and_not_pieces() -> None:
    told: list[float] = []

    def half(runner: Runner) -> None:
        runner.shares[runner.number] = 0.5

    pool = ProcessPool(Build("none", "", "", Path("none"), Path("none"), ""), size=1)
    pool.run([half, lambda _: None], QuietWatch(), told.append, lambda _, __: None, [3.0, 1.0])
    assert told[-1] == 0.375
