"""Where a scanned beam can stop its protons: the machine's energies, its field, and its range shifters.

A range shifter of water-equivalent thickness w takes w from every range. What it does to the beam's width is the
engine's concern.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Beam
from radiarch_common.result import BeamRangeShifter

Array = npt.NDArray[np.float64]

_OUT_OF_REACH = 0.01
"""Share of the target that a beam may fail to reach; more would show in the dose of 98 % of the volume."""
_LEAST_RANGE_MM = 2.0
"""Straggling spreads the ends of protons behind a range shifter by about 1 mm: less range than twice that is none."""
_AUTO, _NONE = "auto", "none"


@dataclass(frozen=True)
class Reach:
    """What a machine can send, in water.

    Attributes
    ----------
    energies_mev
        Nominal energies that it can deliver, rising: shape (n,).
    ranges_mm
        Depth of the distal 80 % dose in water of each: shape (n,), rising.
    source_mm
        Distances of the scanning magnets (x, y) from the isocentre.
    field_mm
        Largest field along x and y at the isocentre plane, its middle on the axis.
    range_shifters
        What the machine can put into a beam, the thinnest first.
    """

    energies_mev: Array
    ranges_mm: Array
    source_mm: tuple[float, float]
    field_mm: tuple[float, float] = (inf, inf)
    range_shifters: tuple[BeamRangeShifter, ...] = ()

    def behind(self, shifter: BeamRangeShifter | None) -> "Reach":
        """The energies that get through a range shifter, and what is left of their ranges."""
        if shifter is None:
            return self
        left = self.ranges_mm - shifter.wet_mm
        through = left >= _LEAST_RANGE_MM
        return replace(self, energies_mev=self.energies_mev[through], ranges_mm=left[through])

    def missed(self, depths_mm: npt.NDArray[np.float32], layer_spacing_mm: float) -> tuple[float, float]:
        """Shares of the depths that lie before the lowest range and beyond the highest."""
        if len(self.ranges_mm) == 0:
            return 1.0, 1.0
        shallow = float(np.mean(depths_mm < self.ranges_mm[0] - layer_spacing_mm / 2))
        return shallow, float(np.mean(depths_mm > self.ranges_mm[-1]))


def range_shifter_for(
    beam: Beam, depths_mm: npt.NDArray[np.float32], reach: Reach, layer_spacing_mm: float
) -> BeamRangeShifter | None:
    """What a beam needs in its way, or ``None`` for nothing: the thinnest with which it reaches the target.

    Parameters
    ----------
    depths_mm
        Water-equivalent depths in the target along the beam; its margin may stay unreached.

    Raises
    ------
    RefusedError
        If the beam cannot stop protons in all of the target with any that the request allows.
    """
    options = _options(beam, reach)
    for option in options:
        if max(reach.behind(option).missed(depths_mm, layer_spacing_mm)) <= _OUT_OF_REACH:
            return option
    raise _out_of_reach(beam, depths_mm, reach, layer_spacing_mm)


def refuse_collision(
    beam: Beam, shifter: BeamRangeShifter | None, surface_mm: npt.NDArray[np.float64], room_mm: float = 0.0
) -> None:
    """Refuse a beam whose range shifter would stand in the patient.

    Parameters
    ----------
    surface_mm
        Height above the isocentre plane, towards the source, at which each ray meets the patient: shape (n,). What
        lies beside the spots' field is for the room to see.
    room_mm
        How much nearer the patient may come by an error of the setup.
    """
    nearest = float(surface_mm.max(initial=-inf)) + room_mm
    if shifter is None or nearest < shifter.isocentre_distance_mm:
        return
    raise RefusedError(
        f"Range shifter '{shifter.id}' of beam '{beam.name}' ends {shifter.isocentre_distance_mm:g} mm before the "
        f"isocentre, and the patient reaches {nearest:.0f} mm towards it{' with setup errors' * (room_mm > 0)}: they "
        "would collide.",
        "Put the isocentre nearer to the surface that the beam enters by, choose other angles, or ask for a range "
        "shifter that stands farther away, or for 'none'.",
    )


def _options(beam: Beam, reach: Reach) -> tuple[BeamRangeShifter | None, ...]:
    if beam.range_shifter == _AUTO:
        return (None, *reach.range_shifters)
    if beam.range_shifter == _NONE:
        return (None,)
    found = [shifter for shifter in reach.range_shifters if shifter.id == beam.range_shifter]
    if not found:
        known = ", ".join((_AUTO, _NONE, *(shifter.id for shifter in reach.range_shifters)))
        raise RefusedError(
            f"Beam '{beam.name}' asks for range shifter '{beam.range_shifter}', which the machine has not.",
            f"Choose one of: {known}.",
        )
    return (found[0],)


def _out_of_reach(
    beam: Beam, depths_mm: npt.NDArray[np.float32], reach: Reach, layer_spacing_mm: float
) -> RefusedError:
    options = _options(beam, reach)
    missed = [reach.behind(option).missed(depths_mm, layer_spacing_mm) for option in options]
    shallow, deep = (min(shares) for shares in zip(*missed, strict=True))
    if max(shallow, deep) <= _OUT_OF_REACH:
        what, other = "deep in parts and too shallow in others", "within one of these ranges"
    else:
        what, other = ("shallow", "deeper") if shallow >= deep else ("deep", "less deep")
    reached = " or ".join(_reached(reach.behind(option), option) for option in options)
    return RefusedError(
        f"The target is too {what} for beam '{beam.name}': it lies {depths_mm.min() / 10:.1f} to "
        f"{depths_mm.max() / 10:.1f} cm deep in water-equivalent tissue, and the machine reaches {reached}.",
        f"Choose gantry and couch angles along which the target lies {other}{_other_shifters(beam, reach)}.",
    )


def _reached(behind: Reach, shifter: BeamRangeShifter | None) -> str:
    ranges, energies = behind.ranges_mm / 10, behind.energies_mev
    through = f" through range shifter '{shifter.id}'" if shifter else ""
    if len(ranges) == 0:
        return f"nothing{through}"
    return f"{ranges[0]:.1f} to {ranges[-1]:.1f} cm ({energies[0]:g} to {energies[-1]:g} MeV){through}"


def _other_shifters(beam: Beam, reach: Reach) -> str:
    """What else could be asked for, where the request has bound the planner's hands."""
    if beam.range_shifter == _AUTO or not reach.range_shifters:
        return ""
    names = ", ".join(f"'{shifter.id}'" for shifter in reach.range_shifters)
    return f", or let the planner choose the range shifter with '{_AUTO}' (the machine has {names})"
