"""The same request again, one gantry angle changed, the cache wiped: which engine processes start, which dose comes.

The engine's processes are counted by themselves, as they start.
"""

from dataclasses import dataclass

import pytest
from radiarch_common.plans import Beam
from radiarch_common.result import ResultDraft
from radiarch_testkit.counted_engine import CountedEngine
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL

pytestmark = pytest.mark.slow

LEFT, RIGHT = Beam(name="left", gantry_angle_deg=90.0), Beam(name="right", gantry_angle_deg=270.0)
FEW = SMALL | {
    "dose_grid_mm": 5.0,
    "spot_spacing_mm": 14.0,
    "layer_spacing_mm": 14.0,
    "primaries_per_spot": 50,
    "primaries_final": 2_000,
    "iterations": 10,
}


@dataclass(frozen=True)
class Planned:
    """A plan, the pieces that engine processes were started for, and what the job said."""

    draft: ResultDraft
    started: list[str]
    said: list[str]

    @property
    def bits(self) -> tuple[str, bytes, bytes]:
        """What is compared bit for bit."""
        draft = self.draft
        return draft.manifest.digest, draft.dose_gy.tobytes(), draft.uncertainty_gy.tobytes()

    def of_beam(self, number: int, piece: str) -> list[str]:
        """Started pieces of one beam."""
        return [name for name in self.started if name.startswith(f"beam-{number}/{piece}-")]


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Planned]:
    folder = tmp_path_factory.mktemp("second")
    counted = CountedEngine(folder)
    bench = Bench(folder, dose_grid_mm=5.0, counted=counted)

    def planned(*beams: Beam) -> Planned:
        draft = bench.plan_of(bench.case, **FEW, beams=beams)
        return Planned(draft, counted.started(), [said for _, said in bench.watch.reports])

    turned = RIGHT.model_copy(update={"gantry_angle_deg": 265.0})
    plans = {"first": planned(LEFT, RIGHT), "same": planned(LEFT, RIGHT), "turned": planned(LEFT, turned)}
    for key in list(bench.objects.keys("cache/")):
        bench.objects.delete(key)
    return plans | {"wiped": planned(LEFT, RIGHT)}


def test_the_same_request_starts_no_engine_process(plans: dict[str, Planned]) -> None:
    """Fails when any piece of the second plan is computed, or its result differs in one bit, digest included."""
    first, same = plans["first"], plans["same"]
    for number in (1, 2):
        assert len(first.of_beam(number, "block")) >= 1
        assert len(first.of_beam(number, "batch")) == 10
    assert same.started == []
    assert same.bits == first.bits
    blocks = len([name for name in first.started if "block" in name])
    assert f"Beamlets: {blocks} of {blocks} blocks from the cache" in same.said
    assert not any("from the cache" in said for said in first.said)


def test_a_changed_angle_computes_one_beams_beamlets_and_the_final_dose(plans: dict[str, Planned]) -> None:
    """Fails when a block of the beam that stays is computed again, or a piece of changed content is not."""
    first, turned = plans["first"], plans["turned"]
    assert turned.of_beam(1, "block") == []
    assert len(turned.of_beam(2, "block")) >= 1
    # The other beam has other weights now, so that its final dose is another too.
    assert [len(turned.of_beam(number, "batch")) for number in (1, 2)] == [10, 10]
    assert turned.bits != first.bits


def test_a_wiped_cache_changes_no_bit(plans: dict[str, Planned]) -> None:
    """Fails when a dose depends on what was kept."""
    first, wiped = plans["first"], plans["wiped"]
    assert wiped.started == first.started
    assert wiped.bits == first.bits
