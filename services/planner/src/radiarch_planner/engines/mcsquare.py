"""Protons by MCsquare: spots placed by ray tracing, dose by Monte Carlo.

The engine scores the energy deposited per mass, in eV per gram for one proton; times the protons of the plan
(the machine's protons per MU) that is physical dose to medium. No RBE is applied here.
"""

import shutil
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import PlanSpec
from radiarch_common.result import ResultBeam
from radiarch_common.robustness import NOMINAL, Scenario
from radiarch_common.settings import Settings
from radiarch_common.watch import QuietWatch, Watch
from scipy.sparse import csc_matrix

from radiarch_planner.engines import opentps_adapter as opentps
from radiarch_planner.engines.base import (
    EngineBuild,
    Enough,
    FinalDose,
    FloatArray,
    Patient,
    PlacedBeam,
    Placement,
    all_of_it,
)
from radiarch_planner.engines.blocks import Block, blocks_of, seed_of
from radiarch_planner.engines.build import prepare_build
from radiarch_planner.engines.cache import BlockCache
from radiarch_planner.engines.cost import EngineCost, hang_limit
from radiarch_planner.engines.durations import batch_seconds, beamlet_seconds, mean_range_mm
from radiarch_planner.engines.folders import own_folder
from radiarch_planner.engines.inputs import (
    TRANSPORT,
    BeamInputs,
    Physics,
    read_dose,
    read_let,
    write_batch,
    write_beam_plan,
    write_block,
    write_inputs,
)
from radiarch_planner.engines.kept import KeptPieces, tell_kept
from radiarch_planner.engines.matrix import lookup_of, matrix_of
from radiarch_planner.engines.packing import Arrays
from radiarch_planner.engines.processes import EngineRun, ProcessPool, Runner
from radiarch_planner.engines.progress import Pace
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.engines.selftest import examined_build
from radiarch_planner.engines.sparse import Columns, Index, read_columns
from radiarch_planner.engines.tally import DoseTally
from radiarch_planner.engines.written import written_beams
from radiarch_planner.machine import Calibration, Machine
from radiarch_planner.memory import beamlet_bytes
from radiarch_planner.placement import place_spots
from radiarch_planner.steering import Array, BeamFrame

GY_PER_EV_PER_GRAM = 1.602176634e-16
"""The elementary charge (an electronvolt in joules) times a thousand grams per kilogram."""


class McsquareEngine:
    """MCsquare with one machine and one CT calibration; see ``radiarch_planner.engines.base.Engine``.

    Parameters
    ----------
    cache
        Where pieces of its work are looked for and kept; None: all of it is computed.
    nuclear
        Whether nuclear interactions are simulated; off only to compare with tables of stopping power.
    cost
        Of a build that needs no test any more; ``None``: a build is tested and timed at its first use on a machine.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        calibration: Calibration,
        *,
        cache: BlockCache | None = None,
        nuclear: bool = True,
        cost: EngineCost | None = None,
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._cost = cost
        self._work_folder = settings.work_folder
        self._build = prepare_build(settings)
        self._pool = ProcessPool(self._build, settings.engine_processes)
        self._physics = Physics(BeamModel.of(machine), calibration, nuclear)

    @property
    def build(self) -> EngineBuild:
        """See ``Engine.build``."""
        return EngineBuild(
            engine="mcsquare",
            name=self._build.name,
            sha256=self._build.sha256,
            cpu_vendor=self._build.cpu_vendor,
            dose_to="medium",
            settings=dict(TRANSPORT),
            software={"opentps": opentps.OPENTPS_VERSION},
        )

    @property
    def model(self) -> BeamModel:
        """The machine's beam data as this engine uses it."""
        return self._physics.model

    def cost(self, watch: Watch) -> EngineCost:
        """What this build costs here; it is tested before, unless it passed on this kind of CPU already.

        Raises
        ------
        SelfTestFailedError
            If it may not be used.
        """
        if self._cost is None:
            self._cost = examined_build(self._build, self._settings, watch).cost
        return self._cost

    def place(self, patient: Patient, target: FloatArray, spec: PlanSpec, watch: Watch) -> Placement:
        """See ``Engine.place``."""
        watch.check()
        self.cost(watch)
        with watch.timed("spot placement"):
            return place_spots(patient, self.stopping_power(patient), target, spec, self.model.reach)

    def stopping_power(self, patient: Patient) -> FloatArray:
        """Proton stopping power relative to water: shape (z, y, x) on the patient's grid."""
        file = self._physics.calibration.file
        hu = np.arange(file.minimum_hu, file.maximum_hu + 1.0)
        table = opentps.relative_stopping_power(self._physics.calibration.tables, hu).astype(np.float32)
        nearest = np.rint(patient.ct_hu - file.minimum_hu).astype(np.int64)
        return table[np.clip(nearest, 0, len(table) - 1)]

    def beamlets(
        self,
        patient: Patient,
        placement: Placement,
        rows: npt.NDArray[np.int64],
        spec: PlanSpec,
        watch: Watch,
        scenario: Scenario = NOMINAL,
    ) -> csc_matrix:
        """See ``Engine.beamlets``."""
        self.cost(watch)
        pace = Pace(watch, "Beamlets", self.beamlet_seconds(patient, placement, spec))
        parts: list[Columns] = []
        with watch.timed("beamlets"), own_folder(self._work_folder) as folder:
            pieces: list[partial[Columns]] = []
            work: list[float] = []
            for placed in placement.beams:
                inputs = self._inputs(folder, patient, placed, scenario)
                lookup = lookup_of(inputs, patient, rows)
                blocks = blocks_of(placed, spec.seed, spec.primaries_per_spot)
                kept = KeptPieces.of_beam(self._cache, self._build, inputs, lookup)
                pieces += [partial(self._block, kept, inputs, lookup, block) for block in blocks]
                work += [float(self.model.ranges_mm(block.energies_mev).sum()) for block in blocks]
            spared = self._pool.run(pieces, watch, pace.tell, lambda _, columns: parts.append(columns), work)
            tell_kept(watch, "Beamlets", spared, len(pieces))
        return matrix_of(parts, len(rows))

    def beams(self, placement: Placement, mu: Array) -> tuple[ResultBeam, ...]:
        """See ``Engine.beams``."""
        return written_beams(self.model, placement, mu)

    def final_dose(
        self,
        patient: Patient,
        beams: tuple[ResultBeam, ...],
        spec: PlanSpec,
        watch: Watch,
        scenario: Scenario = NOMINAL,
        enough: Enough = all_of_it,
    ) -> FinalDose:
        """See ``Engine.final_dose``."""
        for beam in beams:
            self.model.refuse_unmeasured(np.array([layer.energy_mev for layer in beam.layers]))
        self.cost(watch)
        primaries = ceil(spec.primaries_final / spec.batches)
        pace = Pace(watch, "Final dose", self.final_seconds(beams, spec))
        with watch.timed("final dose"), own_folder(self._work_folder) as folder:
            inputs = [self._plan_inputs(folder, patient, beam, scenario) for beam in beams if beam.layers]
            scales = [self._gy(beam) * spec.prescription.fractions for beam in beams if beam.layers]
            numbers = [beam.number for beam in beams if beam.layers]
            tally = DoseTally(patient.grid.shape, [part.slices for part in inputs], scales)
            kept = [KeptPieces.of_beam(self._cache, self._build, part) for part in inputs]
            done, more, spared = 0, spec.batches, 0
            pace.round(0, more, 0 if enough is all_of_it else more)
            while True:
                pieces = [
                    partial(
                        self._batch,
                        own,
                        part,
                        index,
                        seed_of(spec.seed, "final dose", number, index),
                        primaries,
                        spec.let_map,
                    )
                    for own, part, number in zip(kept, inputs, numbers, strict=True)
                    for index in range(done, done + more)
                ]
                spared += self._pool.run(pieces, watch, pace.tell, partial(tally.add_piece, more))
                done += more
                dose = FinalDose(*tally.dose(), done, done * primaries, tally.let_kev_um() if spec.let_map else None)
                more = enough(dose)
                if not more:
                    tell_kept(watch, "Final dose", spared, done * len(inputs))
                    return dose
                pace.round(done, more)

    def beamlet_seconds(self, patient: Patient, placement: Placement, spec: PlanSpec) -> float:
        """See ``Engine.beamlet_seconds``."""
        cost, beams = self.cost(QuietWatch()), placement.beams
        seconds = [beamlet_seconds(cost, self.model, patient, beam, spec.primaries_per_spot) for beam in beams]
        return sum(seconds) / self._pool.size

    def beamlet_bytes(self, patient: Patient, placement: Placement, rows: int, spec: PlanSpec) -> float:
        """See ``Engine.beamlet_bytes``."""
        mean_range = mean_range_mm(self.model, placement.beams)
        return beamlet_bytes(patient.grid, rows, placement.count, mean_range, spec.primaries_per_spot)

    def final_seconds(self, beams: tuple[ResultBeam, ...], spec: PlanSpec) -> float:
        """See ``Engine.final_seconds``."""
        cost, primaries = self.cost(QuietWatch()), ceil(spec.primaries_final / spec.batches)
        seconds = [batch_seconds(cost, self.model, beam, primaries) for beam in beams if beam.layers]
        return sum(seconds) * spec.batches / self._pool.size

    def _block(self, kept: KeptPieces, inputs: BeamInputs, lookup: Index, block: Block, runner: Runner) -> Columns:
        folder = write_block(inputs, block)
        range_mm, voxels = float(self.model.ranges_mm(block.energies_mev).mean()), float(np.prod(inputs.grid.size))

        def compute() -> Arrays:
            cost = self.cost(QuietWatch())
            expected_s = cost.beamlet_seconds(block.count, block.primaries_per_spot, range_mm, voxels)
            runner(EngineRun(folder, hang_limit(expected_s), inputs.materials))
            xy_mm = np.concatenate([layer.xy_mm for layer in block.layers])
            return read_columns(folder / "Outputs" / "Sparse_Dose.bin", lookup, xy_mm).arrays()

        columns = Columns(**kept.kept(folder, runner, compute))
        shutil.rmtree(folder)
        scale = (self.model.protons_per_mu(block.energies_mev) * GY_PER_EV_PER_GRAM).astype(np.float32)
        per_value = np.repeat(scale, np.diff(columns.indptr))
        return Columns(columns.indptr, columns.indices, columns.values * per_value)

    def _batch(
        self,
        kept: KeptPieces,
        inputs: BeamInputs,
        index: int,
        seed: int,
        primaries: int,
        let_map: bool,
        runner: Runner,
    ) -> FloatArray:
        """What a batch of the final dose leaves on ``inputs.grid``.

        Returns
        -------
        Shape (1, z, y, x), float32: dose in eV/g for one proton; of shape (2, z, y, x) with dose-averaged LET in
        keV/um behind it where it is asked for.
        """
        folder = write_batch(inputs, index, seed, primaries, let_map=let_map)

        def compute() -> Arrays:
            longest_s = self.cost(QuietWatch()).batch_seconds(primaries, float(self.model.reach.ranges_mm[-1]))
            runner(EngineRun(folder, hang_limit(longest_s), inputs.materials))
            volumes = [read_dose(inputs, folder), *([read_let(inputs, folder)] if let_map else [])]
            return {"volumes": np.stack(volumes)}

        arrays = kept.kept(folder, runner, compute)
        shutil.rmtree(folder)
        return arrays["volumes"]

    def _inputs(self, folder: Path, patient: Patient, placed: PlacedBeam, scenario: Scenario) -> BeamInputs:
        angles = (placed.beam.gantry_angle_deg, placed.beam.couch_angle_deg)
        frame = self._frame(patient, placed.isocentre_mm, angles, scenario)
        spots = np.concatenate([layer.xy_mm for layer in placed.layers])
        shifter = self.model.shifter(placed.range_shifter)
        halo_mm = self.model.halo_mm([layer.energy_mev for layer in placed.layers], shifter)
        physics = self._physics.under(scenario)
        database = self._build.materials
        return write_inputs(
            folder / f"beam-{placed.number}", patient, frame, spots, halo_mm, physics, database, shifter
        )

    def _plan_inputs(self, folder: Path, patient: Patient, beam: ResultBeam, scenario: Scenario) -> BeamInputs:
        angles = (beam.gantry_angle_deg, beam.couch_angle_deg)
        frame = self._frame(patient, beam.isocentre_mm, angles, scenario)
        spots = np.concatenate([np.column_stack([layer.x_mm, layer.y_mm]) for layer in beam.layers])
        shifter = self.model.shifter(beam.range_shifter)
        halo_mm = self.model.halo_mm([layer.energy_mev for layer in beam.layers], shifter)
        physics = self._physics.under(scenario)
        database = self._build.materials
        inputs = write_inputs(
            folder / f"beam-{beam.number}", patient, frame, spots, halo_mm, physics, database, shifter
        )
        write_beam_plan(inputs, beam)
        return inputs

    def _frame(
        self,
        patient: Patient,
        isocentre_mm: tuple[float, float, float],
        angles_deg: tuple[float, float],
        scenario: Scenario,
    ) -> BeamFrame:
        x, y, z = (at + error for at, error in zip(isocentre_mm, scenario.setup_mm, strict=True))
        return BeamFrame.of((x, y, z), *angles_deg, self.model.reach.source_mm, patient.position)

    def _gy(self, beam: ResultBeam) -> float:
        """What one eV/g for each proton of this beam is in Gy, for one fraction."""
        energies = np.array([layer.energy_mev for layer in beam.layers])
        meterset = np.array([sum(layer.mu) for layer in beam.layers])
        return float(self.model.protons_per_mu(energies) @ meterset) * GY_PER_EV_PER_GRAM
