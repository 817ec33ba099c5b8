"""What a machine cannot deliver is refused by name, and no weaker plan is made in its place."""

from pathlib import Path
from typing import Any

import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Prescription
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
