"""The narrower rules that a workflow may set for the overrides it takes, as its JSON Schema."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from jsonschema import Draft202012Validator

from radiarch_gateway.errors import FieldError
from radiarch_gateway.plans.request import Overrides
from radiarch_gateway.ranges import describe, known_fields


class _Finding(Protocol):
    """What the validator says; the library is untyped."""

    message: str
    validator: str
    absolute_path: Iterable[str | int]
    schema: Mapping[str, Any]


def schema_errors(overrides: Overrides, schema: Mapping[str, Any]) -> list[FieldError]:
    """What the workflow does not take of the overrides that were given."""
    given = overrides.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    findings = cast("Iterable[_Finding]", Draft202012Validator(dict(schema)).iter_errors(given))
    return [_error(finding, given) for finding in findings]


def _error(finding: _Finding, given: Mapping[str, Any]) -> FieldError:
    path = ".".join(["overrides", *(str(step) for step in finding.absolute_path)])
    properties = finding.schema.get("properties")
    if finding.validator == "additionalProperties" and properties and path == "overrides":
        unknown = sorted(set(given) - set(properties))
        return FieldError(
            field=f"overrides.{unknown[0]}" if unknown else path,
            message="This workflow does not take it.",
            allowed=known_fields(finding.schema),
        )
    return FieldError(field=path, message=finding.message, allowed=describe(finding.schema))
