"""Beams in numbers: spots, layers, energies, ranges, MU, and how long they may take."""

from collections.abc import Sequence

import numpy as np
from radiarch_common.quality import BeamStatistics
from radiarch_common.result import ResultBeam

from radiarch_planner.machine import DeliveryTimes
from radiarch_planner.reach import Reach


def beam_statistics(
    beams: Sequence[ResultBeam], reach: Reach, delivery: DeliveryTimes | None
) -> tuple[BeamStatistics, ...]:
    """Statistics of each beam, in their order.

    Parameters
    ----------
    reach
        Ranges in water of the machine's energies; a beam's range shifter takes its thickness from them.
    delivery
        Times of the machine, when its file gives them: nothing is assumed.
    """
    return tuple(_statistics(beam, reach, delivery) for beam in beams)


def delivery_s(beam: ResultBeam, times: DeliveryTimes) -> float:
    """Time of one fraction of a beam, s: energies switched, spots settled on, protons given.

    One switch between two layers (the first energy is set up before the beam), one settling for each spot, and
    the meterset at the machine's rate.
    """
    spots = sum(len(layer.mu) for layer in beam.layers)
    switches = max(len(beam.layers) - 1, 0)
    return times.energy_switch_s * switches + times.spot_settling_s * spots + beam.meterset_mu / times.mu_per_s


def _statistics(beam: ResultBeam, reach: Reach, delivery: DeliveryTimes | None) -> BeamStatistics:
    energies = [layer.energy_mev for layer in beam.layers]
    mu = [mu for layer in beam.layers for mu in layer.mu]
    ranges = np.interp([min(energies), max(energies)], reach.energies_mev, reach.ranges_mm)
    shallowest, deepest = ranges - (beam.range_shifter.wet_mm if beam.range_shifter else 0.0)
    return BeamStatistics(
        number=beam.number,
        name=beam.name,
        layers=len(beam.layers),
        spots=len(mu),
        lowest_energy_mev=min(energies),
        highest_energy_mev=max(energies),
        shallowest_range_mm=float(shallowest),
        deepest_range_mm=float(deepest),
        meterset_mu=beam.meterset_mu,
        lowest_spot_mu=min(mu),
        highest_spot_mu=max(mu),
        delivery_s=delivery_s(beam, delivery) if delivery else None,
        delivery_basis=delivery.in_words if delivery else None,
        range_shifter=beam.range_shifter.id if beam.range_shifter else None,
    )
