"""One entry of the catalogue by its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from radiarch_common.plans import Origin

from radiarch_gateway.errors import FieldError

T = TypeVar("T")


@dataclass(frozen=True)
class Choice(Generic[T]):
    """An entry, and who named it."""

    entry: T
    origin: Origin


def pick(
    field: str, requested: str | None, deployed: str | None, entries: Mapping[str, T], errors: list[FieldError]
) -> Choice[T] | None:
    """The entry that the request names, else the one that the deployment chose; else an error is noted."""
    allowed = "one of: " + (", ".join(sorted(entries)) or "none is offered by a planner now")
    name = requested if requested is not None else deployed
    if name is None:
        message = "Must be named: this deployment has not chosen one."
    elif name in entries:
        return Choice(entries[name], "request" if requested is not None else "deployment")
    elif requested is None:
        message = f"The deployment chose '{name}', which no planner offers."
    else:
        message = f"'{name}' is not offered by a planner."
    errors.append(FieldError(field=field, message=message, allowed=allowed))
    return None
