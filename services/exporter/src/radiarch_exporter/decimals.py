"""Numbers as DICOM decimal strings (DS): at most 16 characters.

References
----------
DICOM PS3.5 6.2.
"""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Context

from pydicom.valuerep import format_number_as_ds

DS_LENGTH = 16


def nearest_ds(value: float) -> str:
    """The decimal string nearest to ``value`` that fits."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else format_number_as_ds(number)


def nearest_ds_list(values: Iterable[float]) -> list[str]:
    """``nearest_ds`` of each value."""
    return [nearest_ds(v) for v in values]


def ceiling_ds(value: float) -> str:
    """The smallest decimal string of 11 digits that is at least ``value`` (positive)."""
    number = Context(prec=11, rounding=ROUND_CEILING).create_decimal_from_float(value)
    text = f"{number:.10E}"
    if len(text) > DS_LENGTH:
        raise ValueError(f"{value} does not fit into a decimal string of {DS_LENGTH} characters")
    return text
