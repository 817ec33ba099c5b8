"""The machine's protons: deliverable energies, their ranges in water, protons per MU, spot sizes, range shifters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import hypot

import numpy as np
from radiarch_common.errors import RefusedError
from radiarch_common.result import BeamRangeShifter

from radiarch_planner.engines import opentps_adapter as opentps
from radiarch_planner.engines.scattering import scattering_angle_rad
from radiarch_planner.engines.wheel import materials, radiation_length_g_cm2
from radiarch_planner.machine import Machine, RangeShifterFile
from radiarch_planner.reach import Reach
from radiarch_planner.steering import Array

_FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))
_TABLE_MEV = np.concatenate([np.arange(1.0, 20.0, 0.5), np.arange(20.0, 351.0, 2.0)])
"""Energies between which ranges are interpolated to find what is left behind a slab."""


@dataclass(frozen=True)
class Slab:
    """What a range shifter is made of.

    Attributes
    ----------
    thickness_mm
        As a tape would measure it: its water-equivalent thickness over its stopping power relative to water.
    radiation_lengths
        The same in radiation lengths of its material.
    """

    material: int
    density_g_cm3: float
    thickness_mm: float
    radiation_lengths: float

    @classmethod
    def of(cls, shifter: RangeShifterFile) -> "Slab":
        """The slab that a machine's file describes."""
        thickness = shifter.wet_mm / (shifter.density_g_cm3 * opentps.mass_stopping_power(shifter.material))
        length = radiation_length_g_cm2(materials()[shifter.material])
        lengths = thickness / 10 * shifter.density_g_cm3 / length
        return cls(shifter.material, shifter.density_g_cm3, thickness, lengths)


@dataclass(frozen=True)
class BeamModel:
    """Beam data of a machine, and what follows from it.

    Attributes
    ----------
    reach
        Energies that can be delivered, their ranges in water, and the range shifters.
    slabs
        What the range shifters are made of, by their id.
    """

    data: opentps.BeamData
    reach: Reach
    slabs: dict[str, Slab] = field(default_factory=dict[str, Slab])

    @classmethod
    def of(cls, machine: Machine) -> "BeamModel":
        """Read the machine's beam data, measured energies only.

        Raises
        ------
        RefusedError
            If the energies that the machine says it has measured are not rows of its beam data.
        """
        file = machine.file
        data = opentps.read_beam_data(machine.beam_data, file.minimum_energy_mev, file.maximum_energy_mev)
        rows = data.columns["nominalEnergy"]
        if not len(rows) or (rows[0], rows[-1]) != (file.minimum_energy_mev, file.maximum_energy_mev):
            has = f"{rows[0]:g} to {rows[-1]:g} MeV" if len(rows) else "none"
            raise RefusedError(
                f"Machine '{file.id}' says that {file.minimum_energy_mev:g} to {file.maximum_energy_mev:g} MeV were "
                f"measured, and its beam data have rows in there for {has}.",
                "Set minimum_energy_mev and maximum_energy_mev in machine.toml to measured rows of the beam data.",
            )
        count = int(np.floor((rows[-1] - rows[0]) / file.energy_step_mev + 1e-6)) + 1
        energies = np.round(rows[0] + file.energy_step_mev * np.arange(count), 6)
        mean = np.interp(energies, rows, data.columns["meanEnergy"])
        shifters = sorted(file.range_shifters, key=lambda shifter: shifter.wet_mm)
        reach = Reach(
            energies,
            range_in_water_mm(mean),
            (data.smx_mm, data.smy_mm),
            file.field_mm,
            tuple(shifter.in_beam for shifter in shifters),
        )
        return cls(data, reach, {shifter.id: Slab.of(shifter) for shifter in shifters})

    def shifter(self, of_beam: BeamRangeShifter | None) -> opentps.RangeShifter | None:
        """A beam's range shifter for the engine. Raises RefusedError when the machine has no such one."""
        if of_beam is None:
            return None
        slab = self.slabs.get(of_beam.id)
        if slab is None:
            known = ", ".join(self.slabs) or "none"
            raise RefusedError(f"The machine has no range shifter '{of_beam.id}'.", f"Its range shifters: {known}.")
        return opentps.RangeShifter(
            of_beam.id, slab.material, slab.density_g_cm3, of_beam.wet_mm, of_beam.isocentre_distance_mm
        )

    def refuse_unmeasured(self, energies_mev: Array) -> None:
        """Refuse energies below or above the measured rows. Raises RefusedError that names them."""
        rows = self.data.columns["nominalEnergy"]
        beyond = sorted({float(energy) for energy in energies_mev if not rows[0] <= energy <= rows[-1]})
        if beyond:
            named = ", ".join(f"{energy:g}" for energy in beyond)
            raise RefusedError(
                f"The plan has layers of {named} MeV, and the machine's beam data were measured for {rows[0]:g} to "
                f"{rows[-1]:g} MeV.",
                "Plan with energies of this machine, or choose the machine that has them.",
            )

    def protons_per_mu(self, energies_mev: Array) -> Array:
        """Protons of one MU at nominal energies: same shape."""
        return np.interp(energies_mev, self.data.columns["nominalEnergy"], self.data.columns["protonsMU"])

    def ranges_mm(self, energies_mev: Array) -> Array:
        """Range in water at nominal energies: same shape."""
        return np.interp(energies_mev, self.reach.energies_mev, self.reach.ranges_mm)

    def sigma_mm(self, energy_mev: float, gaussian: int) -> tuple[float, float]:
        """Width in air at the isocentre of the first or second Gaussian, along x and y, mm, 1 sigma.

        The library tells size, divergence and their correlation at the nozzle's exit. A negative correlation is a
        beam that narrows on its way, as seen in the engine's dose in air.
        """
        z = self.data.nozzle_mm
        widths: list[float] = []
        for axis in "xy":
            size, divergence, correlation = (
                self.data.at(f"{name}{gaussian}{axis}", energy_mev)
                for name in ("spotSize", "divergence", "correlation")
            )
            widths.append(float(np.sqrt(size**2 + 2 * correlation * size * divergence * z + (divergence * z) ** 2)))
        return widths[0], widths[1]

    def fwhm_mm(self, energy_mev: float) -> tuple[float, float]:
        """Full width at half maximum of a spot in air at the isocentre, along x and y, mm; of the open beam."""
        x, y = self.sigma_mm(energy_mev, 1)
        return x * _FWHM_PER_SIGMA, y * _FWHM_PER_SIGMA

    def halo_mm(self, energies_mev: Sequence[float], shifter: opentps.RangeShifter | None) -> float:
        """Width of the widest part of any of these energies at the isocentre, behind a range shifter: mm, 1 sigma."""
        return max(hypot(max(self.sigma_mm(energy, 2)), self.scatter_mm(energy, shifter)) for energy in energies_mev)

    def scatter_mm(self, energy_mev: float, shifter: opentps.RangeShifter | None) -> float:
        """What scattering in a range shifter adds to a spot's width in air at the isocentre: mm, 1 sigma.

        The angle behind the slab times the way from its upstream edge: all of the scattering is taken to happen
        there, which is a little too much.
        """
        if shifter is None:
            return 0.0
        slab = self.slabs[shifter.id]
        angle = scattering_angle_rad(energy_mev, shifter.wet_mm, slab.radiation_lengths, _TABLE_MEV, _table_ranges_mm())
        return angle * (shifter.isocentre_distance_mm + slab.thickness_mm)


@cache
def _table_ranges_mm() -> Array:
    return range_in_water_mm(_TABLE_MEV)


def range_in_water_mm(energies_mev: Array) -> Array:
    """Range of protons in the engine's water by continuous slowing down, which is the depth of the distal 80 %."""
    return np.interp(energies_mev, *_ranges())


def energy_after_mev(energy_mev: float, depth_mm: float) -> float:
    """Energy that a proton has left at a depth in water, by continuous slowing down; 0 beyond its range."""
    energies, ranges = _ranges()
    left = float(np.interp(energy_mev, energies, ranges)) - depth_mm
    return float(np.interp(left, ranges, energies)) if left > 0.0 else 0.0


def stopping_power_of_water(energy_mev: float) -> float:
    """Mass stopping power of the engine's water by PSTAR, MeV cm2/g."""
    return float(np.interp(energy_mev, *opentps.water_stopping_power()))


def _ranges() -> tuple[Array, Array]:
    """Energies in MeV and their ranges in mm."""
    table_mev, power = opentps.water_stopping_power()
    fine = np.arange(0.5, table_mev[-1], 0.05)
    slowness = 1.0 / np.interp(fine, table_mev, power)
    csda_cm = np.concatenate([[0.0], np.cumsum((slowness[1:] + slowness[:-1]) / 2 * np.diff(fine))])
    return fine, csda_cm * 10.0
