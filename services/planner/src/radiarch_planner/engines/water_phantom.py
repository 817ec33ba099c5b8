"""A block of the engine's own Water and a pencil beam of known energy: what a build is tested and timed on.

Neither a treatment machine nor a CT calibration of the deployment takes part, so that a fault is the build's.
"""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid
from radiarch_common.watch import Watch

import radiarch_planner
from radiarch_planner.engines import opentps_adapter as opentps
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.build import Build
from radiarch_planner.engines.inputs import BeamInputs, Physics, beamlet_settings, read_dose, write_inputs, write_run
from radiarch_planner.engines.processes import EngineRun, run_engine
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.machine import read_calibration
from radiarch_planner.reach import Reach
from radiarch_planner.steering import BeamFrame

Curve = npt.NDArray[np.float64]

ENERGIES_MEV = (100.0, 200.0)
SPREAD_PERCENT = 0.6
SIGMA_MM = 3.0
PROTONS = 10_000
SEED = 20
SPOTS = 40
SPOT_PROTONS = 100
STEP_MM = 1.0
"""Along the beam."""
_ACROSS_MM = 5.0
_SIDE = 25
_DEPTH = 290
_WIDE = 75
"""Voxels across and along the beam, and across it where the cost of voxels is measured."""
_LIMIT_S = 300.0
_SOURCE_MM = 2000.0
_DIVERGENCE = 0.001
"""Radian."""
_CORRELATION = 0.01
"""Of place and direction; the engine sends protons of a beam without any nowhere."""
_NOZZLE_MM = 400.0


@dataclass(frozen=True)
class Shot:
    """One run on the phantom.

    Attributes
    ----------
    spots
        0: protons of a plan with one spot; else so many spots one by one, ``protons`` each.
    wide
        Whether the phantom is nine times as large, to either side of the beam.
    """

    energy_mev: float = ENERGIES_MEV[0]
    protons: int = PROTONS
    seed: int = SEED
    nuclear: bool = True
    spots: int = 0
    wide: bool = False


@dataclass(frozen=True)
class Hit:
    """What a shot gave: wall time of its process, and the dose of one proton, shape (z, y, x), eV/g.

    The beam goes along y. There is no dose of spots that were simulated one by one.
    """

    seconds: float
    dose: FloatArray


def voxels(*, wide: bool) -> int:
    """Number of voxels of the phantom."""
    across = _WIDE if wide else _SIDE
    return across * across * _DEPTH


def depths_mm() -> Curve:
    """Middle of each of the phantom's layers below its surface."""
    return STEP_MM * (np.arange(_DEPTH) + 0.5)


def depth_dose(dose: FloatArray) -> Curve:
    """Dose of one proton integrated across the beam: shape (depths,), eV cm2/g."""
    return dose.sum(axis=(0, 2), dtype=np.float64) * (_ACROSS_MM / 10.0) ** 2


def width_mm(dose: FloatArray, depth_mm: float) -> float:
    """Width of the beam across it at a depth, over the middle 5 cm: 1 sigma."""
    at = slice(int(depth_mm / STEP_MM) - 5, int(depth_mm / STEP_MM) + 5)
    places = _ACROSS_MM * (np.arange(_SIDE) - _SIDE // 2)
    near = np.abs(places) <= 25.0
    profile = dose[:, at].sum(axis=(1, 2), dtype=np.float64)[near]
    return float(np.sqrt(np.sum(profile * places[near] ** 2) / profile.sum()))


def shoot(build: Build, shot: Shot, folder: Path, watch: Watch) -> Hit:
    """Run a build once on the phantom, in a folder that is not there yet.

    Raises
    ------
    EngineFailedError
        If it ends with an error, or leaves no whole dose.
    StoppedError
        If asked to stop.
    """
    inputs = _inputs(build, shot, folder)
    run = write_run(inputs, "run", _settings(shot))
    began = monotonic()
    run_engine(build, EngineRun(run, _LIMIT_S, inputs.materials), watch.stopping, _nothing)
    seconds = monotonic() - began
    return Hit(seconds, np.zeros((0, 0, 0), np.float32) if shot.spots else read_dose(inputs, run))


def _inputs(build: Build, shot: Shot, folder: Path) -> BeamInputs:
    across = _WIDE if shot.wide else _SIDE
    first = -_ACROSS_MM * (across // 2)
    grid = Grid(
        origin_mm=(first, STEP_MM / 2.0, first), spacing_mm=(_ACROSS_MM, STEP_MM, _ACROSS_MM),
        size=(across, _DEPTH, across),
    )  # fmt: skip
    water = Patient(grid, np.zeros(grid.shape, np.float32), "HFS")
    calibration = read_calibration(Path(radiarch_planner.__file__).parent / "ct_calibrations" / "water")
    physics = Physics(_beam(), calibration, shot.nuclear)
    frame = BeamFrame.of((0.0, 20.0, 0.0), 0.0, 0.0, (_SOURCE_MM, _SOURCE_MM), water.position)
    everywhere = np.array([[first, first], [-first, -first]])
    inputs = write_inputs(folder, water, frame, everywhere, _ACROSS_MM, physics, build.materials)
    count = max(shot.spots, 1)
    x_mm = 0.5 * np.arange(count)
    spots = opentps.Spots(shot.energy_mev, x_mm, np.zeros(count), np.ones(count))
    opentps.write_plan(inputs.image, (0.0, 0.0), inputs.isocentre_mm, [spots], folder / "plan.txt")
    return inputs


def _beam() -> BeamModel:
    """Nearly parallel protons with a Gaussian spread of energy: the mean energy is the nominal one."""
    rows = np.array(ENERGIES_MEV)
    columns = {name: np.zeros(2) for name in opentps.FIELDS}
    columns |= {"nominalEnergy": rows, "meanEnergy": rows, "energySpread": np.full(2, SPREAD_PERCENT)}
    columns |= {"protonsMU": np.full(2, 1e8), "weight1": np.ones(2)}
    for part in ("1x", "1y", "2x", "2y"):
        columns |= {f"spotSize{part}": np.full(2, SIGMA_MM), f"divergence{part}": np.full(2, _DIVERGENCE)}
        columns[f"correlation{part}"] = np.full(2, _CORRELATION)
    data = opentps.BeamData(_NOZZLE_MM, _SOURCE_MM, _SOURCE_MM, columns)
    return BeamModel(data, Reach(rows, rows, (_SOURCE_MM, _SOURCE_MM), (300.0, 300.0)))


def _settings(shot: Shot) -> dict[str, object]:
    common: dict[str, object] = {"BDL_Plan_File": "../plan.txt", "RNG_Seed": shot.seed, "Num_Primaries": shot.protons}
    if not shot.spots:
        return common
    return {**common, **beamlet_settings(shot.protons)}


def _nothing(_: float) -> None:
    """Nobody looks at the progress of a second."""
