"""Tables that entries of the catalogue bring along, checked before any engine reads them."""

from itertools import pairwise
from pathlib import Path

from radiarch_planner.dose_grid import AIR_HU
from radiarch_planner.engines.wheel import materials

TABLES = ("HU_Density_Conversion.txt", "HU_Material_Conversion.txt")
"""Of a CT calibration: mass density in g/cm3, and material, by HU."""

_HEAD = "NominalEnergy"
_COLUMNS = 18
_LEAST_ROWS = 2


def check_beam_data(path: Path, minimum_mev: float, maximum_mev: float) -> None:
    """Check a beam data library in MCsquare's format, and that it holds the energies of the machine.

    Raises
    ------
    ValueError
        If it is no such table, its energies do not rise, or the machine's reach beyond them.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [number for number, line in enumerate(lines) if _HEAD in line]
    if not heads:
        raise ValueError(f"it has no line with '{_HEAD}' before its table of energies")
    rows = [_numbers(line, number) for number, line in enumerate(lines[heads[0] + 1 :], heads[0] + 2) if line.strip()]
    short = [number for number, row in rows if len(row) < _COLUMNS]
    if short:
        raise ValueError(f"line {short[0]} has fewer than {_COLUMNS} numbers")
    energies = [row[0] for _, row in rows]
    _check_rise("the nominal energies", energies)
    inside = [energy for energy in energies if minimum_mev <= energy <= maximum_mev]
    if not energies or minimum_mev < energies[0] or maximum_mev > energies[-1]:
        measured = f"{energies[0]:g} to {energies[-1]:g} MeV" if energies else "no energy"
        raise ValueError(
            f"it holds {measured}, and the machine's minimum_energy_mev and maximum_energy_mev are {minimum_mev:g} and "
            f"{maximum_mev:g}"
        )
    if len(inside) < _LEAST_ROWS:
        raise ValueError(f"fewer than two of its energies lie between {minimum_mev:g} and {maximum_mev:g} MeV")


def check_calibration_tables(density: Path, material: Path, minimum_hu: float, maximum_hu: float) -> None:
    """Check the two tables of a CT calibration in MCsquare's format.

    Raises
    ------
    ValueError
        If HU do not rise or densities fall, a material is unknown, or the tables do not cover the calibration's HU.
    """
    hu, densities = _two_columns(density)
    _check_rise(f"the HU in {density.name}", hu)
    if min(densities) <= 0 or any(one > other for one, other in pairwise(densities)):
        raise ValueError(f"the densities in {density.name} must be positive and must not fall")
    if hu[0] > minimum_hu or hu[-1] < maximum_hu:
        raise ValueError(
            f"{density.name} reaches from {hu[0]:g} to {hu[-1]:g} HU, and minimum_hu and maximum_hu are {minimum_hu:g} "
            f"and {maximum_hu:g}"
        )
    starts, labels = _two_columns(material)
    _check_rise(f"the HU in {material.name}", starts)
    # Below it every voxel is calculated as air at -1000 HU.
    lowest = max(minimum_hu, AIR_HU)
    if starts[0] > lowest:
        raise ValueError(f"{material.name} begins at {starts[0]:g} HU, and materials are needed from {lowest:g} HU on")
    unknown = sorted({label for label in labels if label not in materials()})
    if unknown:
        raise ValueError(f"{material.name} names material {unknown[0]:g}, which MCsquare has not")


def calibration_densities(tables: Path) -> tuple[list[float], list[float]]:
    """HU, rising, and mass density in g/cm3, never falling, of a CT calibration's tables."""
    return _two_columns(tables / TABLES[0])


def _two_columns(path: Path) -> tuple[list[float], list[float]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [_numbers(line, number) for number, line in enumerate(lines, 1) if line.split("#")[0].strip()]
    wrong = [number for number, row in rows if len(row) != 2]
    if wrong or not rows:
        raise ValueError(f"{path.name} must have rows of two numbers; see line {wrong[0] if wrong else 1}")
    return [row[0] for _, row in rows], [row[1] for _, row in rows]


def _numbers(line: str, number: int) -> tuple[int, list[float]]:
    try:
        return number, [float(word) for word in line.split("#", maxsplit=1)[0].split()]
    except ValueError as error:
        raise ValueError(f"line {number} holds something that is no number: '{line.strip()}'") from error


def _check_rise(what: str, values: list[float]) -> None:
    for one, other in pairwise(values):
        if one >= other:
            raise ValueError(f"{what} must rise: {other:g} comes after {one:g}")
