"""The engine's input files: one folder per beam, and inside it one per process.

A beam's folder holds CT, calibration, beam data and, for the final dose, the plan; a process' own folder holds
its configuration, and for a block its plan, and takes its output.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid
from radiarch_common.result import ResultBeam
from radiarch_common.robustness import Scenario

from radiarch_planner.engines import opentps_adapter as opentps
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.blocks import Block
from radiarch_planner.engines.materials import link_materials
from radiarch_planner.engines.processes import EngineFailedError
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.machine import Calibration
from radiarch_planner.orientation import Turn
from radiarch_planner.steering import Array, BeamFrame

_MU_UNIT = 1024.0
"""Weights are written in this part of an MU: the engine's text has six decimals, which is 1e-9 MU then."""
TRANSPORT: dict[str, float] = {"D_Max": 0.3, "Te_Min": 0.2}
"""Where we differ from the engine's own settings of how a proton is followed: longest step, cm, and the energy from
which an electron that it sets free is an event of its own, MeV (the engine's: 0.2 and 0.05).

The engine leaves the electron's energy where it was set free in any case, so that the threshold only decides whether
a loss is drawn by itself or within the straggling of a step; one of 0.2 MeV would come 0.4 mm far in water. Twice as
fast, the same dose: ``test_transport.py``.
"""
_SCATTER_MM = 20.0
_HALO_SIGMAS = 3.0
_SECONDARIES = 0.2
"""Nuclear secondaries of a range shifter fly apart: so far for each mm of air behind it. Less than 1 % of a beam's dose
lies farther out, as seen in the engine (105 to 200 MeV, 74 mm of PMMA, 300 mm of air)."""


@dataclass(frozen=True)
class Physics:
    """What a simulation assumes; ``nuclear`` interactions are off only to compare with tables.

    ``density_factor`` multiplies every mass density of the calibration.
    """

    model: BeamModel
    calibration: Calibration
    nuclear: bool
    density_factor: float = 1.0

    def under(self, scenario: Scenario) -> "Physics":
        """The same physics with the range error of a scenario."""
        return replace(self, density_factor=self.density_factor * (1.0 + scenario.range_percent / 100.0))


@dataclass(frozen=True)
class BeamInputs:
    """A beam's folder, and the part of the patient that its engine sees.

    Attributes
    ----------
    low
        Voxel index (x, y, z) on the patient's grid where ``grid`` starts.
    isocentre_mm
        Where the beam's isocentre lies under the scenario, as the engine sees it: turned, mm.
    image
        OpenTPS' image of that part, turned, which its plan writer asks for.
    turn
        From the patient to what the engine sees, which takes every patient for head-first supine.
    shifter
        What stands in the way of all of the beam's layers.
    """

    folder: Path
    grid: Grid
    low: tuple[int, int, int]
    isocentre_mm: tuple[float, float, float]
    image: opentps.Image
    physics: Physics
    turn: Turn
    shifter: opentps.RangeShifter | None = None

    @property
    def materials(self) -> Path:
        """The materials that this beam's engine needs."""
        return self.folder / "Materials"

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The same part of an array (z, y, x) on the patient's grid."""
        x, y, z = self.low
        nx, ny, nz = self.grid.size
        return slice(z, z + nz), slice(y, y + ny), slice(x, x + nx)


def write_inputs(
    folder: Path,
    patient: Patient,
    frame: BeamFrame,
    spots: Array,
    halo_mm: float,
    physics: Physics,
    database: Path,
    shifter: opentps.RangeShifter | None = None,
) -> BeamInputs:
    """Write what all processes of a beam share; ``database`` is the engine's of materials.

    The CT is cropped to the beam's whole way through the patient, as wide as the spots at ``spots`` (shape (n, 2))
    and a margin that holds the wide part of the beam: no proton of it may come in through a side of the crop,
    where it would have lost no energy yet.
    """
    low, size = beam_crop(patient.grid, frame, spots, halo_mm, shifter)
    grid = patient.grid.crop(low, size)
    scanner = folder / "Scanner"
    scanner.mkdir(parents=True)
    place = (slice(low[2], low[2] + size[2]), slice(low[1], low[1] + size[1]), slice(low[0], low[0] + size[0]))
    turn = Turn.to_supine(patient.position)
    seen = turn.grid(grid)
    image = opentps.image(turn.array(patient.ct_hu[place]), seen.origin_mm, seen.spacing_mm)
    opentps.write_ct(image, folder / "CT.mhd")
    opentps.write_scanner(physics.calibration.tables, scanner, physics.density_factor)
    opentps.write_beam_data(physics.model.data, folder / "bdl.txt", shifter)
    link_materials(database, scanner / "HU_Material_Conversion.txt", folder / "bdl.txt", folder / "Materials")
    x, y, z = (float(value) for value in frame.isocentre_mm)
    return BeamInputs(folder, grid, low, turn.point((x, y, z)), image, physics, turn, shifter)


def beam_crop(
    grid: Grid, frame: BeamFrame, spots: Array, halo_mm: float, shifter: opentps.RangeShifter | None = None
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """What ``write_inputs`` crops the CT to: index (x, y, z) of its first voxel, and its size."""
    secondaries_mm = _SECONDARIES * shifter.isocentre_distance_mm if shifter else 0.0
    return crop_box(grid, frame, spots, _HALO_SIGMAS * halo_mm + _SCATTER_MM + secondaries_mm)


def crop_box(
    grid: Grid, frame: BeamFrame, spots: Array, margin_mm: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The box of voxels around the rays of spots, from where they enter the grid to where they leave it.

    Returns the index (x, y, z) of its first voxel, and its size.
    """
    low, high = grid.edges_mm()
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    heights = frame.to_gantry(corners)[:, 2]
    least, most = spots.min(axis=0) - margin_mm, spots.max(axis=0) + margin_mm
    edge = np.array([[x, y] for x in (least[0], most[0]) for y in (least[1], most[1])])
    points = frame.ray(edge, np.array([heights.max(), heights.min()])).reshape(-1, 3)
    indices = grid.index_of(points)
    first = np.clip(np.floor(indices.min(axis=0)).astype(int), 0, np.asarray(grid.size) - 1)
    last = np.clip(np.ceil(indices.max(axis=0)).astype(int), first, np.asarray(grid.size) - 1)
    size = last - first + 1
    return (int(first[0]), int(first[1]), int(first[2])), (int(size[0]), int(size[1]), int(size[2]))


def write_block(inputs: BeamInputs, block: Block) -> Path:
    """Write a block's own folder and return it."""
    folder = inputs.folder / f"block-{block.index}"
    folder.mkdir()
    spots = [
        opentps.Spots(layer.energy_mev, layer.xy_mm[:, 0], layer.xy_mm[:, 1], np.ones(len(layer.xy_mm)))
        for layer in block.layers
    ]
    angles = (block.beam.gantry_angle_deg, block.beam.couch_angle_deg)
    opentps.write_plan(inputs.image, angles, inputs.isocentre_mm, spots, folder / "plan.txt", inputs.shifter)
    _write_config(
        inputs,
        folder,
        {
            "BDL_Plan_File": "plan.txt",
            "RNG_Seed": block.seed,
            "Num_Primaries": block.primaries_per_spot,
            **beamlet_settings(block.primaries_per_spot),
        },
    )
    return folder


def beamlet_settings(primaries_per_spot: int) -> dict[str, object]:
    """What the engine is told so that it simulates the spots of a plan one by one."""
    return {
        "Beamlet_Mode": True,
        "Dose_MHD_Output": False,
        "Dose_Sparse_Output": True,
        # In eV/g for one proton: a small part of what one simulated proton leaves in a voxel it crosses.
        "Dose_Sparse_Threshold": 5e6 / primaries_per_spot,
    }


def write_beam_plan(inputs: BeamInputs, beam: ResultBeam) -> None:
    """Write the plan of a beam for its batches."""
    spots = [
        opentps.Spots(layer.energy_mev, np.asarray(layer.x_mm), np.asarray(layer.y_mm), np.asarray(layer.mu) * _MU_UNIT)
        for layer in beam.layers
    ]
    angles = (beam.gantry_angle_deg, beam.couch_angle_deg)
    opentps.write_plan(inputs.image, angles, inputs.isocentre_mm, spots, inputs.folder / "plan.txt", inputs.shifter)


def write_batch(inputs: BeamInputs, index: int, seed: int, primaries: int, *, let_map: bool) -> Path:
    """Write the own folder of a batch of the final dose and return it."""
    return write_run(
        inputs,
        f"batch-{index}",
        {"BDL_Plan_File": "../plan.txt", "RNG_Seed": seed, "Num_Primaries": primaries, "LET_MHD_Output": let_map},
    )


def write_run(inputs: BeamInputs, name: str, values: dict[str, object]) -> Path:
    """Write the own folder of one process in that of its beam and return it; ``values`` are its settings."""
    folder = inputs.folder / name
    folder.mkdir()
    _write_config(inputs, folder, values)
    return folder


def read_dose(inputs: BeamInputs, folder: Path) -> FloatArray:
    """The dose that a batch left: shape (z, y, x) on ``inputs.grid``, eV/g for one proton."""
    return _read_volume(inputs, folder, "Dose")


def read_let(inputs: BeamInputs, folder: Path) -> FloatArray:
    """The dose-averaged LET that a batch left: shape (z, y, x) on ``inputs.grid``, keV/um; 0 where it left no dose."""
    return _read_volume(inputs, folder, "LET")


def _read_volume(inputs: BeamInputs, folder: Path, what: str) -> FloatArray:
    path = folder / "Outputs" / f"{what}.raw"
    values: npt.NDArray[np.float32] = np.fromfile(path, dtype=np.float32) if path.is_file() else np.zeros(0, np.float32)
    nz, ny, nx = inputs.turn.grid(inputs.grid).shape
    if values.size != nz * ny * nx or not np.all(np.isfinite(values)):
        name = "dose" if what == "Dose" else what
        raise EngineFailedError(f"The engine left no whole {name}: {values.size} values for {nz * ny * nx} voxels.")
    # The engine's x and y axes run against those of the image it was given.
    return inputs.turn.inverse.array(values.reshape(nz, ny, nx)[:, ::-1, ::-1])


def _write_config(inputs: BeamInputs, folder: Path, values: dict[str, object]) -> None:
    nuclear = inputs.physics.nuclear
    shared: dict[str, object] = {
        "WorkDir": str(folder),
        "CT_File": "../CT.mhd",
        "HU_Density_Conversion_File": "../Scanner/HU_Density_Conversion.txt",
        "HU_Material_Conversion_File": "../Scanner/HU_Material_Conversion.txt",
        "BDL_Machine_Parameter_File": "../bdl.txt",
        "Num_Threads": 1,
        "Simulate_Nuclear_Interactions": nuclear,
        "Simulate_Secondary_Protons": nuclear,
        "Simulate_Secondary_Deuterons": nuclear,
        "Simulate_Secondary_Alphas": nuclear,
        "Compute_stat_uncertainty": False,
        "Dose_to_Water_conversion": "Disabled",
        **TRANSPORT,
    }
    opentps.write_config({**shared, **values}, folder / "config.txt")
