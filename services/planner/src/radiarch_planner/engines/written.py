"""Beams as they are written: the spots that have MU, in steps of 2**-10."""

import numpy as np
from radiarch_common.result import Layer, ResultBeam

from radiarch_planner.engines.base import PlacedBeam, Placement
from radiarch_planner.engines.protons import BeamModel
from radiarch_planner.steering import Array


def written_beams(model: BeamModel, placement: Placement, mu: Array) -> tuple[ResultBeam, ...]:
    """The beams of a placement with MU of shape (placement.count,), not negative; see ``Engine.beams``."""
    if mu.shape != (placement.count,) or not np.all(mu >= 0):
        raise ValueError("Argument 'mu' must have one number, not negative, for each spot.")
    rounded = np.rint(mu * 1024.0) / 1024.0
    beams: list[ResultBeam] = []
    start = 0
    for placed in placement.beams:
        beams.append(_written_beam(model, placed, rounded[start : start + placed.count]))
        start += placed.count
    return tuple(beams)


def _written_beam(model: BeamModel, placed: PlacedBeam, mu: Array) -> ResultBeam:
    layers: list[Layer] = []
    start = 0
    for layer in placed.layers:
        own = mu[start : start + len(layer.xy_mm)]
        start += len(layer.xy_mm)
        kept = own > 0
        if kept.any():
            layers.append(
                Layer(
                    energy_mev=layer.energy_mev,
                    x_mm=tuple(layer.xy_mm[kept, 0].tolist()),
                    y_mm=tuple(layer.xy_mm[kept, 1].tolist()),
                    mu=tuple(own[kept].tolist()),
                    spot_fwhm_mm=model.fwhm_mm(layer.energy_mev),
                )
            )
    return ResultBeam(
        number=placed.number,
        name=placed.beam.name,
        gantry_angle_deg=placed.beam.gantry_angle_deg,
        couch_angle_deg=placed.beam.couch_angle_deg,
        isocentre_mm=placed.isocentre_mm,
        virtual_source_axis_distances_mm=model.reach.source_mm,
        nozzle_isocentre_distance_mm=model.data.nozzle_mm,
        range_shifter=placed.range_shifter,
        layers=tuple(layers),
    )
