"""What the engine is given does not depend on how many threads numpy's products may take."""

import os
import subprocess
import sys

SCRIPT = """
import hashlib
import numpy as np
from radiarch_common.geometry import Grid
from radiarch_planner.dose_grid import mean_on_grid
source = Grid(origin_mm=(0.0, 0.0, 0.0), spacing_mm=(1.1, 0.9, 2.0), size=(220, 210, 40))
grid = Grid(origin_mm=(1.0, 1.0, 2.0), spacing_mm=(2.5, 2.5, 2.0), size=(90, 70, 36))
values = np.random.default_rng(3).normal(size=source.shape).astype(np.float32)
print(hashlib.sha256(mean_on_grid(values, source, grid).tobytes()).hexdigest())
"""


def test_the_ct_on_the_dose_grid_is_the_same_on_any_number_of_cores() -> None:
    """Fails when a sum's order follows the number of threads: HU, and with them the dose, would differ in bits."""
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "8")
    }
    assert len(found) == 1
