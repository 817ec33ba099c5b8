"""A plan's scenarios by the real engine: the dose moves by the setup error, and denser tissue stops protons earlier.

One beam from the left (gantry 90: protons travel towards -x) on the core of the phantom, a cylinder along z, 150 mm
deep in water; few protons, a coarse grid. Fails when an error is left out, has the wrong sign or axis, or when a
scenario is given another's metrics.
"""

from typing import Any

import pytest
from radiarch_common.derived import CombinedStructure, DerivedStructure, MarginStructure, Sides
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Beam, Goal, Objective, Prescription
from radiarch_common.result import ScenarioResult
from radiarch_common.robustness import Robustness
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL

CORE: dict[str, Any] = SMALL | {
    "beams": (Beam(name="G90", gantry_angle_deg=90.0),),
    "prescription": Prescription(target="Core", dose_gy_rbe=50.0, fractions=25, normalisation="D50% = 100 %"),
    "dose_grid_mm": 5.0,
    "primaries_final": 50_000,
}
ERRORS = Robustness(setup_mm=(0.0, 0.0, 20.0), range_percent=10.0, optimise="nominal", primaries_per_scenario=50_000)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("scenarios"), dose_grid_mm=5.0)


def probes() -> tuple[DerivedStructure, ...]:
    """15 mm beside the core: towards the head, towards the feet, and behind it as the beam sees it."""
    found: list[DerivedStructure] = []
    for name, sides in (
        ("Head", Sides(superior_mm=15.0)),
        ("Feet", Sides(inferior_mm=15.0)),
        ("Beyond", Sides(right_mm=15.0)),
    ):
        found.append(MarginStructure(name=f"Core and {name}", kind="margin", of="Core", sides=sides))
        found.append(CombinedStructure(name=name, kind="subtraction", of=(f"Core and {name}", "Core")))
    return tuple(found)


@pytest.mark.slow
def test_scenarios_move_the_dose_as_they_say(bench: Bench) -> None:
    names = ("Head", "Feet", "Beyond")
    draft = bench.plan_of(
        bench.case,
        **CORE,
        derived_structures=probes(),
        objectives=(Objective(structure="Core", kind="DUniform", dose_gy_rbe=50.0, weight=10.0, robust=True),),
        goals=tuple(Goal(structure=name, metric="Mean[Gy]", op="<=", value=30.0) for name in names),
        robustness=ERRORS,
    )
    scenarios = draft.manifest.scenarios
    found = {each.scenario.name: each for each in scenarios}
    assert list(found) == ["nominal", "setup z +20 mm", "setup z -20 mm", "density +10 %", "density -10 %"]
    assert scenarios[0].goals == draft.manifest.goals
    assert {name for each in scenarios for name in each.metrics} == {"Core", *names}

    def mean(scenario: str, structure: str) -> float:
        return found[scenario].metrics[structure]["Mean[Gy]"]

    # The isocentre 20 mm towards the head: the whole of the one probe is irradiated, the other not at all.
    assert mean("setup z +20 mm", "Head") > 35.0
    assert mean("setup z +20 mm", "Feet") < 3.0
    assert mean("setup z -20 mm", "Feet") > 35.0
    assert mean("setup z -20 mm", "Head") < 3.0
    assert max(mean("nominal", "Head"), mean("nominal", "Feet")) < 20.0
    # A tenth of 160 mm: what lies beyond the target is irradiated when its way is that much shorter.
    assert mean("density -10 %", "Beyond") > mean("nominal", "Beyond") + 10.0
    assert mean("density +10 %", "Beyond") < mean("nominal", "Beyond")
    assert found["density +10 %"].metrics["Core"]["D95%[Gy]"] < 0.7 * found["nominal"].metrics["Core"]["D95%[Gy]"]
    for name, verdicts in {
        "setup z +20 mm": ["missed", "met", "met"],
        "setup z -20 mm": ["met", "missed", "met"],
    }.items():
        assert _verdicts(found[name]) == verdicts


@pytest.mark.slow
def test_a_robust_plan_withstands_what_another_does_not(bench: Bench) -> None:
    """Same spots, normalised to the same nominal D95 of a CTV without a margin; the range is 5 % short or long.

    Fails when robust objectives do not see their scenarios: the worst scenario of both plans would be alike.
    """
    worst: dict[str, float] = {}
    for optimise in ("nominal", "worst case"):
        errors = {"setup_mm": (0.0, 0.0, 0.0), "range_percent": 5.0, "primaries_per_scenario": 20_000}
        draft = bench.plan_of(
            bench.case,
            **CORE
            | {
                "beams": (Beam(name="G90", gantry_angle_deg=90.0), Beam(name="G270", gantry_angle_deg=270.0)),
                "prescription": CORE["prescription"].model_copy(update={"normalisation": "D95% = 95 %"}),
                "target_margin_mm": 6.0,
                "primaries_per_spot": 50,
                "primaries_final": 20_000,
            },
            objectives=(
                Objective(structure="Core", kind="DUniform", dose_gy_rbe=50.0, weight=100.0, robust=True),
                Objective(structure="BODY", kind="DMean", dose_gy_rbe=0.0, weight=1.0),
            ),
            robustness=Robustness.model_validate(errors | {"optimise": optimise}),
        )
        found = [each.metrics["Core"]["D95%[Gy]"] for each in draft.manifest.scenarios]
        assert found[0] == pytest.approx(0.95 * 50.0, rel=0.01)
        assert len(found) == 3
        costs = [each.robust_cost is not None for each in draft.manifest.scenarios]
        assert costs == [optimise == "worst case"] * 3
        worst[optimise] = min(found) / 50.0
    assert worst["worst case"] > worst["nominal"] + 0.02


def _verdicts(scenario: ScenarioResult) -> list[str]:
    return [goal.verdict for goal in scenario.goals]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "objectives": (
                    Objective(structure="Core", kind="DMin", dose_gy_rbe=50.0),
                    Objective(structure="BODY", kind="DMax", dose_gy_rbe=45.0),
                )
            },
            "'Core' lies in BODY",
        ),
        (
            {
                "derived_structures": (CombinedStructure(name="Nothing", kind="intersection", of=("Core", "PTV")),),
                "objectives": (Objective(structure="Nothing", kind="DMax", dose_gy_rbe=5.0),),
            },
            "'Nothing'",
        ),
        ({"objectives": (Objective(structure="Lung", kind="DMax", dose_gy_rbe=5.0),)}, "no structure 'Lung'"),
        ({"goals": (Goal(structure="Core", metric="D101%[Gy]", op=">=", value=1.0),)}, "more than 100 %"),
    ],
    ids=["contradiction with BODY by its name", "empty structure", "no such structure", "no such metric"],
)
def test_refused_by_name_before_an_engine_starts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    """Starting the engine, or placing spots for it, would end the test with another error."""
    for step in ("place", "beamlets", "final_dose"):
        monkeypatch.delattr(type(bench.engine), step)
    with pytest.raises(RefusedError, match=said):
        bench.plan_of(bench.case, **CORE | changes)
