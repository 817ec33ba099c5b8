"""What cannot be planned is refused by name, before an engine starts where that can be told by then."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.case import Case
from radiarch_common.derived import MarginStructure
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Beam, Goal, Objective, Prescription
from radiarch_common.watch import QuietWatch
from radiarch_standalone.phantom import CENTRE_MM
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL

TINY: dict[str, Any] = SMALL | {
    "spot_spacing_mm": 15.0,
    "layer_spacing_mm": 15.0,
    "primaries_per_spot": 50,
    "primaries_final": 10_000,
    "dose_grid_mm": 5.0,
    "maximum_spot_mu": 20.0,
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, dose_grid_mm=5.0)


@pytest.mark.parametrize(
    ("dose_gy_rbe", "fractions", "wrong", "advice"),
    [
        (150.0, 1, r"20 MU in each spot the target gets 9\d % less", "more fractions"),
        (0.1, 100, r"\d+ % more than", "fewer"),
    ],
)
def test_a_prescription_beyond_the_spot_limits_is_refused(
    bench: Bench, dose_gy_rbe: float, fractions: int, wrong: str, advice: str
) -> None:
    asked = Prescription(target="PTV", dose_gy_rbe=dose_gy_rbe, fractions=fractions, normalisation="D50% = 100 %")
    with pytest.raises(RefusedError, match=wrong) as refusal:
        bench.plan(**TINY, prescription=asked)
    assert advice in refusal.value.hint


def test_a_field_beyond_the_machines_is_refused(bench: Bench) -> None:
    """Isocentre 30 cm off the target towards the head: its spots would lie beyond half of 40 cm."""
    x, y, z = CENTRE_MM
    with pytest.raises(RefusedError, match="field of 300 x 400 mm reaches 150 x 200 mm") as refusal:
        bench.plan(**TINY, isocentre_mm=(x, y, z + 300.0))
    assert "isocentre" in refusal.value.hint


class Dense(Case):
    """A phantom of 1.8 times the density of water: the far side of the target lies beyond 225 MeV."""

    def ct_hu(self) -> npt.NDArray[np.int16]:
        hu = super().ct_hu()
        return np.where(hu > -500, hu + 800, hu).astype(np.int16)


def emptied(case: Case, name: str) -> Case:
    """The same case, nothing drawn of one structure."""
    structures = tuple(
        s.model_copy(update={"volume_cc": 0.0}) if s.name == name else s for s in case.manifest.structures
    )
    return Case(case._objects, case.key, case.manifest.model_copy(update={"structures": structures}))  # pyright: ignore[reportPrivateUsage]


def denser(case: Case) -> Case:
    return Dense(case._objects, case.key, case.manifest)  # pyright: ignore[reportPrivateUsage]


def whole(case: Case) -> Case:
    return case


PTV = Objective(structure="PTV", kind="DUniform", dose_gy_rbe=50.0)
OF_CORE = Objective(structure="Core", kind="DMax", dose_gy_rbe=20.0)
AROUND = MarginStructure(name="Around", kind="margin", of="PTV", margin_mm=5.0, crop_to="BODY")
GOAL_OF_CORE = Goal(structure="Core", metric="D10%[Gy]", op="<=", value=25.0)
LATERAL = (Beam(name="G90", gantry_angle_deg=90.0),)
NO_VOLUME = "has no volume: its contours enclose nothing"

REFUSED: dict[str, tuple[Callable[[Case], Case], dict[str, Any], float, str]] = {
    "empty target": (lambda case: emptied(case, "PTV"), {}, 64.0, f"'PTV' is the target and {NO_VOLUME}"),
    "objective of an empty structure": (
        lambda case: emptied(case, "Core"),
        {"objectives": (PTV, OF_CORE)},
        64.0,
        f"'Core' has an objective and {NO_VOLUME}",
    ),
    "goal of an empty structure": (
        lambda case: emptied(case, "Core"),
        {"goals": (GOAL_OF_CORE,)},
        64.0,
        f"'Core' has a goal and {NO_VOLUME}",
    ),
    "goal of no structure": (
        whole,
        {"goals": (GOAL_OF_CORE.model_copy(update={"structure": "Cord"}),)},
        64.0,
        "'Cord'",
    ),
    "goal of more than all": (
        whole,
        {"goals": (GOAL_OF_CORE.model_copy(update={"metric": "D110%[Gy]"}),)},
        64.0,
        "'D110%.* more than 100 %",
    ),
    "target denied by an organ around it": (
        whole,
        {"derived_structures": (AROUND,), "objectives": (PTV, OF_CORE.model_copy(update={"structure": AROUND.name}))},
        64.0,
        "'PTV' and 'Around' have .* that is all of 'PTV'",
    ),
    "target too deep": (denser, {"beams": LATERAL}, 64.0, "G90.*deep|deep.*G90"),
    "volumes that do not fit": (whole, {"dose_grid_mm": 1.0}, 0.5, r"million voxels of its dose grid .* 0 GB"),
    "beamlets that do not fit": (
        whole,
        {"spot_spacing_mm": 2.0, "layer_spacing_mm": 1.0, "primaries_per_spot": 1_000_000},
        1.0,
        r"\d+ spots of 1000000 simulated protons, .* 1 GB",
    ),
}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("phantom"), dose_grid_mm=5.0)
    bench.engine.cost(QuietWatch())  # tested at its first use on a machine: that is no plan's engine
    return bench


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_before_an_engine_starts(phantom: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a process is started for what could have been told without, or the reason does not name it."""

    def start(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    change, asked, memory_gb, reason = REFUSED[name]
    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr("radiarch_planner.patient.machine_memory_bytes", lambda: memory_gb * 1e9)
    monkeypatch.setattr("radiarch_planner.optimum.machine_memory_bytes", lambda: memory_gb * 1e9)
    with pytest.raises(RefusedError, match=reason) as refusal:
        phantom.plan_of(change(phantom.case), **TINY | asked)
    assert refusal.value.hint, "a refusal says what to do"
