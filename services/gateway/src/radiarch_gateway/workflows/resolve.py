"""A request resolved: every number that will be used, and where it came from. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from radiarch_common.catalogue import (
    CalibrationEntry,
    Catalogue,
    GoalTemplate,
    MachineEntry,
    WorkflowEntry,
    WorkflowTemplate,
)
from radiarch_common.density import DensityOverride
from radiarch_common.derived import DerivedStructure, named_for
from radiarch_common.plans import TARGET, Origin, PlanSpec, ResolvedPlan
from radiarch_common.settings import Settings

from radiarch_gateway.errors import FieldError, InvalidRequestError
from radiarch_gateway.plans.request import Overrides, PlanRequest
from radiarch_gateway.workflows.pick import Choice, pick
from radiarch_gateway.workflows.schema import schema_errors

SCALARS = (
    "spot_spacing_mm",
    "layer_spacing_mm",
    "target_margin_mm",
    "primaries_per_spot",
    "primaries_final",
    "batches",
    "uncertainty_percent",
    "optimisation",
    "robustness",
    "let_map",
    "iterations",
    "seed",
)
"""Numbers of the workflow that an override replaces one for one."""


def resolve(request: PlanRequest, catalogue: Catalogue, settings: Settings) -> ResolvedPlan:
    """Everything a planner needs to know about a request.

    Raises
    ------
    InvalidRequestError
        Naming each field that is wrong, and what would be accepted.
    """
    workflow, machine, calibration = _named(request, catalogue, settings)
    template = workflow.entry.template
    errors = schema_errors(request.overrides, workflow.entry.overrides_schema)
    errors += _spot_errors(request.overrides, machine.entry)
    errors += _range_shifter_errors(request.overrides, machine.entry)
    if errors:
        raise InvalidRequestError(errors)
    values, origins = _spec_values(request, template, machine.entry)
    try:
        spec = PlanSpec.model_validate(values)
    except ValidationError as error:
        raise InvalidRequestError(_spec_errors(error, origins)) from error
    origins |= {"workflow": workflow.origin, "machine": machine.origin, "ct_calibration": calibration.origin}
    return ResolvedPlan(
        workflow=workflow.entry.pinned,
        machine=machine.entry.pinned,
        ct_calibration=calibration.entry.pinned,
        spec=spec,
        origins=origins,
        warnings=_warnings(machine.entry, calibration.entry),
    )


def _named(
    request: PlanRequest, catalogue: Catalogue, settings: Settings
) -> tuple[Choice[WorkflowEntry], Choice[MachineEntry], Choice[CalibrationEntry]]:
    errors: list[FieldError] = []
    workflows = {entry.template.id: entry for entry in catalogue.workflows}
    machines = {entry.id: entry for entry in catalogue.machines}
    calibrations = {entry.id: entry for entry in catalogue.ct_calibrations}
    workflow = pick("workflow", request.workflow, None, workflows, errors)
    machine = pick("machine", request.machine, settings.default_machine, machines, errors)
    calibration = pick("ct_calibration", request.ct_calibration, settings.default_ct_calibration, calibrations, errors)
    if workflow is None or machine is None or calibration is None:
        raise InvalidRequestError(errors)
    return workflow, machine, calibration


def _spot_errors(overrides: Overrides, machine: MachineEntry) -> list[FieldError]:
    least, most = overrides.minimum_spot_mu, overrides.maximum_spot_mu
    found: list[FieldError] = []
    low, high = machine.minimum_spot_mu, machine.maximum_spot_mu
    if least is not None and not low <= least < (most or high):
        found.append(_spot_error("minimum", least, machine, f"from {low:g} to below {most or high:g} MU"))
    if most is not None and not (least or low) < most <= high:
        found.append(_spot_error("maximum", most, machine, f"from above {least or low:g} to {high:g} MU"))
    return found


def _spot_error(which: str, asked: float, machine: MachineEntry, allowed: str) -> FieldError:
    return FieldError(
        field=f"overrides.{which}_spot_mu",
        message=f"{asked:g} MU is not what machine '{machine.id}' can deliver.",
        allowed=allowed,
    )


def _range_shifter_errors(overrides: Overrides, machine: MachineEntry) -> list[FieldError]:
    known = ("auto", "none", *machine.range_shifters)
    return [
        FieldError(
            field=f"overrides.beams.{place}.range_shifter",
            message=f"Machine '{machine.id}' has no range shifter '{beam.range_shifter}'.",
            allowed="one of: " + ", ".join(known),
        )
        for place, beam in enumerate(overrides.beams or ())
        if beam.range_shifter not in known
    ]


def _spec_values(
    request: PlanRequest, template: WorkflowTemplate, machine: MachineEntry
) -> tuple[dict[str, Any], dict[str, Origin]]:
    asked, overrides = request.prescription, request.overrides
    values: dict[str, Any] = {"rbe": template.rbe}
    origins: dict[str, Origin] = {"rbe": "workflow"}

    def choose(name: str, requested: object, otherwise: object, origin: Origin) -> None:
        values[name] = otherwise if requested is None else requested
        origins[name] = origin if requested is None else "request"

    choose("beams", _beams(overrides), template.beams, "workflow")
    choose("isocentre_mm", overrides.isocentre_mm, None, "case")
    choose("objectives", _objectives(overrides, asked.target), _from_template(request, template), "workflow")
    choose("goals", _goals(overrides, asked.target), _goals_from_template(request, template), "workflow")
    values["derived_structures"] = _derived(overrides, template, asked.target)
    origins["derived_structures"] = "workflow" if overrides.derived_structures is None else "request"
    choose("body_from_ct", overrides.body_from_ct, template.body_from_ct, "workflow")
    densities = _densities(overrides.density_overrides, asked.target)
    choose("density_overrides", densities, _densities(template.density_overrides, asked.target), "workflow")
    choose("dose_grid_mm", request.dose_grid_mm, template.dose_grid_mm, "workflow")
    choose("minimum_spot_mu", overrides.minimum_spot_mu, machine.minimum_spot_mu, "machine")
    choose("maximum_spot_mu", overrides.maximum_spot_mu, machine.maximum_spot_mu, "machine")
    for name in SCALARS:
        choose(name, getattr(overrides, name), getattr(template, name), "workflow")
    if values["uncertainty_percent"] and overrides.primaries_final and overrides.uncertainty_percent is None:
        # Who asks for protons alone asks for just these, whatever uncertainty the workflow aims at.
        values["uncertainty_percent"], origins["uncertainty_percent"] = None, "request"
    values["prescription"] = {
        "target": asked.target,
        "dose_gy_rbe": asked.dose_gy_rbe,
        "fractions": asked.fractions,
        "normalisation": asked.normalisation or template.normalisation,
    }
    origins |= {f"prescription.{name}": "request" for name in ("target", "dose_gy_rbe", "fractions")}
    origins["prescription.normalisation"] = "request" if asked.normalisation else "workflow"
    return values, origins


def _beams(overrides: Overrides) -> list[dict[str, Any]] | None:
    if overrides.beams is None:
        return None
    return [
        {**beam.model_dump(), "name": beam.name or f"Beam {number}"}
        for number, beam in enumerate(overrides.beams, start=1)
    ]


def _objectives(overrides: Overrides, target: str) -> list[dict[str, Any]] | None:
    if overrides.objectives is None:
        return None
    return [{**o.model_dump(), "structure": _structure(o.structure, target)} for o in overrides.objectives]


def _goals(overrides: Overrides, target: str) -> list[dict[str, Any]] | None:
    if overrides.goals is None:
        return None
    return [{**g.model_dump(), "structure": _structure(g.structure, target)} for g in overrides.goals]


def _derived(overrides: Overrides, template: WorkflowTemplate, target: str) -> tuple[DerivedStructure, ...]:
    """The request's, then the workflow's but those that the request has replaced."""
    asked = tuple(overrides.derived_structures or ())
    names = {structure.name for structure in asked}
    kept = tuple(structure for structure in template.derived_structures if structure.name not in names)
    return tuple(named_for(structure, {TARGET: target}) for structure in asked + kept)


def _densities(asked: Sequence[DensityOverride] | None, target: str) -> list[DensityOverride] | None:
    if asked is None:
        return None
    return [o.model_copy(update={"structure": _structure(o.structure, target)}) for o in asked]


def _from_template(request: PlanRequest, template: WorkflowTemplate) -> list[dict[str, Any]]:
    asked = request.prescription
    return [
        {
            **objective.model_dump(exclude={"dose_percent"}),
            "structure": _structure(objective.structure, asked.target),
            "dose_gy_rbe": _percent(objective.dose_percent, asked.dose_gy_rbe),
        }
        for objective in template.objectives
    ]


def _goals_from_template(request: PlanRequest, template: WorkflowTemplate) -> list[dict[str, Any]]:
    """Doses are percentages of the prescription; volumes (V and CV metrics) stand as they are."""
    asked = request.prescription

    def absolute(goal: GoalTemplate, value: float | None) -> float | None:
        in_gy = goal.metric.endswith("[Gy]")
        return value if value is None or not in_gy else _percent(value, asked.dose_gy_rbe)

    return [
        {
            **goal.model_dump(),
            "structure": _structure(goal.structure, asked.target),
            "value": absolute(goal, goal.value),
            "limit": absolute(goal, goal.limit),
        }
        for goal in template.goals
    ]


def _percent(percent: float, dose_gy_rbe: float) -> float:
    # To a micro-Gy: 95 % of 60 Gy is 57 Gy, not 56.99999999999999.
    return round(percent * dose_gy_rbe / 100.0, 6)


def _structure(name: str, target: str) -> str:
    return target if name == TARGET else name


def _spec_errors(error: ValidationError, origins: Mapping[str, Origin]) -> list[FieldError]:
    return [_spec_error(found["loc"], found["msg"], origins) for found in error.errors()]


def _spec_error(place: Sequence[int | str], message: str, origins: Mapping[str, Origin]) -> FieldError:
    path = ".".join(str(step) for step in place)
    origin = origins.get(path) or origins.get(str(place[0]) if place else "")
    if path == "robustness" and origins.get("objectives") == "request":
        origin = "request"  # it is the request's objectives that it does not fit
    if origin == "request":
        prefix = "" if path.startswith(("prescription", "dose_grid_mm")) else "overrides."
        return FieldError(field=prefix + path, message=message)
    return FieldError(field=path, message=f"{message} (the value comes from the {origin} for this prescription)")


def _warnings(machine: MachineEntry, calibration: CalibrationEntry) -> tuple[str, ...]:
    found: list[str] = []
    if not machine.commissioned:
        found.append(f"Machine '{machine.id}' ({machine.title}) is not commissioned: not for treatment.")
    if not calibration.commissioned:
        found.append(f"CT calibration '{calibration.id}' ({calibration.title}) is not commissioned: not for treatment.")
    return tuple(found)
