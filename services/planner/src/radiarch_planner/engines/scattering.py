"""How much a slab in the beam's way widens it: multiple Coulomb scattering, and the way from there."""

import numpy as np

from radiarch_planner.steering import Array

_PROTON_MEV = 938.272
_STEPS = 200
_LEAST_RANGE_MM = 1.0
"""Protons that have less left than this come no farther than the slab's edge."""


def scattering_angle_rad(
    energy_mev: float, wet_mm: float, radiation_lengths: float, energies_mev: Array, ranges_mm: Array
) -> float:
    """Standard deviation of the angle, in one plane, behind a slab that protons lose energy in.

    Parameters
    ----------
    wet_mm
        Water-equivalent thickness of the slab.
    radiation_lengths
        Its thickness in radiation lengths of its material.
    energies_mev, ranges_mm
        Energies and their ranges in water, rising: shape (n,).

    References
    ----------
    V. L. Highland's formula as integrated over a thick slab by B. Gottschalk et al., Nucl. Instrum. Methods B 74
    (1993) 467, section 2.4: 14.1 MeV, and a logarithm of the whole thickness.
    """
    depths = (np.arange(_STEPS) + 0.5) / _STEPS * wet_mm
    left = np.maximum(float(np.interp(energy_mev, energies_mev, ranges_mm)) - depths, _LEAST_RANGE_MM)
    energy = np.interp(left, ranges_mm, energies_mev)
    momentum_times_velocity = energy * (energy + 2 * _PROTON_MEV) / (energy + _PROTON_MEV)
    mean = float(np.mean(momentum_times_velocity**-2.0)) * radiation_lengths
    return 14.1 * (1 + np.log10(radiation_lengths) / 9) * float(np.sqrt(mean))
