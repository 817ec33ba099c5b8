"""How long a plan's processes will take one after the other, by the engine's cost on this machine."""

from math import ceil

import numpy as np
from radiarch_common.result import ResultBeam

from radiarch_planner.engines.base import Patient, PlacedBeam
from radiarch_planner.engines.blocks import SPOTS_PER_BLOCK
from radiarch_planner.engines.cost import EngineCost
from radiarch_planner.engines.inputs import beam_crop
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.steering import BeamFrame


def beamlet_seconds(cost: EngineCost, model: BeamModel, patient: Patient, placed: PlacedBeam, primaries: int) -> float:
    """Duration of all blocks of a beam, with ``primaries`` protons for each spot."""
    angles = (placed.beam.gantry_angle_deg, placed.beam.couch_angle_deg)
    frame = BeamFrame.of(placed.isocentre_mm, *angles, model.reach.source_mm, patient.position)
    spots = np.concatenate([layer.xy_mm for layer in placed.layers])
    shifter = model.shifter(placed.range_shifter)
    halo_mm = model.halo_mm([layer.energy_mev for layer in placed.layers], shifter)
    voxels = float(np.prod(beam_crop(patient.grid, frame, spots, halo_mm, shifter)[1]))
    range_mm = mean_range_mm(model, (placed,))
    further_starts = ceil(placed.count / SPOTS_PER_BLOCK) - 1
    return cost.beamlet_seconds(placed.count, primaries, range_mm, voxels) + further_starts * cost.start_s


def batch_seconds(cost: EngineCost, model: BeamModel, beam: ResultBeam, primaries: int) -> float:
    """Duration of one batch of a beam: the engine shares its protons out as the plan does."""
    energies = np.array([layer.energy_mev for layer in beam.layers])
    protons = model.protons_per_mu(energies) * np.array([sum(layer.mu) for layer in beam.layers])
    return cost.batch_seconds(primaries, float(np.average(model.ranges_mm(energies), weights=protons)))


def mean_range_mm(model: BeamModel, beams: tuple[PlacedBeam, ...]) -> float:
    """Mean range in water of the spots of beams."""
    layers = [layer for beam in beams for layer in beam.layers]
    ranges = model.ranges_mm(np.array([layer.energy_mev for layer in layers]))
    return float(np.average(ranges, weights=[len(layer.xy_mm) for layer in layers]))
