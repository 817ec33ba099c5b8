"""What this planner can do, and the entries that a job has pinned."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from radiarch_common.catalogue import CalibrationEntry, Catalogue, MachineEntry, WorkflowEntry, WorkflowTemplate
from radiarch_common.errors import UnavailableError
from radiarch_common.plans import Pinned, PlanSpec

from radiarch_planner.entry_files import (
    CT_CALIBRATIONS,
    MACHINES,
    WORKFLOWS,
    EntryError,
    Explained,
    by_id,
    entry_files,
    read_toml,
)
from radiarch_planner.machine import Calibration, Machine, digest, read_calibration, read_machine
from radiarch_planner.workflow_check import check_workflow

T = TypeVar("T")
_HERE = Path(__file__).parent
_NOT_OVERRIDDEN = ("prescription", "dose_grid_mm", "rbe")
"""Asked for beside the overrides, or not at all: the RBE is the workflow's."""


class CatalogueMismatchError(UnavailableError):
    """A job pins an entry that this planner has with another content, or not at all: another planner must do it."""

    def __init__(self, pinned: Pinned, found: str) -> None:
        super().__init__(f"a planner with {pinned.id} {pinned.version}", f"its hash is {pinned.sha256}; {found}")


def build_catalogue(folder: Path | None = None) -> Catalogue:
    """Everything this planner offers, each entry with the hash of its content.

    Parameters
    ----------
    folder
        The operator's own entries, beside those that come with the planner.

    Raises
    ------
    EntryError
        Naming the file that cannot be used, and what is wrong with it.
    """
    return Catalogue(
        planner_version=version("radiarch-planner"),
        workflows=tuple(_workflows(folder).values()),
        machines=tuple(_machine_entry(machine) for machine in _machines(folder).values()),
        ct_calibrations=tuple(_calibration_entry(calibration) for calibration in _calibrations(folder).values()),
    )


def find_workflow(pinned: Pinned, folder: Path | None = None) -> WorkflowTemplate:
    """The workflow that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    return _found(pinned, _workflows, folder, lambda entry: entry.pinned).template


def find_machine(pinned: Pinned, folder: Path | None = None) -> Machine:
    """The machine that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    return _found(pinned, _machines, folder, lambda machine: _machine_entry(machine).pinned)


def find_calibration(pinned: Pinned, folder: Path | None = None) -> Calibration:
    """The CT calibration that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    return _found(pinned, _calibrations, folder, lambda calibration: _calibration_entry(calibration).pinned)


def overrides_schema() -> dict[str, Any]:
    """JSON Schema of what a request may override: fields of ``PlanSpec``, none required; beams may go unnamed."""
    schema = PlanSpec.model_json_schema()
    properties = {name: value for name, value in schema["properties"].items() if name not in _NOT_OVERRIDDEN}
    definitions = {name: value for name, value in schema["$defs"].items() if name != "Prescription"}
    definitions["Beam"] = {**definitions["Beam"], "required": ["gantry_angle_deg"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Overrides",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def _found(
    pinned: Pinned, read: Callable[[Path | None], dict[str, T]], folder: Path | None, pin: Callable[[T], Pinned]
) -> T:
    try:
        entry = read(folder).get(pinned.id)
    except EntryError as error:
        # Readable at the start, and changed since: another planner may still have what was pinned.
        raise CatalogueMismatchError(pinned, f"what this planner has now is broken: {error}") from error
    if entry is None:
        raise CatalogueMismatchError(pinned, "this planner has no such entry")
    found = pin(entry)
    if found != pinned:
        raise CatalogueMismatchError(pinned, f"this planner has version {found.version} with hash {found.sha256}")
    return entry


def _workflows(folder: Path | None) -> dict[str, WorkflowEntry]:
    return by_id(entry_files(_HERE, folder, WORKFLOWS), _workflow_entry, lambda entry: entry.template.id)


def _machines(folder: Path | None) -> dict[str, Machine]:
    return by_id(entry_files(_HERE, folder, MACHINES), _machine, lambda machine: machine.file.id)


def _calibrations(folder: Path | None) -> dict[str, Calibration]:
    return by_id(entry_files(_HERE, folder, CT_CALIBRATIONS), _calibration, lambda calibration: calibration.file.id)


def _machine(path: Path) -> Machine:
    return read_machine(path.parent)


def _calibration(path: Path) -> Calibration:
    return read_calibration(path.parent)


def _workflow_entry(path: Path) -> WorkflowEntry:
    with Explained(path):
        text = path.read_bytes()
        template = WorkflowTemplate.model_validate(read_toml(text))
        check_workflow(template)
    return WorkflowEntry(template=template, sha256=digest(text), overrides_schema=overrides_schema())


def _machine_entry(machine: Machine) -> MachineEntry:
    file = machine.file
    return MachineEntry(
        id=file.id,
        version=file.version,
        sha256=machine.sha256,
        title=file.title,
        commissioned=file.commissioned,
        minimum_energy_mev=file.minimum_energy_mev,
        maximum_energy_mev=file.maximum_energy_mev,
        minimum_spot_mu=file.minimum_spot_mu,
        maximum_spot_mu=file.maximum_spot_mu,
        range_shifters=tuple(shifter.id for shifter in file.range_shifters),
    )


def _calibration_entry(calibration: Calibration) -> CalibrationEntry:
    file = calibration.file
    return CalibrationEntry(
        id=file.id,
        version=file.version,
        sha256=calibration.sha256,
        title=file.title,
        commissioned=file.commissioned,
        minimum_hu=file.minimum_hu,
        maximum_hu=file.maximum_hu,
    )
