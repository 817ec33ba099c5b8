"""What a plan needs of memory, estimated before it starts; what cannot fit is refused.

The numbers are measured: non-zeros of a beamlet in water for protons of 124 to 166 MeV on grids of 1.5, 2.5 and
5 mm with 100 to 5000 protons a spot, all voxels of the patient asked for. They hold within a third, and rather
ask for too much.
"""

from pathlib import Path

import numpy as np
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid

_GB = 1e9
_PROGRAM_BYTES = 0.6 * _GB
"""Python, its libraries, and the tables they read."""
_PER_CT_VOXEL = 6
"""The CT as stored, unpacked, and once more while it is checked."""
_PER_GRID_VOXEL = 100
"""CT, stopping power, distances, structures, dose and its variance, what is stored of them."""
_PER_NON_ZERO = 16
"""Value and row of each, twice: blocks are joined, and small spots left out, with the old beside the new."""
_NON_ZEROS = 10_000.0
"""Of one spot of 1000 protons with a range of 150 mm on voxels of 2.5 mm, and a sixth more."""
_SHARE = 0.9
"""Of the machine's memory; the rest is the system's and the engine's."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def grid_bytes(ct: Grid, grid: Grid) -> float:
    """What a plan needs for its volumes."""
    return _PROGRAM_BYTES + _PER_CT_VOXEL * float(np.prod(ct.size)) + _PER_GRID_VOXEL * float(np.prod(grid.size))


def beamlet_bytes(grid: Grid, rows: int, spots: int, range_mm: float, primaries: int) -> float:
    """What the beamlets need.

    Parameters
    ----------
    rows
        Number of voxels that they are wanted in.
    range_mm
        Mean range of the spots in water.
    primaries
        Protons simulated for each spot.
    """
    finer = (2.5**3 / 1000.0 / grid.voxel_volume_cc) ** 0.63
    each = _NON_ZEROS * finer * (range_mm / 150.0) * (primaries / 1000.0) ** 0.5
    return _PER_NON_ZERO * spots * min(each, float(rows))


def tally_bytes(grid: Grid, beams: int, *, let_map: bool) -> float:
    """What adding up the batches of the final dose needs: sums in 64 bits of every beam, and of the plan.

    Beams are cropped, so that this is rather too much.
    """
    sums = 3 if let_map else 2
    return 8.0 * sums * (beams + 1) * float(np.prod(grid.size))


def refuse_large_grid(ct: Grid, grid: Grid, machine_bytes: float) -> None:
    """Refuse a dose grid whose volumes alone do not fit. Raises RefusedError."""
    needed = grid_bytes(ct, grid)
    if needed <= _SHARE * machine_bytes:
        return
    raise RefusedError(
        f"The plan needs about {needed / _GB:.0f} GB of memory for {np.prod(grid.size) / 1e6:.0f} million voxels of "
        f"its dose grid ({_spacing(grid)} mm), and this planner has {machine_bytes / _GB:.0f} GB.",
        "Ask for a coarser dose grid, or give the planner more memory.",
    )


def refuse_many_beamlets(
    volumes: float, beamlets: float, spots: int, primaries: int, machine_bytes: float, scenarios: int = 1
) -> None:
    """Refuse beamlets (of all scenarios) that do not fit beside the volumes; both in bytes. Raises RefusedError."""
    needed = volumes + beamlets
    if needed <= _SHARE * machine_bytes:
        return
    several = scenarios > 1
    each = f" in each of {scenarios} scenarios" if several else ""
    raise RefusedError(
        f"The plan needs about {needed / _GB:.0f} GB of memory for {spots} spots of {primaries} simulated protons"
        f"{each}, and this planner has {machine_bytes / _GB:.0f} GB.",
        "Ask for a larger spot or layer spacing, fewer protons per spot, a coarser dose grid"
        f"{', fewer scenarios' if several else ''} or fewer beams, or give the planner more memory.",
    )


def refuse_large_tally(volumes: float, tally: float, beams: int, machine_bytes: float) -> None:
    """Refuse a final dose whose sums do not fit beside the volumes; both in bytes. Raises RefusedError."""
    needed = volumes + tally
    if needed <= _SHARE * machine_bytes:
        return
    raise RefusedError(
        f"The final dose of {beams} beams needs about {needed / _GB:.0f} GB of memory, and this planner has "
        f"{machine_bytes / _GB:.0f} GB.",
        "Ask for a coarser dose grid, fewer beams or no LET map, or give the planner more memory.",
    )


def machine_memory_bytes() -> float:
    """Memory of this machine, or of the container that the planner runs in when that is less."""
    limits = [_installed_bytes()]
    for path in map(Path, _CGROUP_LIMITS):
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(float(text))
    return min(limits)


def _installed_bytes() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return np.inf
    return next((float(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemTotal:")), np.inf)


def _spacing(grid: Grid) -> str:
    return " x ".join(f"{step:g}" for step in grid.spacing_mm)
