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
    """The file or folder that a catalogue entry in ``folder`` names: ``opentps:...`` or relative to the entry."""
    if name.startswith(WHEEL):
        return mcsquare_folder() / name.removeprefix(WHEEL)
    return folder / name
