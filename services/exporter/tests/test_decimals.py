"""A decimal string that is cut off changes a meterset or a dose without a word."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radiarch_exporter.decimals import ceiling_ds, exact_ds, nearest_ds


@given(st.integers(min_value=0, max_value=99_999 * 1024))
def test_every_meterset_below_100_000_mu_is_written_exactly(steps: int) -> None:
    text = exact_ds(steps / 1024)
    assert len(text) <= 16
    assert Fraction(text) == Fraction(steps, 1024)


@pytest.mark.parametrize("value", [0.1, 1e-9, 100_000 + 2.0**-10])
def test_what_does_not_fit_exactly_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        exact_ds(value)


@given(st.floats(min_value=1e-12, max_value=1e6))
def test_the_ceiling_fits_and_is_never_below(value: float) -> None:
    text = ceiling_ds(value)
    assert len(text) <= 16
    assert value <= float(text) <= value * (1 + 1e-9)


@given(st.floats(min_value=-1e7, max_value=1e7))
def test_the_nearest_fits_and_is_near(value: float) -> None:
    text = nearest_ds(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8, abs=1e-9)
