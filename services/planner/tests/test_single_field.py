"""Beams optimised each alone: two opposed beams in depth, each a row of peaks with a plateau in front of them.

Fails when a beam is optimised with the dose of the other in mind, gets another share than its half, or when the limits
on MU hold for something else than what is written.
"""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.plans import Objective, PlanSpec, Prescription
from radiarch_common.watch import QuietWatch
from radiarch_planner.deliverable import deliverable_spots
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.objectives import Region, terms_of
from radiarch_planner.problem import Problem
from radiarch_planner.single_field import problem_of_beam, spots_of_each_beam
from radiarch_testkit.jobs import resolved_plan
from scipy.sparse import csc_matrix

FloatArray = npt.NDArray[np.float64]
ROWS, FIRST, LAST = 120, 40, 80
GY_PER_MU, DOSE_GY = 33.0, 60.0
PEAKS = np.arange(36.0, 85.0, 2.0)


def beamlets() -> FloatArray:
    """Shape (rows, spots): the spots from the left, then their mirror images."""
    at = np.arange(ROWS)[:, None]
    left = np.exp(-(((at - PEAKS) / 3.0) ** 2) / 2) + 0.3 * (at < PEAKS)
    return np.hstack([left, left[::-1, ::-1]])


def asked(**changes: float) -> tuple[Problem, Region, PlanSpec]:
    spec = resolved_plan().spec.model_copy(
        update={
            "prescription": Prescription(target="PTV", dose_gy_rbe=DOSE_GY, fractions=30, normalisation="D50% = 100 %"),
            "objectives": (
                Objective(structure="PTV", kind="DUniform", dose_gy_rbe=DOSE_GY, weight=100.0),
                Objective(structure="BODY", kind="DMax", dose_gy_rbe=62.0, weight=10.0),
                Objective(structure="BODY", kind="DMean", dose_gy_rbe=0.0, weight=3.0),
            ),
            "iterations": 200,
            **changes,
        }
    )
    inside = {"PTV": np.zeros((ROWS, 1, 1), np.float32), "BODY": np.ones((ROWS, 1, 1), np.float32)}
    inside["PTV"][FIRST:LAST] = 1.0
    model = DoseModel(csc_matrix(beamlets().astype(np.float32)), GY_PER_MU)
    terms = terms_of(spec.objectives, inside, np.arange(ROWS))
    return Problem.nominal_only(model, terms), Region.of("PTV", inside["PTV"], np.arange(ROWS)), spec


def in_target(mu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Dose of each beam in the target, Gy."""
    count = len(PEAKS)
    dose = beamlets()[FIRST:LAST] * mu * GY_PER_MU
    return dose[:, :count].sum(axis=1), dose[:, count:].sum(axis=1)


def test_each_beam_alone_gives_the_target_its_share_and_together_they_do_not() -> None:
    problem, target, spec = asked()
    counts = (len(PEAKS), len(PEAKS))
    alone = spots_of_each_beam(problem, target, spec, counts, QuietWatch())
    together = deliverable_spots(problem, target, spec, QuietWatch())
    for mu, uniform in ((alone.mu, True), (together.mu, False)):
        left, right = in_target(mu)
        assert np.median(left + right) == pytest.approx(DOSE_GY, rel=0.01)
        for beam in (left, right):
            d95 = float(np.quantile(beam, 0.05))
            assert (d95 > 0.93 * DOSE_GY / 2) == uniform
            if uniform:
                assert float(np.median(beam)) == pytest.approx(DOSE_GY / 2, rel=0.02)
                assert float(np.quantile(beam, 0.95)) < 1.07 * DOSE_GY / 2


def test_limits_hold_for_what_is_written() -> None:
    """Limits that bind on both sides: no spot beyond, some at each, though each beam was asked for all of the dose."""
    problem, target, spec = asked(minimum_spot_mu=0.05, maximum_spot_mu=0.2)
    found = spots_of_each_beam(problem, target, spec, (len(PEAKS), len(PEAKS)), QuietWatch())
    on = found.mu[found.mu > 0]
    assert 0.05 <= on.min() < 0.06
    assert 0.19 < on.max() <= 0.2
    assert np.all(on * 1024 == np.rint(on * 1024))
    assert np.sum(found.mu == 0) == found.left_out


def test_the_course_is_that_of_one_beam_after_the_other() -> None:
    problem, target, spec = asked()
    counts = (len(PEAKS), len(PEAKS))
    watch = QuietWatch()
    found = spots_of_each_beam(problem, target, spec, counts, watch)
    first = deliverable_spots(problem_of_beam(problem, counts, 0), target, spec, QuietWatch())
    assert found.course[: len(first.course)] == first.course
    fractions = [fraction for fraction, _ in watch.reports]
    assert fractions == sorted(fractions)
