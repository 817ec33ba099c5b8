"""The key of a piece is all that its engine reads, and nothing else; a piece that is known needs no engine."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import radiarch_planner
from radiarch_common.errors import UnavailableError
from radiarch_common.geometry import Grid
from radiarch_common.objects import FolderStore
from radiarch_common.plans import Beam
from radiarch_common.robustness import Scenario
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import Patient, PlacedBeam, PlacedLayer
from radiarch_planner.engines.blocks import Block, blocks_of
from radiarch_planner.engines.build import Build
from radiarch_planner.engines.cache import BlockCache
from radiarch_planner.engines.inputs import BeamInputs, Physics, write_block, write_inputs
from radiarch_planner.engines.kept import KeptPieces
from radiarch_planner.engines.opentps_adapter import RangeShifter
from radiarch_planner.engines.packing import Arrays
from radiarch_planner.engines.processes import ProcessPool, Runner
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.engines.sparse import Index
from radiarch_planner.engines.wheel import mcsquare_folder
from radiarch_planner.machine import read_calibration, read_machine
from radiarch_planner.orientation import Turn
from radiarch_planner.steering import BeamFrame

PACKAGE = Path(radiarch_planner.__file__).parent
BUILD = Build("engine", "0" * 64, "any", Path("engine"), Path("materials"), "1" * 64)
READING = (b"turn", b"rows")
FILES = {"CT.mhd": "size", "CT.raw": "voxels", "Scanner/HU_Density_Conversion.txt": "1 2", "bdl.txt": "energies"}
PIECE = {"plan.txt": "spots", "config.txt": "RNG_Seed 1"}


@pytest.fixture
def cache(tmp_path: Path) -> BlockCache:
    return BlockCache(FolderStore(tmp_path / "objects"), "c" * 64)


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def digest(
    cache: BlockCache,
    folder: Path,
    shared: dict[str, str],
    own: dict[str, str],
    *,
    build: Build = BUILD,
    reading: tuple[bytes, ...] = READING,
) -> str:
    pieces = KeptPieces.of(cache, build, written(folder / "beam", shared), *reading)
    return pieces.digest(written(folder / "beam" / "block-0", own))


def test_the_key_changes_with_every_file_that_the_engine_reads(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when any file, name, the build or the way of reading can change without another key: a wrong dose."""
    other_build = replace(BUILD, content_sha256="2" * 64)
    digests = [
        digest(cache, tmp_path / "same", FILES, PIECE),
        digest(cache, tmp_path / "build", FILES, PIECE, build=other_build),
        digest(cache, tmp_path / "vendor", FILES, PIECE, build=replace(BUILD, cpu_vendor="other")),
        digest(cache, tmp_path / "rows", FILES, PIECE, reading=(b"turn", b"other rows")),
        digest(cache, tmp_path / "turned", FILES, PIECE, reading=(b"turnr", b"ows")),
        digest(cache, tmp_path / "more", {**FILES, "range_shifter.txt": ""}, PIECE),
        *(digest(cache, tmp_path / f"s {name}", {**FILES, name: "another"}, PIECE) for name in FILES),
        *(digest(cache, tmp_path / f"p {name}", FILES, {**PIECE, name: "another"}) for name in PIECE),
        digest(cache, tmp_path / "swap", {**FILES, "CT.mhd": FILES["CT.raw"], "CT.raw": FILES["CT.mhd"]}, PIECE),
        digest(cache, tmp_path / "moved", {**FILES, "CT.mhd": "siz", "CT.raw": "evoxels"}, PIECE),
    ]
    assert len(set(digests)) == len(digests)


def test_the_key_does_not_depend_on_where_the_work_is_done(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when the working folder, which the configuration names, makes every plan's pieces its own."""
    folders = [tmp_path / "here", tmp_path / "somewhere" / "else"]
    pieces = [{**PIECE, "config.txt": f"WorkDir {folder / 'beam' / 'block-0'}"} for folder in folders]
    one, other = (digest(cache, folder, FILES, piece) for folder, piece in zip(folders, pieces, strict=True))
    assert one == other


def block_of(spots: int = 3, **changes: object) -> Block:
    layers = tuple(
        PlacedLayer(energy, np.column_stack([np.arange(spots) * 5.0, np.zeros(spots)])) for energy in (150.0, 140.0)
    )
    placed = PlacedBeam(1, Beam(name="Front", gantry_angle_deg=0.0), (0.0, 60.0, 0.0), layers)
    return replace(blocks_of(placed, 7, 100)[0], **changes)  # pyright: ignore[reportArgumentType]


def real_inputs(
    folder: Path, hu: float, scenario: Scenario, calibration: str, block: Block, shifter: RangeShifter | None = None
) -> BeamInputs:
    model = BeamModel.of(read_machine(PACKAGE / "machines" / "generic-pbs"))
    physics = Physics(model, read_calibration(PACKAGE / "ct_calibrations" / calibration), nuclear=True)
    grid = Grid(origin_mm=(-50.0, 2.0, -50.0), spacing_mm=(10.0, 10.0, 10.0), size=(11, 13, 11))
    ct_hu = np.zeros(grid.shape, dtype=np.float32)
    ct_hu[5, 6, 5] = hu
    x, y, z = (at + error for at, error in zip(block.isocentre_mm, scenario.setup_mm, strict=True))
    angles = block.beam.gantry_angle_deg, block.beam.couch_angle_deg
    frame = BeamFrame.of((x, y, z), *angles, model.reach.source_mm, "HFS")
    spots = np.concatenate([layer.xy_mm for layer in block.layers])
    patient, materials = Patient(grid, ct_hu, position="HFS"), mcsquare_folder() / "Materials"
    return write_inputs(folder / "beam", patient, frame, spots, 10.0, physics.under(scenario), materials, shifter)


def real_digest(cache: BlockCache, folder: Path, hu: float, scenario: Scenario, calibration: str, block: Block) -> str:
    inputs = real_inputs(folder, hu, scenario, calibration, block)
    pieces = KeptPieces.of_beam(cache, BUILD, inputs)
    return pieces.digest(write_block(inputs, block))


def test_the_same_files_read_differently_are_other_entries(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when a dose is given to a patient who lies differently, or beamlets to other rows, than it was read for."""
    inputs = real_inputs(tmp_path, 0.0, Scenario(name="nominal"), "water", block_of())
    rows = np.arange(int(np.prod(inputs.grid.size)), dtype=np.int32)
    prone = replace(inputs, turn=Turn.to_supine("HFP"))
    read: list[tuple[BeamInputs, Index | None]] = [
        (inputs, None), (inputs, rows), (inputs, rows[::-1].copy()), (prone, None), (prone, rows),
    ]  # fmt: skip
    assert len({KeptPieces.of_beam(cache, BUILD, *how).shared for how in read}) == len(read)


def test_a_range_shifter_is_in_the_key(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when a beam is given the dose of one without its range shifter, or with another or elsewhere."""
    nominal, block = Scenario(name="nominal"), block_of()
    slab = RangeShifter("slab", 17, 1.0, 40.0, 250.0)
    shifters = [None, slab, replace(slab, wet_mm=41.0), replace(slab, isocentre_distance_mm=260.0)]
    digests: set[str] = set()
    for number, shifter in enumerate(shifters):
        inputs = real_inputs(tmp_path / str(number), 0.0, nominal, "water", block, shifter)
        digests.add(KeptPieces.of_beam(cache, BUILD, inputs).digest(write_block(inputs, block)))
    assert len(digests) == len(shifters)


def test_what_is_really_written_decides(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when one input of a simulation is not in the engine's files, or the same plan is written differently."""
    nominal, block = Scenario(name="nominal"), block_of()
    turned = block_of(beam=Beam(name="Front", gantry_angle_deg=1.0))
    cases: list[tuple[float, Scenario, str, Block]] = [
        (0.0, nominal, "water", block),
        (1.0, nominal, "water", block),
        (0.0, Scenario(name="shifted", setup_mm=(0.0, 1.0, 0.0)), "water", block),
        (0.0, Scenario(name="denser", range_percent=3.0), "water", block),
        (0.0, nominal, "ucl-toshiba", block),
        (0.0, nominal, "water", turned),
        (0.0, nominal, "water", block_of(seed=8)),
        (0.0, nominal, "water", block_of(primaries_per_spot=101)),
        (0.0, nominal, "water", block_of(spots=4)),
    ]
    digests = [real_digest(cache, tmp_path / str(number), *case) for number, case in enumerate(cases)]
    assert len(set(digests)) == len(digests)
    assert real_digest(cache, tmp_path / "again", *cases[0]) == digests[0]


def piece_of(pieces: KeptPieces, folder: Path, number: int, computed: list[int]) -> Callable[[Runner], Arrays]:
    """A piece that writes down that it was computed, and that its engine was half way and then ready."""

    def compute(runner: Runner) -> Arrays:
        computed.append(number)
        for share in (0.5, 1.0):
            runner.shares[runner.number] = share
        return {"dose": np.full((2, 2), number, dtype=np.float32)[:, ::-1]}

    own = written(folder / f"block-{number}", {**PIECE, "plan.txt": str(number)})
    return lambda runner: pieces.kept(own, runner, lambda: compute(runner))


def test_only_what_is_not_known_is_computed(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when a known piece is computed, one unlike it is not, the order is lost, or the share done falls."""
    beam = written(tmp_path / "beam", FILES)
    pieces = KeptPieces.of(cache, BUILD, beam)
    told: list[float] = []
    rounds: list[tuple[list[int], int]] = []
    for numbers in ([1, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]):
        computed: list[int] = []
        taken: dict[int, Arrays] = {}
        told.clear()
        work = [piece_of(pieces, beam, number, computed) for number in numbers]
        spared = ProcessPool(BUILD, 2).run(work, QuietWatch(), told.append, taken.__setitem__)
        rounds.append((sorted(computed), spared))
        assert [(number, float(arrays["dose"][0, 0])) for number, arrays in taken.items()] == list(enumerate(numbers))
        assert all(arrays["dose"].flags.c_contiguous for arrays in taken.values())
        assert told == sorted(told)
        assert told[-1] == 1.0
    assert rounds == [([1, 3], 0), ([0, 2, 4], 2), ([], 5)]


def test_without_a_cache_all_is_computed(tmp_path: Path) -> None:
    """Fails when an engine of its own, as in a bench, needs an object store."""
    beam = written(tmp_path / "beam", FILES)
    runner = Runner(BUILD, threading.Event(), [0.0], set(), 0)
    computed: list[int] = []
    for _ in range(2):
        piece_of(KeptPieces.of(None, BUILD, beam), beam, 0, computed)(runner)
    assert computed == [0, 0]
    assert not runner.spared


def test_a_store_that_goes_down_ends_the_work(cache: BlockCache, tmp_path: Path) -> None:
    """Fails when a lost object store is told as anything but that, and the plan fails instead of waiting."""

    class Down(FolderStore):
        def get(self, key: str) -> bytes:
            raise UnavailableError("object store", key)

    beam = written(tmp_path / "beam", FILES)
    pieces = KeptPieces.of(BlockCache(Down(tmp_path / "down"), "c" * 64), BUILD, beam)
    work = [piece_of(pieces, beam, 0, [])]
    with pytest.raises(UnavailableError, match="object store"):
        ProcessPool(BUILD, 2).run(work, QuietWatch(), lambda _: None, lambda _, __: None)
