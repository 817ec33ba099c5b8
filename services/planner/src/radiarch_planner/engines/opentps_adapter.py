# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportAttributeAccessIssue=false
# pyright: reportPrivateUsage=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false
"""The one module that imports OpenTPS, which has no types and changes the process that imports it.

At import OpenTPS makes ``~/openTPS_workspace`` and a configuration below ``HOME``, replaces the handlers of
the root logger, disables loggers and writes to stdout. It is given a home of its own while it is imported, and
the rest is undone.
"""

import contextlib
import io
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

os.environ["MPLBACKEND"] = "Agg"

import matplotlib.pyplot as _pyplot  # noqa: F401  # pyright: ignore[reportUnusedImport]  # settles its cache folder
import numpy as np
import numpy.typing as npt


@contextlib.contextmanager
def _logging_restored() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    known = [item for item in logging.Logger.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    states = [(logger, logger.disabled, logger.level, list(logger.handlers)) for logger in known]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, disabled, own_level, own_handlers in states:
            logger.disabled = disabled
            logger.setLevel(own_level)
            logger.handlers[:] = own_handlers
        logging.getLogger("opentps").setLevel(logging.ERROR)


@contextlib.contextmanager
def _home_elsewhere() -> Generator[None]:
    home = os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="radiarch-opentps-") as folder:
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home


with (
    warnings.catch_warnings(),
    _home_elsewhere(),
    _logging_restored(),
    contextlib.redirect_stdout(io.StringIO()),
):
    warnings.simplefilter("ignore")
    from opentps.core.data.CTCalibrations.MCsquareCalibration import MCsquareMolecule
    from opentps.core.data.images import CTImage
    from opentps.core.data.MCsquare import BDL, MCsquareConfig
    from opentps.core.data.plan import PlanProtonBeam, PlanProtonLayer, ProtonPlan
    from opentps.core.io import mcsquareIO
    from opentps.core.io.scannerReader import readScanner

OPENTPS_VERSION = version("opentps")
Image = CTImage
"""OpenTPS' image of a CT."""
_ONE_AT_A_TIME = threading.RLock()
_WATER_LABEL = 17
"""MCsquare's own number of its material Water."""
_WIDTHS = [
    f"{name}{gaussian}{axis}"
    for gaussian in (1, 2)
    for axis in ("x", "y")
    for name in ("spotSize", "divergence", "correlation")
]
FIELDS = ["nominalEnergy", "meanEnergy", "energySpread", "protonsMU", "weight1", "weight2", *_WIDTHS]
"""Columns of a beam data library, by OpenTPS' names."""


@dataclass(frozen=True)
class BeamData:
    """A beam data library, cut to its measured energies.

    Attributes
    ----------
    nozzle_mm, smx_mm, smy_mm
        Distances of nozzle exit and of the two scanning magnets from the isocentre.
    columns
        The library's columns by OpenTPS' names, each of shape (energies,); energies rise.
    """

    nozzle_mm: float
    smx_mm: float
    smy_mm: float
    columns: dict[str, npt.NDArray[np.float64]]

    def at(self, column: str, energy_mev: float) -> float:
        """A column at a nominal energy, interpolated linearly between rows as the engine does."""
        return float(np.interp(energy_mev, self.columns["nominalEnergy"], self.columns[column]))


@dataclass(frozen=True)
class Spots:
    """Spots of one energy for the engine: positions in mm, shape (n,), and weights that are proportional to MU."""

    energy_mev: float
    x_mm: npt.NDArray[np.float64]
    y_mm: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]


@dataclass(frozen=True)
class RangeShifter:
    """A range shifter for the engine, in or out of the beam as a whole.

    Attributes
    ----------
    material
        MCsquare's own number of it. The engine makes the slab as thick as ``wet_mm`` of water slow protons down.
    isocentre_distance_mm
        From the isocentre to the downstream edge, as seen in the engine's dose: a spot widens with it from 0 on.
    """

    id: str
    material: int
    density_g_cm3: float
    wet_mm: float
    isocentre_distance_mm: float


def read_beam_data(path: Path, minimum_mev: float, maximum_mev: float) -> BeamData:
    """A beam data library from a file in MCsquare's format, rows outside the measured energies left out.

    Its range shifters are not read: OpenTPS would open its list of materials for writing, in the installation.
    """
    lines = path.read_text().splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        copy = Path(folder) / "beam_data.txt"
        copy.write_text("".join(line for line in lines if not line.startswith(("RS_", "Range Shifter"))))
        bdl = mcsquareIO.readBDL(str(copy))
    energies = np.asarray(bdl.nominalEnergy, dtype=np.float64)
    order = np.argsort(energies, kind="stable")
    order = order[(energies[order] >= minimum_mev) & (energies[order] <= maximum_mev)]
    columns = {name: np.asarray(getattr(bdl, name), dtype=np.float64)[order] for name in FIELDS}
    return BeamData(float(bdl.nozzle_isocenter), float(bdl.smx), float(bdl.smy), columns)


def relative_stopping_power(
    scanner_folder: Path, hu: npt.NDArray[np.float64], energy_mev: float = 100.0
) -> npt.NDArray[np.float64]:
    """Proton stopping power relative to water, as the engine has both: shape of ``hu``, (n,).

    The engine takes Geant4's tables for all materials, and at an HU where the table of materials changes the
    material below.
    """
    with _quiet():
        calibration = readScanner(str(scanner_folder))
        starts, materials = calibration.getHU2MaterialConversion()
        density = np.asarray(calibration.convertHU2MassDensity(hu), dtype=np.float64)
        powers = np.array([material.stoppingPower(energy_mev) for material in materials])
        water = MCsquareMolecule.load(_WATER_LABEL, "default").stoppingPower(energy_mev)
    material_of = np.clip(np.searchsorted(np.asarray(starts), hu, side="left") - 1, 0, len(powers) - 1)
    return density * powers[material_of] / water


def water_stopping_power() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Energies in MeV and the mass stopping power of water by PSTAR, MeV cm2/g, from the engine's materials.

    The distal 80 % depth of the engine's dose in its water is the range that follows from this table, within
    0.1 mm: that from Geant4's, which it takes for transport, is 0.5 % longer, and its protons scatter.
    """
    with _quiet():
        energies, powers = MCsquareMolecule.load(_WATER_LABEL, "default").pstarSP.toList()
    return np.asarray(energies, dtype=np.float64), np.asarray(powers, dtype=np.float64)


def write_scanner(scanner_folder: Path, out: Path, density_factor: float = 1.0) -> None:
    """Write the calibration's two tables where the engine reads them, every mass density times a factor."""
    with _quiet():
        readScanner(str(scanner_folder)).write(str(out), "")
    if density_factor != 1.0:
        table = out / "HU_Density_Conversion.txt"
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
        scaled = [
            f"{row[0]}\t{float(row[1]) * density_factor:.9f}"
            for row in rows
            if len(row) >= 2 and not row[0].startswith("#")
        ]
        table.write_text("\n".join(scaled) + "\n", encoding="ascii")


def mass_stopping_power(material: int, energy_mev: float = 100.0) -> float:
    """Mass stopping power of one of MCsquare's materials relative to its water."""
    with _quiet():
        powers = [
            MCsquareMolecule.load(label, "default").stoppingPower(energy_mev) for label in (material, _WATER_LABEL)
        ]
    return float(powers[0] / powers[1])


def write_beam_data(data: BeamData, path: Path, shifter: RangeShifter | None = None) -> None:
    """Write a beam data library in MCsquare's format, with the one range shifter that the beam has, or none."""
    bdl = BDL()
    bdl.nozzle_isocenter, bdl.smx, bdl.smy = data.nozzle_mm, data.smx_mm, data.smy_mm
    for name in FIELDS:
        setattr(bdl, name, data.columns[name])
    text = bdl.mcsquareFormatted([])
    if shifter:
        # OpenTPS' own range shifter would open its list of materials for writing, in the installation.
        head, table = text.split("Beam parameters\n")
        rows = (
            "Range Shifter parameters",
            f"RS_ID = {shifter.id}",
            "RS_type = binary",
            f"RS_material = {shifter.material}",
            f"RS_density = {shifter.density_g_cm3}",
            f"RS_WET = {shifter.wet_mm}",
        )
        text = head + "\n".join(rows) + "\n\nBeam parameters\n" + table
    path.write_text(text, encoding="ascii")


def image(
    hu: npt.NDArray[np.float32], origin_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float]
) -> Image:
    """An OpenTPS image of an array of shape (z, y, x)."""
    return CTImage(
        imageArray=np.ascontiguousarray(hu.transpose(2, 1, 0)),
        origin=np.asarray(origin_mm, dtype=np.float64),
        spacing=np.asarray(spacing_mm, dtype=np.float64),
    )


def write_ct(ct: Image, path: Path) -> None:
    """Write an image that ``image`` made as the engine's CT."""
    with _quiet():
        mcsquareIO.writeCT(ct, str(path))


def write_plan(
    ct: Image,
    angles_deg: tuple[float, float],
    isocentre_mm: tuple[float, float, float],
    spots: list[Spots],
    path: Path,
    shifter: RangeShifter | None = None,
) -> None:
    """Write one beam (gantry and couch angle, IEC 61217) as the engine's plan, a range shifter in all its layers."""
    beam = PlanProtonBeam()
    beam.gantryAngle, beam.couchAngle = angles_deg
    beam.isocenterPosition = list(isocentre_mm)
    # The writer asks a range shifter for its name and type only.
    beam.rangeShifter = [SimpleNamespace(ID=shifter.id, type="binary")] if shifter else None
    for part in spots:
        layer = PlanProtonLayer(nominalEnergy=part.energy_mev)
        if shifter:
            layer.rangeShifterSettings.rangeShifterSetting = "IN"
            layer.rangeShifterSettings.isocenterToRangeShifterDistance = shifter.isocentre_distance_mm
            layer.rangeShifterSettings.rangeShifterWaterEquivalentThickness = shifter.wet_mm
        layer.appendSpot(part.x_mm.tolist(), part.y_mm.tolist(), part.weight.tolist())
        beam.appendLayer(layer)
    plan = ProtonPlan()
    plan.scanMode = "MODULATED"
    plan.appendBeam(beam)
    with _quiet():
        mcsquareIO.writePlan(plan, str(path), ct, BDL())


def write_config(values: dict[str, object], path: Path) -> None:
    """Write the engine's configuration: OpenTPS' defaults, and ``values`` over them."""
    config = MCsquareConfig()
    unknown = sorted(set(values) - set(config.config))
    if unknown:
        raise KeyError(f"MCsquare has no settings {unknown}")
    for name, value in values.items():
        config[name] = value
    path.write_text(config.mcsquareFormatted(), encoding="utf-8")


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """OpenTPS calls deprecated parts of scipy; Python's warning filters belong to no thread, hence the lock."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
