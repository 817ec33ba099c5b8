"""The engine knows head-first supine only: the same body in the room must be the same input, bit for bit.

Every voxel of each position's patient is filled by asking where it lies in the room. Fails when a volume, its grid,
the isocentre, the crop or the way back is turned wrongly, or head-first supine is turned at all.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.geometry import Grid
from radiarch_common.plans import Beam, PlanSpec
from radiarch_common.positions import POSITIONS
from radiarch_common.result import Layer, ResultBeam
from radiarch_common.robustness import Scenario
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.inputs import BeamInputs, Physics, read_dose, write_beam_plan, write_inputs
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.engines.wheel import mcsquare_folder
from radiarch_planner.machine import read_calibration, read_machine
from radiarch_planner.steering import Array, BeamFrame
from radiarch_testkit.lying import in_patient, in_room, room_array

PACKAGE = Path(__file__).parents[2] / "src" / "radiarch_planner"
GANTRY_DEG, COUCH_DEG = 30.0, 15.0
LOW_MM, SPACING_MM, SIZE = np.array([-110.0, 10.0, -85.0]), np.array([4.0, 3.0, 5.0]), np.array([53, 45, 36])
"""The box of voxels in the room: right, down, towards the gantry."""
MIDDLE_MM = np.array([8.0, 72.0, 4.0])

Planned = tuple[list[tuple[float, bytes]], bytes]
"""Energies and spot positions, and the beamlets by the room's directions."""


def lying(position: str) -> Patient:
    """Water with a wedge of air and a rod of bone in it: no turn of it is like another."""
    ends = in_patient(position, [LOW_MM, LOW_MM + (SIZE - 1) * SPACING_MM])
    spacing = np.abs(in_patient(position, SPACING_MM))
    size = np.abs(in_patient(position, SIZE)).astype(int)
    origin = ends.min(axis=0)
    grid = Grid(
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        size=(int(size[0]), int(size[1]), int(size[2])),
    )
    return Patient(grid, body(grid, position), position=position)


def body(grid: Grid, position: str) -> FloatArray:
    right, down, inwards = places(grid, position)
    hu = np.zeros(grid.shape, np.float32)
    hu[(right + 0.5 * inwards > 40.0) & (down < 60.0)] = -1000.0
    hu[(right < -20.0) & (np.abs(down - 50.0) < 8.0)] = 800.0
    return hu


def places(grid: Grid, position: str) -> tuple[Array, Array, Array]:
    """Where the voxels lie in the room, each of shape (z, y, x): right, down, towards the gantry, mm."""
    z, y, x = np.meshgrid(grid.axis_mm(2), grid.axis_mm(1), grid.axis_mm(0), indexing="ij")
    room = in_room(position, np.stack([x, y, z], axis=-1))
    return room[..., 0], room[..., 1], room[..., 2]


def triple(values: Array) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def beam(position: str) -> ResultBeam:
    layer = Layer(energy_mev=120.0, x_mm=(5.0, 11.0), y_mm=(-4.0, 3.0), mu=(1.0, 2.0), spot_fwhm_mm=(8.0, 9.0))
    return ResultBeam(
        number=1,
        name="Oblique",
        gantry_angle_deg=GANTRY_DEG,
        couch_angle_deg=COUCH_DEG,
        isocentre_mm=triple(in_patient(position, MIDDLE_MM)),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        layers=(layer,),
    )


def inputs_of(position: str, folder: Path) -> BeamInputs:
    model = BeamModel.of(read_machine(PACKAGE / "machines" / "generic-pbs"))
    physics = Physics(model, read_calibration(PACKAGE / "ct_calibrations" / "water"), nuclear=True)
    own, spots = beam(position), np.array([[5.0, -4.0], [11.0, 3.0]])
    frame = BeamFrame.of(own.isocentre_mm, GANTRY_DEG, COUCH_DEG, (2234.8, 1859.1), position)
    database = mcsquare_folder() / "Materials"
    inputs = write_inputs(folder / position, lying(position), frame, spots, 6.0, physics, database)
    write_beam_plan(inputs, own)
    return inputs


def test_one_body_in_the_room_is_one_input_and_one_dose(tmp_path: Path) -> None:
    """All files, byte for byte; and a dose that the engine leaves lies at the same place of the room."""
    files: dict[str, dict[str, bytes]] = {}
    doses: dict[str, bytes] = {}
    for position in POSITIONS:
        inputs = inputs_of(position, tmp_path)
        found = [path for path in inputs.folder.rglob("*") if path.is_file()]
        files[position] = {str(path.relative_to(inputs.folder)): path.read_bytes() for path in found}
        (inputs.folder / "batch" / "Outputs").mkdir(parents=True)
        left = np.arange(np.prod(inputs.grid.size), dtype=np.float32)
        left.tofile(inputs.folder / "batch" / "Outputs" / "Dose.raw")
        dose = read_dose(inputs, inputs.folder / "batch")
        assert dose.shape == inputs.grid.shape
        doses[position] = room_array(position, dose).tobytes()
    supine = files["HFS"]
    assert {"CT.mhd", "CT.raw", "plan.txt", "bdl.txt"} <= set(supine)
    assert len(supine["CT.raw"]) < 4 * np.prod(SIZE), "the crop takes the whole patient, and so shows nothing"
    assert {position for position in POSITIONS if files[position] != supine} == set()
    assert {position for position in POSITIONS if doses[position] != doses["HFS"]} == set()


def test_head_first_supine_is_given_as_it_is(tmp_path: Path) -> None:
    """MCsquare's own convention, without any turn: y rises to the back, x and y run backwards in the file."""
    inputs, patient = inputs_of("HFS", tmp_path), lying("HFS")
    nz, ny, nx = inputs.grid.shape
    raw = np.fromfile(inputs.folder / "CT.raw", dtype=np.float32).reshape(nz, ny, nx)
    assert np.array_equal(raw[:, ::-1, ::-1], patient.ct_hu[inputs.slices])
    assert inputs.isocentre_mm == triple(MIDDLE_MM)


@pytest.fixture(scope="module")
def planned(make_engine: Callable[..., McsquareEngine], make_spec: Callable[..., PlanSpec]) -> Callable[[str], Planned]:
    """Spots by energy, and their beamlets as doses in the room, of one plan at a body in the room."""
    engine = make_engine()

    def plan(position: str) -> Planned:
        patient = lying(position)
        right, down, inwards = places(patient.grid, position)
        away = (right - MIDDLE_MM[0]) ** 2 + (down - MIDDLE_MM[1] - 58.0) ** 2 + (inwards - MIDDLE_MM[2]) ** 2
        target = (away < 7.0**2).astype(np.float32)
        spec = make_spec(
            beams=(Beam(name="Oblique", gantry_angle_deg=GANTRY_DEG, couch_angle_deg=COUCH_DEG),),
            isocentre_mm=triple(in_patient(position, MIDDLE_MM)),
            target_margin_mm=0.0,
            primaries_per_spot=50,
        )
        placement = engine.place(patient, target, spec, QuietWatch())
        # Errors are told in the patient's directions: here the same 3, -2 and 5 mm of the room.
        error = Scenario(name="shifted", setup_mm=triple(in_patient(position, [3.0, -2.0, 5.0])))
        rows = np.arange(patient.ct_hu.size)
        columns = engine.beamlets(patient, placement, rows, spec, QuietWatch(), error).toarray()
        spots = [(layer.energy_mev, layer.xy_mm.tobytes()) for layer in placement.beams[0].layers]
        doses = [room_array(position, column.reshape(patient.grid.shape)).tobytes() for column in columns.T]
        return spots, b"".join(doses)

    return plan


@pytest.fixture(scope="module")
def supine(
    planned: Callable[[str], Planned],
) -> Planned:
    return planned("HFS")


@pytest.mark.parametrize("position", ["HFP", "FFS", "HFDL", "FFDR"])
def test_beams_and_beamlets_are_those_of_the_same_body_in_the_room(
    planned: Callable[[str], Planned], supine: Planned, position: str
) -> None:
    """Spot placement and engine, with a setup error, in whatever position: the same bits as head-first supine."""
    spots, doses = supine
    assert spots
    assert np.frombuffer(doses, np.float32).max() > 0
    assert planned(position) == (spots, doses)
