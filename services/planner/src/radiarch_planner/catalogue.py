"""What this planner can do, and the entries that a job has pinned."""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from radiarch_common.catalogue import CalibrationEntry, Catalogue, MachineEntry, WorkflowEntry, WorkflowTemplate
from radiarch_common.errors import UnavailableError
from radiarch_common.plans import Pinned, PlanSpec

from radiarch_planner.machine import Calibration, Machine, digest, read_calibration, read_machine

_HERE = Path(__file__).parent
_NOT_OVERRIDDEN = ("prescription", "dose_grid_mm", "rbe")
"""Asked for beside the overrides, or not at all: the RBE is the workflow's."""


class CatalogueMismatchError(UnavailableError):
    """A job pins an entry that this planner has with another content, or not at all: another planner must do it."""

    def __init__(self, pinned: Pinned, found: str) -> None:
        super().__init__(f"a planner with {pinned.id} {pinned.version}", f"its hash is {pinned.sha256}; {found}")


def build_catalogue() -> Catalogue:
    """Everything this planner offers, each entry with the hash of its content."""
    return Catalogue(
        planner_version=version("radiarch-planner"),
        workflows=tuple(_workflow_entry(path) for path in sorted((_HERE / "workflows").glob("*.toml"))),
        machines=tuple(_machine_entry(machine) for machine in _machines()),
        ct_calibrations=tuple(_calibration_entry(calibration) for calibration in _calibrations()),
    )


def find_workflow(pinned: Pinned) -> WorkflowTemplate:
    """The workflow that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    entries = {entry.template.id: entry for entry in build_catalogue().workflows}
    entry = entries.get(pinned.id)
    _check(pinned, entry.pinned if entry else None)
    return entries[pinned.id].template


def find_machine(pinned: Pinned) -> Machine:
    """The machine that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    machines = {machine.file.id: machine for machine in _machines()}
    machine = machines.get(pinned.id)
    _check(pinned, _machine_entry(machine).pinned if machine else None)
    return machines[pinned.id]


def find_calibration(pinned: Pinned) -> Calibration:
    """The CT calibration that a job pins. Raises CatalogueMismatchError when this planner has not exactly that."""
    calibrations = {calibration.file.id: calibration for calibration in _calibrations()}
    calibration = calibrations.get(pinned.id)
    _check(pinned, _calibration_entry(calibration).pinned if calibration else None)
    return calibrations[pinned.id]


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


def _machines() -> list[Machine]:
    return [read_machine(path.parent) for path in sorted((_HERE / "machines").glob("*/machine.toml"))]


def _calibrations() -> list[Calibration]:
    return [read_calibration(path.parent) for path in sorted((_HERE / "ct_calibrations").glob("*/calibration.toml"))]


def _workflow_entry(path: Path) -> WorkflowEntry:
    text = path.read_bytes()
    template = WorkflowTemplate.model_validate(tomllib.loads(text.decode()))
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


def _check(pinned: Pinned, found: Pinned | None) -> None:
    if found is None:
        raise CatalogueMismatchError(pinned, "this planner has no such entry")
    if found != pinned:
        raise CatalogueMismatchError(pinned, f"this planner has version {found.version} with hash {found.sha256}")
