"""Times in requests."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

_MARGIN: Final = timedelta(days=2)
"""More than any zone is away from UTC."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC) + _MARGIN
_LAST: Final = datetime.max.replace(tzinfo=UTC) - _MARGIN


def _in_utc(at: datetime) -> datetime:
    if not _FIRST <= at <= _LAST:
        raise ValueError("there is no such time in UTC")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with a zone that can be told in UTC: the first and the last hours of the calendar cannot."""
