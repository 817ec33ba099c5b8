"""What the dose of a build on the water phantom must be, and by how much it may be off."""

from dataclasses import dataclass, field

import numpy as np

from radiarch_planner.engines.base import FloatArray
from radiarch_planner.engines.protons import energy_after_mev, range_in_water_mm, stopping_power_of_water
from radiarch_planner.engines.water_phantom import ENERGIES_MEV, Curve, depth_dose, depths_mm, width_mm

_R80_MM = 1.0
"""Of PSTAR's range: the engine's own table of transport and the binning make up to half of it."""
_STOPPING = (0.98, 1.02)
"""Dose without nuclear interactions over fluence times stopping power."""
_NUCLEAR = (0.98, 1.15)
"""The same with them: they take a percent of the protons for each centimetre, and their products leave dose."""
_PLATEAU_MM = (15.0, 25.0)
_EVEN = 3
"""Layers of 1 mm."""
_OTHER_MEAN = 0.01
_OTHER_R80_MM = 0.5
_OTHER_WIDTH = 0.05
_OTHER_NOISE = 3.0
"""Of the variance between two seeds of one build; the standard error of this quotient is about a half."""
_HOT = 0.3
"""Of the maximum: less is compared by nothing but noise."""


@dataclass
class Findings:
    """What was looked at, in words."""

    passed: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])

    def say(self, good: bool, words: str) -> None:
        """Add a finding."""
        (self.passed if good else self.failed).append(words + ".")


def same_bits(first: FloatArray, second: FloatArray, findings: Findings) -> None:
    """The same seed gives the same dose."""
    same = first.tobytes() == second.tobytes()
    findings.say(same, "the same seed gives the same bits" if same else "the same seed gave another dose")


def against_tables(doses: tuple[FloatArray, FloatArray], without_nuclei: FloatArray, findings: Findings) -> None:
    """Hold the doses at both energies, and one at the lower without nuclear interactions, against PSTAR's water."""
    for dose in (*doses, without_nuclei):
        if not np.all(np.isfinite(dose)) or float(dose.min()) < 0.0 or float(dose.max()) == 0.0:
            findings.say(False, "the dose has values that are negative or no numbers, or is 0 everywhere")
            return
    for energy, dose in zip(ENERGIES_MEV, doses, strict=True):
        expected = float(range_in_water_mm(np.array([energy]))[0])
        found = r80_mm(depth_dose(dose))
        findings.say(
            abs(found - expected) <= _R80_MM,
            f"R80 at {energy:g} MeV is {found:.2f} mm in water, {expected:.2f} mm by PSTAR (within {_R80_MM:g} mm)",
        )
        _plateau(energy, dose, _NUCLEAR, "", findings)
    _plateau(ENERGIES_MEV[0], without_nuclei, _STOPPING, " without nuclear interactions", findings)


def against_another_build(
    energy_mev: float, dose: FloatArray, others: tuple[FloatArray, FloatArray], name: str, findings: Findings
) -> None:
    """Hold a dose against two of another build, which differ by their seeds."""
    own, first, second = (depth_dose(each) for each in (dose, *others))
    hot = first > _HOT * first.max()
    at = f"at {energy_mev:g} MeV"
    ratio = float(own[hot].mean() / np.mean([first[hot].mean(), second[hot].mean()]))
    findings.say(
        abs(ratio - 1.0) <= _OTHER_MEAN, f"mean dose {at} is {ratio:.4f} of {name}'s (within {_OTHER_MEAN:.0%})"
    )
    shift = r80_mm(own) - 0.5 * (r80_mm(first) + r80_mm(second))
    findings.say(
        abs(shift) <= _OTHER_R80_MM, f"R80 {at} is {shift:+.2f} mm from {name}'s (within {_OTHER_R80_MM:g} mm)"
    )
    depth = 0.7 * r80_mm(first)
    widths = [width_mm(each, depth) for each in (dose, others[0])]
    findings.say(
        abs(widths[0] / widths[1] - 1.0) <= _OTHER_WIDTH,
        f"1 sigma of the beam {at}, {depth:.0f} mm deep, is {widths[0]:.2f} mm, {name}'s {widths[1]:.2f} mm "
        f"(within {_OTHER_WIDTH:.0%})",
    )
    noise = float(np.mean((first[hot] - second[hot]) ** 2))
    excess = float(np.mean((own[hot] - first[hot]) ** 2)) / noise
    findings.say(
        excess <= _OTHER_NOISE,
        f"the variance of depth dose {at} from {name}'s is {excess:.2f} of that between two seeds of the latter "
        f"(at most {_OTHER_NOISE:g})",
    )


def r80_mm(curve: Curve) -> float:
    """Depth at which a depth dose, its noise evened out over 3 mm, has fallen to 80 % of its maximum; or else 0."""
    curve = np.convolve(curve, np.full(_EVEN, 1.0 / _EVEN), mode="same")
    depths, peak = depths_mm(), int(curve.argmax())
    below = np.flatnonzero(curve[peak:] < 0.8 * curve[peak])
    if not len(below):
        return 0.0
    after = peak + int(below[0])
    part = (curve[after - 1] - 0.8 * curve[peak]) / (curve[after - 1] - curve[after])
    return float(depths[after - 1] + part * (depths[after] - depths[after - 1]))


def _plateau(energy_mev: float, dose: FloatArray, limits: tuple[float, float], how: str, findings: Findings) -> None:
    """Dose of one proton, integrated across the beam, over the stopping power at the energy left at that depth."""
    depths = depths_mm()
    near = (depths > _PLATEAU_MM[0]) & (depths < _PLATEAU_MM[1])
    left = energy_after_mev(energy_mev, float(depths[near].mean()))
    expected = 1e6 * stopping_power_of_water(left)
    ratio = float(depth_dose(dose)[near].mean()) / expected
    findings.say(
        limits[0] <= ratio <= limits[1],
        f"dose 2 cm deep at {energy_mev:g} MeV{how} is {ratio:.3f} of stopping power times fluence "
        f"({limits[0]:g} to {limits[1]:g})",
    )
