"""Real engines on small water phantoms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import radiarch_planner
from radiarch_common.geometry import Grid
from radiarch_common.plans import Beam, Objective, PlanSpec, Prescription
from radiarch_common.settings import Settings
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.cost import EngineCost
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.machine import read_calibration, read_machine

PACKAGE = Path(radiarch_planner.__file__).parent
COST = EngineCost(start_s=0.2, proton_s=2e-6, proton_mm_s=2e-7, spot_s=1e-3, spot_voxel_s=5e-9)
"""Of binaries that are made up by a test, and would not pass the engine's own."""

MakeEngine = Callable[..., McsquareEngine]
MakeSpec = Callable[..., PlanSpec]
MakeWater = Callable[[tuple[float, float, float], tuple[float, float, float], tuple[int, int, int]], Patient]


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One private engine folder for all tests of a run."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def make_engine(engine_folder: Path) -> MakeEngine:
    def make(
        processes: int = 2, calibration: str = "water", binary: Path | None = None, nuclear: bool = True
    ) -> McsquareEngine:
        settings = Settings(engine_folder=engine_folder, engine_processes=processes, mcsquare_binary=binary)
        machine = read_machine(PACKAGE / "machines" / "generic-pbs")
        scanner = read_calibration(PACKAGE / "ct_calibrations" / calibration)
        return McsquareEngine(settings, machine, scanner, nuclear=nuclear, cost=COST if binary else None)

    return make


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    def make(**changes: Any) -> PlanSpec:  # noqa: ANN401
        values: dict[str, Any] = {
            "prescription": Prescription(target="PTV", dose_gy_rbe=2.0, fractions=1, normalisation="none"),
            "beams": (Beam(name="Front", gantry_angle_deg=0.0),),
            "objectives": (Objective(structure="PTV", kind="DUniform", dose_gy_rbe=2.0),),
            "rbe": 1.1,
            "dose_grid_mm": 4.0,
            "spot_spacing_mm": 6.0,
            "layer_spacing_mm": 6.0,
            "target_margin_mm": 5.0,
            "minimum_spot_mu": 0.02,
            "maximum_spot_mu": 20.0,
            "primaries_per_spot": 100,
            "primaries_final": 20000,
            "batches": 10,
            "iterations": 10,
            "seed": 7,
        }
        return PlanSpec(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def make_water() -> MakeWater:
    def make(
        origin_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float], size: tuple[int, int, int]
    ) -> Patient:
        grid = Grid(origin_mm=origin_mm, spacing_mm=spacing_mm, size=size)
        return Patient(grid, np.zeros(grid.shape, dtype=np.float32), "HFS")

    return make


@pytest.fixture(scope="session")
def make_ball() -> Callable[[Grid, tuple[float, float, float], float], FloatArray]:
    def make(grid: Grid, centre_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
        z, y, x = np.meshgrid(grid.axis_mm(2), grid.axis_mm(1), grid.axis_mm(0), indexing="ij")
        inside = (x - centre_mm[0]) ** 2 + (y - centre_mm[1]) ** 2 + (z - centre_mm[2]) ** 2 <= radius_mm**2
        return inside.astype(np.float32)

    return make
