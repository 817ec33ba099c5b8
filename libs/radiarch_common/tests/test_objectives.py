"""Objectives that no dose can fulfil are refused by name, and only those."""

from typing import Any

import pytest
from pydantic import ValidationError
from radiarch_common.objectives import Objective, contradiction
from radiarch_common.plans import PlanSpec
from radiarch_common.robustness import Robustness
from radiarch_testkit.jobs import resolved_plan


def asked(text: str) -> tuple[Objective, ...]:
    """``PTV DVHMin 60 95, Core DMax 20``: structure, kind, dose, volume."""
    found: list[Objective] = []
    for part in text.split(", "):
        structure, kind, dose, *volume = part.split()
        fields: dict[str, Any] = {"structure": structure, "kind": kind, "dose_gy_rbe": float(dose)}
        found.append(Objective.model_validate(fields | {"volume_percent": float(volume[0]) if volume else None}))
    return tuple(found)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("PTV DMin 60, PTV DMax 55", "DMin 60", "DMax 55"),
        ("PTV DMax 55, PTV DMin 60", "DMin 60", "DMax 55"),
        ("PTV DUniform 60, PTV DMax 59.9", "DUniform 60", "DMax 59.9"),
        ("PTV DMin 60, PTV DUniform 59", "DMin 60", "DUniform 59"),
        ("PTV DUniform 60, PTV DUniform 50", "DUniform 60", "DUniform 50"),
        ("PTV DVHMin 60 5, PTV DMax 50", "DVHMin 60 Gy(RBE) in 5 %", "DMax 50"),
        ("PTV DMin 60, PTV DVHMax 50 90", "DMin 60", "DVHMax 50 Gy(RBE) in 90 %"),
        ("PTV DVHMin 60 50, PTV DVHMax 50 40", "DVHMin 60 Gy(RBE) in 50 %", "DVHMax 50 Gy(RBE) in 40 %"),
        ("PTV DMin 60, PTV DMean 50", "DMin 60", "DMean 50"),
        ("Lung DVHMin 20 50, Lung DMean 9", "DVHMin 20 Gy(RBE) in 50 %", "DMean 9"),
        ("PTV DMin 60, {body} DMax 55", "DMin 60", "DMax 55"),
        ("PTV DVHMin 60 95, {body} DMax 55", "DVHMin 60 Gy(RBE) in 95 %", "DMax 55"),
    ],
)
def test_what_no_dose_can_fulfil_is_named(text: str, first: str, second: str) -> None:
    said = contradiction(asked(text))
    assert said is not None
    assert f"{first} " in said
    assert f" {second}" in said
    assert said.index(first) < said.index(second)


@pytest.mark.parametrize(
    "text",
    [
        "PTV DUniform 60, PTV DMin 58.8, {body} DMax 61.8, {body} DMean 0",
        "PTV DMin 60, PTV DMax 60",
        "PTV DMin 60, PTV DMean 0",
        "PTV DMin 60, Core DMax 20",
        "PTV DMin 60, {body} DVHMax 20 10",
        "PTV DMin 60, {body} DUniform 60",
        "Lung DVHMin 20 40, Lung DVHMax 15 60",
        "Lung DVHMin 20 40, Lung DMean 9",
        "PTV DVHMin 60 95, PTV DVHMax 63 5",
    ],
)
def test_what_a_dose_can_fulfil_is_let_pass(text: str) -> None:
    assert contradiction(asked(text)) is None


def test_body_by_the_name_that_the_case_gives_it() -> None:
    objectives = asked("PTV DMin 60, Skin DMax 55")
    assert contradiction(objectives) is None
    assert "'PTV' lies in BODY" in (contradiction(objectives, "Skin") or "")


def spec_with(**changes: object) -> dict[str, Any]:
    return resolved_plan().spec.model_dump() | changes


def test_a_spec_refuses_them_at_its_objectives() -> None:
    objectives = [o.model_dump() for o in asked("PTV DMin 60, PTV DMax 55")]
    with pytest.raises(ValidationError, match="contradict each other") as refusal:
        PlanSpec.model_validate(spec_with(objectives=objectives))
    assert refusal.value.errors()[0]["loc"] == ("objectives",)


def test_robust_objectives_need_errors_to_withstand() -> None:
    """The message names the objective; with errors given the same spec is taken."""
    objectives = [asked("PTV DMin 60")[0].model_copy(update={"robust": True}).model_dump()]
    with pytest.raises(ValidationError, match="DMin 60") as refusal:
        PlanSpec.model_validate(spec_with(objectives=objectives))
    assert refusal.value.errors()[0]["loc"] == ("robustness",)
    errors = {"setup_mm": [3, 3, 3], "range_percent": 3, "optimise": "worst case", "primaries_per_scenario": 10_000}
    assert PlanSpec.model_validate(spec_with(objectives=objectives, robustness=errors)).robustness is not None


@pytest.mark.parametrize(
    ("kind", "volume", "said"),
    [("DVHMin", None, "needs a volume_percent"), ("DMax", 30.0, "takes no volume_percent")],
)
def test_a_volume_where_it_is_needed_and_nowhere_else(kind: str, volume: float | None, said: str) -> None:
    fields = {"structure": "PTV", "kind": kind, "dose_gy_rbe": 60.0, "volume_percent": volume}
    with pytest.raises(ValidationError, match=said):
        Objective.model_validate(fields)


def test_errors_of_zero_are_no_errors() -> None:
    """Fails when a plan may call itself robust against nothing."""
    with pytest.raises(ValueError, match="all errors of setup and range are 0"):
        Robustness(setup_mm=(0.0, 0.0, 0.0), range_percent=0.0, optimise="worst case", primaries_per_scenario=10_000)
