"""Nothing clinical is silent: every number is in the resolved plan, with where it came from."""

from typing import Any

import pytest
from radiarch_common.catalogue import Catalogue
from radiarch_common.plans import PlanSpec, ResolvedPlan
from radiarch_common.settings import Settings
from radiarch_gateway.errors import InvalidRequestError
from radiarch_gateway.plans.request import Overrides, PlanRequest
from radiarch_gateway.workflows.resolve import resolve

UNSET = Settings(default_machine=None, default_ct_calibration=None)


def _resolved(body: dict[str, Any], catalogue: Catalogue, settings: Settings = UNSET) -> ResolvedPlan:
    return resolve(PlanRequest.model_validate(body), catalogue, settings)


def _refused(body: dict[str, Any], catalogue: Catalogue, settings: Settings = UNSET) -> dict[str, tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as refusal:
        _resolved(body, catalogue, settings)
    return {error.field: (error.message, error.allowed or "") for error in refusal.value.errors}


def test_every_leaf_has_an_origin(body: dict[str, Any], catalogue: Catalogue) -> None:
    """A number added to the contract without an origin fails here."""
    plan = _resolved(body, catalogue)
    leaves = set(PlanSpec.model_fields) - {"prescription"}
    leaves |= {f"prescription.{name}" for name in ("target", "dose_gy_rbe", "fractions", "normalisation")}
    assert set(plan.origins) == leaves | {"workflow", "machine", "ct_calibration"}


def test_what_is_not_asked_comes_from_workflow_machine_and_case(body: dict[str, Any], catalogue: Catalogue) -> None:
    """The numbers of the catalogue arrive unchanged, percentages as Gy(RBE) of this prescription."""
    plan = _resolved(body, catalogue)
    spec, origins = plan.spec, plan.origins
    assert (spec.prescription.normalisation, origins["prescription.normalisation"]) == ("D50% = 100 %", "workflow")
    assert (spec.isocentre_mm, origins["isocentre_mm"]) == (None, "case")
    assert (spec.minimum_spot_mu, origins["minimum_spot_mu"]) == (0.02, "machine")
    assert (spec.maximum_spot_mu, origins["maximum_spot_mu"]) == (50.0, "machine")
    assert (spec.spot_spacing_mm, spec.layer_spacing_mm, spec.target_margin_mm) == (5.5, 4.5, 6.5)
    assert (spec.primaries_per_spot, spec.primaries_final) == (700, 2_000_000)
    assert (spec.batches, spec.iterations, spec.seed, spec.rbe) == (12, 77, 42, 1.1)
    assert [beam.name for beam in spec.beams] == ["G90", "G270"]
    assert [(o.structure, o.dose_gy_rbe) for o in spec.objectives] == [("PTV", 60.6), ("{body}", 63.0)]
    assert [(g.structure, g.metric, g.value, g.limit, g.priority) for g in spec.goals] == [
        ("PTV", "D95%[Gy]", 57.0, 54.0, 2),
        ("{body}", "V30Gy[%]", 40.0, None, 1),
        ("{body}", "CV10Gy[cc]", 700.0, 650.0, 1),
    ]
    assert {origins[name] for name in ("workflow", "machine", "ct_calibration")} == {"request"}
    assert plan.machine.sha256 == "1" * 64
    assert plan.ct_calibration.sha256 == "3" * 64
    assert plan.workflow.sha256 == "4" * 64


def test_what_is_asked_wins_and_says_so(body: dict[str, Any], catalogue: Catalogue) -> None:
    """Overrides arrive as given; only they are marked as the request's."""
    body["dose_grid_mm"] = 2.0
    body["prescription"]["normalisation"] = "D95% = 100 %"
    body["overrides"] = {
        "beams": [{"gantry_angle_deg": 30, "couch_angle_deg": 15}, {"gantry_angle_deg": 200, "name": "Post"}],
        "isocentre_mm": [1.0, -2.0, 3.0],
        "objectives": [{"structure": "{target}", "kind": "DMin", "dose_gy_rbe": 59.0}],
        "goals": [],
        "spot_spacing_mm": 4,
        "minimum_spot_mu": 0.03,
        "seed": 7,
    }
    plan = _resolved(body, catalogue)
    spec = plan.spec
    assert [(b.name, b.gantry_angle_deg, b.couch_angle_deg) for b in spec.beams] == [
        ("Beam 1", 30.0, 15.0),
        ("Post", 200.0, 0.0),
    ]
    assert spec.isocentre_mm == (1.0, -2.0, 3.0)
    assert [(o.structure, o.dose_gy_rbe) for o in spec.objectives] == [("PTV", 59.0)]
    assert spec.goals == ()
    assert (spec.dose_grid_mm, spec.spot_spacing_mm, spec.minimum_spot_mu, spec.seed) == (2.0, 4.0, 0.03, 7)
    asked = {name for name, origin in plan.origins.items() if origin == "request"}
    assert asked == {
        "workflow",
        "machine",
        "ct_calibration",
        "prescription.target",
        "prescription.dose_gy_rbe",
        "prescription.fractions",
        "prescription.normalisation",
        "dose_grid_mm",
        *body["overrides"],
    }


def test_a_deployment_may_choose_machine_and_calibration(body: dict[str, Any], catalogue: Catalogue) -> None:
    """The embedded default plans on the generic machine, and says whose choice that was and what it is worth."""
    del body["machine"], body["ct_calibration"]
    plan = _resolved(body, catalogue, Settings(default_machine="generic", default_ct_calibration="scanner-1"))
    assert plan.origins["machine"] == plan.origins["ct_calibration"] == "deployment"
    assert len(plan.warnings) == 2
    assert all("not commissioned" in warning for warning in plan.warnings)


def test_a_commissioned_machine_is_not_warned_of(body: dict[str, Any], catalogue: Catalogue) -> None:
    """Only the calibration is uncommissioned here."""
    (warning,) = _resolved(body, catalogue).warnings
    assert "Scanner 1" in warning


@pytest.mark.parametrize("name", ["machine", "ct_calibration"])
def test_machine_and_calibration_must_be_named(name: str, body: dict[str, Any], catalogue: Catalogue) -> None:
    """No silent default; the answer lists what there is."""
    del body[name]
    message, allowed = _refused(body, catalogue)[name]
    assert "Must be named" in message
    assert allowed == {"machine": "one of: generic, room-1", "ct_calibration": "one of: scanner-1"}[name]


def test_every_unknown_name_is_listed_at_once(body: dict[str, Any], catalogue: Catalogue) -> None:
    """One answer, so that a user corrects all of it."""
    body |= {"workflow": "photon-arc", "machine": "room-9", "ct_calibration": "scanner-9"}
    found = _refused(body, catalogue)
    assert list(found) == ["workflow", "machine", "ct_calibration"]
    assert "'room-9'" in found["machine"][0]


@pytest.mark.parametrize(
    ("overrides", "field", "allowed"),
    [
        ({"minimum_spot_mu": 0.01}, "overrides.minimum_spot_mu", "from 0.02 to below 50 MU"),
        ({"spot_spacing_mm": 2.5}, "overrides.spot_spacing_mm", "at least 3, at most 12"),
        ({"iterations": 5}, "overrides.iterations", "one of: "),
    ],
    ids=["below the machine's", "outside the workflow's range", "not taken by the workflow"],
)
def test_overrides_stay_within_machine_and_workflow(
    overrides: dict[str, Any], field: str, allowed: str, body: dict[str, Any], catalogue: Catalogue
) -> None:
    """What the contract would allow may still be too much for this machine or workflow."""
    found = _refused(body | {"overrides": overrides}, catalogue)
    assert list(found) == [field]
    assert found[field][1].startswith(allowed)


def test_an_objective_out_of_bounds_through_the_prescription_names_the_workflow(
    body: dict[str, Any], catalogue: Catalogue
) -> None:
    """The user sees that it is the workflow's percentage of a huge prescription, not a field of the request."""
    entry = catalogue.workflows[0]
    objective = entry.template.objectives[0].model_copy(update={"dose_percent": 200.0})
    template = entry.template.model_copy(update={"objectives": (objective,)})
    huge = catalogue.model_copy(update={"workflows": (entry.model_copy(update={"template": template}),)})
    body["prescription"]["dose_gy_rbe"] = 150.0
    found = _refused(body, huge)
    assert "workflow" in found["objectives.0.dose_gy_rbe"][0]


def test_overrides_have_the_contracts_bounds() -> None:
    """A bound loosened here would let a request through that the planner cannot read."""
    ours = Overrides.model_json_schema()["properties"]
    theirs = PlanSpec.model_json_schema()["properties"]
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems")
    for name in Overrides.model_fields:
        mine = next(choice for choice in ours[name]["anyOf"] if choice.get("type") != "null")
        other = next((c for c in theirs[name].get("anyOf", ()) if c.get("type") != "null"), theirs[name])
        assert {key: mine.get(key) for key in bounds} == {key: other.get(key) for key in bounds}, name


def test_derived_structures_of_request_and_workflow(body: dict[str, Any], catalogue: Catalogue) -> None:
    """The request's come first, so that the workflow's can be made of them; the same name replaces."""
    ring = {"name": "Ring", "kind": "ring", "of": "{target}", "from_mm": 2.0, "to_mm": 20.0, "crop_to": "{body}"}
    [entry] = catalogue.workflows
    template = entry.template.model_validate(entry.template.model_dump() | {"derived_structures": [ring]})
    offered = catalogue.model_copy(update={"workflows": (entry.model_copy(update={"template": template}),)})
    plan = _resolved(body, offered)
    [of_workflow] = plan.spec.derived_structures
    assert (of_workflow.recipe, plan.origins["derived_structures"]) == (
        "ring of 2 to 20 mm around PTV, inside {body}",
        "workflow",
    )
    margin = {"name": "PTV", "kind": "margin", "of": "CTV", "margin_mm": 5.0}
    body["overrides"] = {"derived_structures": [margin]}
    plan = _resolved(body, offered)
    assert [s.recipe for s in plan.spec.derived_structures] == ["CTV +5 mm", of_workflow.recipe]
    assert plan.origins["derived_structures"] == "request"
    body["overrides"] = {"derived_structures": [{**margin, "name": "Ring"}]}
    assert [s.recipe for s in _resolved(body, offered).spec.derived_structures] == ["CTV +5 mm"]


@pytest.mark.parametrize(
    ("derived", "field"),
    [
        ([{"name": "A", "kind": "margin", "of": "CTV", "margin_mm": 5.0}] * 2, "overrides.derived_structures"),
        ([{"name": "A", "kind": "union", "of": ["A", "CTV"]}], "overrides.derived_structures"),
    ],
)
def test_derived_structures_that_contradict_each_other(
    body: dict[str, Any], catalogue: Catalogue, derived: list[dict[str, Any]], field: str
) -> None:
    body["overrides"] = {"derived_structures": derived}
    [(found, (message, _))] = _refused(body, catalogue).items()
    assert "'A'" in message
    assert found == field


def test_a_body_is_made_only_when_it_is_asked_for(body: dict[str, Any], catalogue: Catalogue) -> None:
    assert _resolved(body, catalogue).spec.body_from_ct is None
    body["overrides"] = {"body_from_ct": {"threshold_hu": -250}}
    plan = _resolved(body, catalogue)
    assert plan.spec.body_from_ct is not None
    assert (plan.spec.body_from_ct.threshold_hu, plan.origins["body_from_ct"]) == (-250.0, "request")


def test_two_beams_of_one_name_are_refused(body: dict[str, Any], catalogue: Catalogue) -> None:
    """Dose and MU are told by beam: a reader must know which one."""
    body["overrides"] = {"beams": [{"name": "LAO", "gantry_angle_deg": angle} for angle in (40.0, 50.0)]}
    found = _refused(body, catalogue)
    assert list(found) == ["overrides.beams"]
    assert "LAO" in found["overrides.beams"][0]


def test_density_overrides_are_said(body: dict[str, Any], catalogue: Catalogue) -> None:
    assert _resolved(body, catalogue).spec.density_overrides == ()
    body["overrides"] = {"density_overrides": [{"structure": "{target}", "hu": 40}]}
    plan = _resolved(body, catalogue)
    assert [(o.structure, o.hu) for o in plan.spec.density_overrides] == [("PTV", 40.0)]
    assert plan.origins["density_overrides"] == "request"


def _asked(*objectives: tuple[str, str, float], **more: object) -> dict[str, Any]:
    names = ("structure", "kind", "dose_gy_rbe")
    return {"objectives": [dict(zip(names, each, strict=True)) | more for each in objectives]}


@pytest.mark.parametrize(
    ("overrides", "field", "said"),
    [
        (
            _asked(("{target}", "DMin", 60.0), ("PTV", "DMax", 55.0)),
            "overrides.objectives",
            "DMin 60 Gy(RBE) of 'PTV' and DMax 55 Gy(RBE) of 'PTV' contradict each other",
        ),
        (
            _asked(("{target}", "DUniform", 60.0), ("{body}", "DMax", 55.0)),
            "overrides.objectives",
            "DUniform 60 Gy(RBE) of 'PTV' and DMax 55 Gy(RBE) of '{body}' contradict each other",
        ),
        (_asked(("{target}", "DMin", 60.0), robust=True), "overrides.robustness", "DMin 60 Gy(RBE) of 'PTV' is robust"),
    ],
    ids=["same structure", "target in BODY", "robust against nothing"],
)
def test_objectives_that_cannot_be_fulfilled_are_named(
    overrides: dict[str, Any], field: str, said: str, body: dict[str, Any], catalogue: Catalogue
) -> None:
    """Refused with the request, before there is a job; both objectives are in the message."""
    found = _refused(body | {"overrides": overrides}, catalogue)
    assert list(found) == [field]
    assert said in found[field][0]


def test_protons_asked_for_alone_are_the_aim(body: dict[str, Any], catalogue: Catalogue) -> None:
    """Fails when a workflow's aim for an uncertainty adds to, or cuts from, the protons that a request names."""
    aiming = _with_template(catalogue, uncertainty_percent=1.0)
    plan = _resolved(body, aiming)
    assert (plan.spec.uncertainty_percent, plan.origins["uncertainty_percent"]) == (1.0, "workflow")
    body["overrides"] = {"primaries_final": 3_000_000}
    plan = _resolved(body, aiming)
    assert (plan.spec.primaries_final, plan.spec.uncertainty_percent) == (3_000_000, None)
    assert plan.origins["uncertainty_percent"] == "request"
    body["overrides"] = {"primaries_final": 3_000_000, "uncertainty_percent": 2.5}
    plan = _resolved(body, aiming)
    assert (plan.spec.primaries_final, plan.spec.uncertainty_percent) == (3_000_000, 2.5)


def _with_template(catalogue: Catalogue, **changes: float) -> Catalogue:
    workflows = tuple(
        entry.model_copy(
            update={"template": entry.template.model_copy(update=changes), "overrides_schema": {"type": "object"}}
        )
        for entry in catalogue.workflows
    )
    return catalogue.model_copy(update={"workflows": workflows})
