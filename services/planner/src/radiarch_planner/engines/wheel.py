"""Where the OpenTPS wheel keeps its engine and its data, found without importing OpenTPS."""

from importlib.util import find_spec
from pathlib import Path

WHEEL = "opentps:"
"""Prefix of a path in a catalogue file that means: inside the OpenTPS wheel."""


def mcsquare_folder() -> Path:
    """The folder with MCsquare's binaries, materials, scanners and beam data, as pip installed it."""
    spec = find_spec("opentps")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("opentps is not installed")
    for place in spec.submodule_search_locations:
        folder = Path(place) / "core" / "processing" / "doseCalculation" / "protons" / "MCsquare"
        if (folder / "Materials" / "list.dat").is_file():
            return folder
    raise ModuleNotFoundError("this installation of opentps has no MCsquare inside")


def data_path(name: str, folder: Path) -> Path:
    """The file or folder that a catalogue entry in ``folder`` names: ``opentps:...`` or relative to the entry.

    Raises ValueError when it lies outside of the wheel's data, or of the entry's own folder.
    """
    inside = mcsquare_folder() if name.startswith(WHEEL) else folder
    path = (inside / name.removeprefix(WHEEL)).resolve()
    if not path.is_relative_to(inside.resolve()):
        raise ValueError(f"'{name}' lies outside of {'the OpenTPS wheel' if inside != folder else 'this folder'}")
    return path


def materials() -> dict[int, str]:
    """MCsquare's materials: number to name."""
    lines = (mcsquare_folder() / "Materials" / "list.dat").read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines]
    return {int(row[0]): row[1] for row in rows if len(row) == 2 and row[0].isdigit()}


def radiation_length_g_cm2(material: str) -> float:
    """Radiation length of one of MCsquare's materials."""
    text = (mcsquare_folder() / "Materials" / material / "Material_Properties.dat").read_text(encoding="utf-8")
    (row,) = (line.split() for line in text.splitlines() if line.startswith("Radiation_Length"))
    return float(row[1])
