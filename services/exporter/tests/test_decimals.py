"""A decimal string that is cut off changes a meterset or a dose without a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radiarch_exporter.decimals import ceiling_ds, nearest_ds


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
