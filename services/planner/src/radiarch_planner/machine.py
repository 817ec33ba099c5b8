"""A treatment machine and a CT calibration, as the catalogue names them and the engines read them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from radiarch_common.plans import Identifier, Model
from radiarch_common.result import BeamRangeShifter

from radiarch_planner.engines.wheel import data_path, materials
from radiarch_planner.entry_files import Explained, read_toml
from radiarch_planner.entry_tables import TABLES, check_beam_data, check_calibration_tables

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\\]*$")]
"""DICOM's LO."""


class DeliveryTimes(Model):
    """How fast a machine delivers, for estimates; ``origin`` says who measured it, where and when."""

    energy_switch_s: float = Field(ge=0)
    spot_settling_s: float = Field(ge=0)
    mu_per_s: float = Field(gt=0)
    origin: str = Field(min_length=1)

    @property
    def in_words(self) -> str:
        """The numbers and where they come from."""
        return (
            f"{self.energy_switch_s:g} s between energies, {1000 * self.spot_settling_s:g} ms for each spot, "
            f"{self.mu_per_s:g} MU/s ({self.origin})"
        )


class RangeShifterFile(Model):
    """A slab that the machine can put into a beam, for all its layers.

    Attributes
    ----------
    id
        At most 16 characters: it becomes DICOM's Range Shifter ID.
    material
        One of MCsquare's materials, by its number or its name.
    wet_mm
        Water-equivalent thickness.
    isocentre_distance_mm
        From the isocentre to the downstream edge, which is the one towards the patient.
    """

    id: Annotated[Identifier, StringConstraints(max_length=16)]
    description: ShortText
    material: int
    density_g_cm3: float = Field(gt=0, le=25)
    wet_mm: float = Field(gt=0)
    isocentre_distance_mm: float = Field(gt=0)

    @field_validator("id")
    @classmethod
    def _not_a_word_of_requests(cls, name: str) -> str:
        if name in ("auto", "none"):
            raise ValueError(f"'{name}' means something else in a request")
        return name

    @field_validator("material", mode="before")
    @classmethod
    def _number_of(cls, material: object) -> object:
        known = materials()
        if material in known:
            return material
        numbers = [number for number, name in known.items() if name == material]
        if not numbers:
            raise ValueError(f"MCsquare has no material {material!r}")
        return numbers[0]

    @property
    def in_beam(self) -> BeamRangeShifter:
        """What a plan says of it."""
        return BeamRangeShifter(
            id=self.id,
            description=self.description,
            wet_mm=self.wet_mm,
            isocentre_distance_mm=self.isocentre_distance_mm,
        )


class MachineFile(Model):
    """What ``machine.toml`` says.

    Attributes
    ----------
    beam_data
        A file in MCsquare's format beside this one, or ``opentps:...`` inside the OpenTPS wheel.
    minimum_energy_mev, maximum_energy_mev
        The measured energies: rows of the beam data outside of them are not used, and no plan either.
    energy_step_mev
        What the machine can deliver between them. Beam data between two measured rows are interpolated linearly.
    minimum_spot_mu, maximum_spot_mu
        Per fraction.
    field_mm
        Largest field, along x and y of the gantry system at the isocentre plane; its middle is the axis.
    delivery
        Left out when nobody measured it; there is then no estimate of delivery times.
    range_shifters
        Those named here; any that the beam data file describes are not read.
    """

    id: Identifier
    version: Annotated[str, StringConstraints(min_length=1)]
    title: str
    description: str
    commissioned: bool
    beam_data: str
    minimum_energy_mev: float = Field(gt=0)
    maximum_energy_mev: float = Field(gt=0)
    energy_step_mev: float = Field(gt=0)
    minimum_spot_mu: float = Field(gt=0)
    maximum_spot_mu: float = Field(gt=0)
    field_mm: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    delivery: DeliveryTimes | None = None
    range_shifters: tuple[RangeShifterFile, ...] = ()

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        for name in ("energy_mev", "spot_mu"):
            least, most = (float(getattr(self, f"{end}_{name}")) for end in ("minimum", "maximum"))
            if least >= most:
                raise ValueError(f"minimum_{name} of {least:g} must be lower than maximum_{name} of {most:g}")
        return self

    @model_validator(mode="after")
    def _range_shifters_differ(self) -> Self:
        names = [shifter.id for shifter in self.range_shifters]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"more than one of range_shifters has the id '{doubled[0]}'")
        return self

    @model_validator(mode="after")
    def _protons_get_through(self) -> Self:
        # Bragg and Kleeman: 0.022 mm of water at 1 MeV, to the power of 1.77; within 2 % from 70 to 250 MeV.
        range_mm = 0.022 * self.maximum_energy_mev**1.77
        for shifter in self.range_shifters:
            if shifter.wet_mm >= range_mm:
                raise ValueError(
                    f"range_shifters: wet_mm of '{shifter.id}' is {shifter.wet_mm:g}, and protons of "
                    f"{self.maximum_energy_mev:g} MeV go {range_mm:.0f} mm in water"
                )
        return self


class ScannerFile(Model):
    """A scanner that a CT calibration was measured on; what is not known is left out."""

    manufacturer: Annotated[str, StringConstraints(min_length=1)]
    model: str | None = None
    kvp: float | None = Field(default=None, gt=0, le=200)


class CalibrationFile(Model):
    """What ``calibration.toml`` says; ``tables`` is a folder with MCsquare's two HU tables.

    ``scanners`` are those it was measured on. Without any it is a calibration of no scanner, and every plan says so.
    """

    id: Identifier
    version: Annotated[str, StringConstraints(min_length=1)]
    title: str
    description: str
    commissioned: bool
    tables: str
    minimum_hu: float
    maximum_hu: float
    scanners: tuple[ScannerFile, ...] = ()

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.minimum_hu >= self.maximum_hu:
            raise ValueError(f"minimum_hu of {self.minimum_hu:g} must be lower than maximum_hu of {self.maximum_hu:g}")
        return self


@dataclass(frozen=True)
class Machine:
    """A machine with its beam data file; ``sha256`` covers both."""

    file: MachineFile
    sha256: str
    beam_data: Path


@dataclass(frozen=True)
class Calibration:
    """A CT calibration with the folder of its tables; ``sha256`` covers all of it."""

    file: CalibrationFile
    sha256: str
    tables: Path


def read_machine(folder: Path) -> Machine:
    """The machine described in a folder. Raises EntryError, naming the file, when it cannot be used."""
    path = folder / "machine.toml"
    with Explained(path):
        text = path.read_bytes()
        file = MachineFile.model_validate(read_toml(text))
        data = data_path(file.beam_data, folder)
    with Explained(data):
        check_beam_data(data, file.minimum_energy_mev, file.maximum_energy_mev)
        return Machine(file, digest(text, data.read_bytes()), data)


def read_calibration(folder: Path) -> Calibration:
    """The CT calibration described in a folder. Raises EntryError, naming the file, when it cannot be used."""
    path = folder / "calibration.toml"
    with Explained(path):
        text = path.read_bytes()
        file = CalibrationFile.model_validate(read_toml(text))
        tables = data_path(file.tables, folder)
    with Explained(tables):
        density, material = (tables / name for name in TABLES)
        check_calibration_tables(density, material, file.minimum_hu, file.maximum_hu)
        return Calibration(file, digest(text, density.read_bytes(), material.read_bytes()), tables)


def digest(*parts: bytes) -> str:
    """SHA-256 over several files."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()
