"""The dose of the exported plan, simulated again from its RT Ion Plan alone, passes gamma 2 %/2 mm against the export.

As a physicist would check it: fails when beam, couch, isocentre, layer or spot of the plan are not those of the
dose, by 2 mm or by 2 % of its maximum. The C-shape, couch and isocentre leave no symmetry to hide behind. The two
doses differ in their seeds; there are as many protons as their noise takes to stay below the criterion.
"""

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from radiarch_common.plans import Beam, Objective
from radiarch_common.watch import QuietWatch
from radiarch_planner.gamma import Criteria, gamma_index, passing_percent
from radiarch_standalone.phantom import CENTRE_MM
from radiarch_testkit.doses import dose_gy_of, grid_of
from radiarch_testkit.ion_plan_reader import beams_of
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL

DOSE_GRID_MM, RBE, PRIMARIES = 5.0, 1.1, 1_000_000
SHIFTED_MM = 4.0

FloatArray = npt.NDArray[np.float64]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def doses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, FloatArray]:
    """The RTDOSE as exported, and the dose of its plan with another seed, Gy(RBE)."""
    bench = Bench(tmp_path_factory.mktemp("gamma"), dose_grid_mm=DOSE_GRID_MM)
    changes = SMALL | {
        "primaries_final": PRIMARIES,
        "beams": (
            Beam(name="steep", gantry_angle_deg=75.0, couch_angle_deg=15.0, range_shifter="rs-40"),
            Beam(name="flat", gantry_angle_deg=265.0, couch_angle_deg=350.0),
        ),
        "isocentre_mm": (CENTRE_MM[0] + 12.0, CENTRE_MM[1] - 9.0, CENTRE_MM[2] + 7.0),
        "objectives": (
            Objective(structure="PTV", kind="DUniform", dose_gy_rbe=50.0, weight=10.0),
            Objective(structure="Core", kind="DMax", dose_gy_rbe=15.0, weight=5.0),
        ),
        "dose_grid_mm": DOSE_GRID_MM,
        "rbe": RBE,
    }
    plan, dose = bench.plan(**changes)
    spec = bench.spec.model_copy(update={"primaries_final": PRIMARIES, "seed": 4711})
    again = bench.engine.final_dose(bench.patient, beams_of(plan), spec, QuietWatch())
    return dose, again.dose_gy.astype(np.float64) * RBE


def test_the_plan_gives_the_exported_dose(doses: tuple[Dataset, FloatArray]) -> None:
    dose, again = doses
    assert _passing(again, dose, 0.0) >= 99.0


def test_a_plan_that_is_shifted_does_not(doses: tuple[Dataset, FloatArray]) -> None:
    """What the other test rests on: twice the criterion to one side is seen."""
    dose, again = doses
    assert _passing(again, dose, SHIFTED_MM) < 90.0


def _passing(again: FloatArray, dose: Dataset, shift_mm: float) -> float:
    """Percent of the points that pass, where the export has a dose; air around the patient has none."""
    exported, grid = dose_gy_of(dose), grid_of(dose)
    x_mm, y_mm, z_mm = grid.origin_mm
    moved = grid.model_copy(update={"origin_mm": (x_mm + shift_mm, y_mm, z_mm)})
    return passing_percent(gamma_index(np.where(exported > 0, again, 0.0), moved, exported, grid, Criteria()))
