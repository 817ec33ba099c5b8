"""A treatment machine and a CT calibration, as the catalogue names them and the engines read them."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from radiarch_common.plans import Identifier, Model

from radiarch_planner.engines.wheel import data_path


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
    """

    id: Identifier
    version: str
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


class CalibrationFile(Model):
    """What ``calibration.toml`` says; ``tables`` is a folder with MCsquare's two HU tables."""

    id: Identifier
    version: str
    title: str
    description: str
    commissioned: bool
    tables: str
    minimum_hu: float
    maximum_hu: float


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


TABLES = ("HU_Density_Conversion.txt", "HU_Material_Conversion.txt")


def read_machine(folder: Path) -> Machine:
    """The machine described in a folder."""
    text = (folder / "machine.toml").read_bytes()
    file = MachineFile.model_validate(tomllib.loads(text.decode()))
    data = data_path(file.beam_data, folder)
    return Machine(file, digest(text, data.read_bytes()), data)


def read_calibration(folder: Path) -> Calibration:
    """The CT calibration described in a folder."""
    text = (folder / "calibration.toml").read_bytes()
    file = CalibrationFile.model_validate(tomllib.loads(text.decode()))
    tables = data_path(file.tables, folder)
    return Calibration(file, digest(text, *((tables / name).read_bytes() for name in TABLES)), tables)


def digest(*parts: bytes) -> str:
    """SHA-256 over several files."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()
