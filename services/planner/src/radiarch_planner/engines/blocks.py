"""The unit of the engine's work: a block of one beam's spots, or one batch of its final dose.

A block's content, its seed included, depends on the plan alone and never on how many processes there are, so
that the same plan gives the same dose on any machine. A block needs nothing but itself and the patient: it can
be computed anywhere, and kept.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import Beam
from radiarch_common.result import BeamRangeShifter

from radiarch_planner.engines.base import PlacedBeam, PlacedLayer

SPOTS_PER_BLOCK = 100
"""Starting an engine takes about 0.13 s, a spot of 1000 protons about 0.025 s: 5 % of a block goes to starting."""


@dataclass(frozen=True)
class Block:
    """Consecutive spots of one beam, and what stands in its way."""

    beam_number: int
    index: int
    beam: Beam
    isocentre_mm: tuple[float, float, float]
    layers: tuple[PlacedLayer, ...]
    seed: int
    primaries_per_spot: int
    range_shifter: BeamRangeShifter | None = None

    @property
    def count(self) -> int:
        """Number of spots."""
        return sum(len(layer.xy_mm) for layer in self.layers)

    @property
    def energies_mev(self) -> npt.NDArray[np.float64]:
        """Nominal energy of each spot: shape (count,)."""
        return np.concatenate([np.full(len(layer.xy_mm), layer.energy_mev) for layer in self.layers])


def blocks_of(placed: PlacedBeam, seed: int, primaries_per_spot: int) -> list[Block]:
    """A beam's spots in blocks of ``SPOTS_PER_BLOCK``, in the order of the spots."""
    blocks: list[Block] = []
    open_layers: list[PlacedLayer] = []
    room = SPOTS_PER_BLOCK

    def close() -> None:
        nonlocal open_layers, room
        if open_layers:
            index = len(blocks)
            blocks.append(
                Block(
                    placed.number, index, placed.beam, placed.isocentre_mm, tuple(open_layers),
                    seed_of(seed, "beamlets", placed.number, index), primaries_per_spot, placed.range_shifter,
                )
            )  # fmt: skip
        open_layers, room = [], SPOTS_PER_BLOCK

    for layer in placed.layers:
        rest = layer.xy_mm
        while len(rest):
            part, rest = rest[:room], rest[room:]
            open_layers.append(PlacedLayer(layer.energy_mev, part))
            room -= len(part)
            if room == 0:
                close()
    close()
    return blocks


def seed_of(seed: int, purpose: str, beam_number: int, index: int) -> int:
    """A seed of its own for each piece of work, in 1..2**31 - 1 (0 would mean the time of day to the engine)."""
    text = f"{seed} {purpose} {beam_number} {index}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % (2**31 - 1) + 1
