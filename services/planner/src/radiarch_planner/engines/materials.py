"""The part of the engine's material database that one simulation needs.

The engine reads every material of its list at its start, heavy metals with their large tables of nuclear reactions
included: that is half of its start. Materials that neither the CT calibration nor the beam data use are given the
files of hydrogen, which are small; no voxel has them, and the dose is the same bit for bit.
"""

from pathlib import Path

_ALWAYS = ("Water",)
"""Doses to water and stopping powers relative to it need it."""
_UNUSED = "hydrogen"


def link_materials(database: Path, hu_materials: Path, beam_data: Path, folder: Path) -> Path:
    """Make ``folder`` a database of the materials that a simulation uses, as links into the whole one; return it.

    Parameters
    ----------
    database
        The whole one, with its ``list.dat`` of numbers and names.
    hu_materials
        The calibration's table of HU and material numbers, as the engine reads it.
    beam_data
        The beam data library, as the engine reads it: range shifters have a material too.

    Raises
    ------
    ValueError
        If a material is used that the database has not.
    """
    names = {int(row[0]): row[1] for row in _rows(database / "list.dat") if row[0].isdigit()}
    numbers = {int(row[1]) for row in _rows(hu_materials)}
    numbers |= {int(row[2]) for row in _rows(beam_data) if row[0] == "RS_material"}
    missing = sorted(numbers - set(names))
    if missing:
        raise ValueError(f"the engine's database has no material number {missing[0]}")
    used = _with_components(database, {names[number] for number in numbers} | {*_ALWAYS, _UNUSED})
    folder.mkdir()
    for name in sorted(used):
        (folder / name).symlink_to(database / name, target_is_directory=True)
    lines = [f"{number} {name if name in used else _UNUSED}\n" for number, name in sorted(names.items())]
    (folder / "list.dat").write_text("".join(lines), encoding="ascii")
    return folder


def _with_components(database: Path, names: set[str]) -> set[str]:
    """The names and, of mixtures, those of their elements."""
    found = set(names)
    for name in names:
        rows = _rows(database / name / "Material_Properties.dat")
        found |= {row[2] for row in rows if row[0] == "Mixture_Component"}
    return found


def _rows(path: Path) -> list[list[str]]:
    """Words of each line of a table, without comments and empty lines."""
    lines = [line.partition("#")[0].split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return [words for words in lines if words]
