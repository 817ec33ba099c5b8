"""What validation found, field by field, with what would be accepted: read from the API's own schema."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import Request

from radiarch_gateway.errors import FieldError
from radiarch_gateway.ranges import Schema, at, describe, known_fields

Found = Mapping[str, Any]


def field_errors(request: Request, found: Sequence[Found]) -> list[FieldError]:
    """One error for each field; a union's branches are told once."""
    errors: dict[str, FieldError] = {}
    for finding in found:
        error = _one(request, finding)
        errors.setdefault(error.field, error)
    return list(errors.values())


def _one(request: Request, finding: Found) -> FieldError:
    where, *path = cast("Sequence[str | int]", finding["loc"])
    field = ".".join(str(step) for step in path) or str(where)
    if finding["type"] == "json_invalid":
        return FieldError(field="body", message="The body is not JSON.")
    schema = _schema(request, str(where), path)
    if finding["type"] == "extra_forbidden":
        parent = _schema(request, str(where), path[:-1])
        return FieldError(
            field=field, message="There is no such field.", allowed=known_fields(parent) if parent else None
        )
    return FieldError(field=field, message=f"{finding['msg']}.", allowed=describe(schema) if schema else None)


def _schema(request: Request, where: str, path: Sequence[str | int]) -> Schema | None:
    document = cast("Schema", request.app.openapi())
    definitions = document.get("components", {}).get("schemas", {})
    operation = _operation(document, request)
    if where == "body":
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return at(body, path, definitions) if body else None
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == where and path and parameter["name"].lower() == str(path[0]).lower():
            return at(parameter["schema"], path[1:], definitions)
    return None


def _operation(document: Schema, request: Request) -> Schema:
    """The operation whose path the request has."""
    asked = request.url.path.split("/")
    for template, operations in document["paths"].items():
        steps = template.split("/")
        if len(steps) == len(asked) and all(
            step == part or step.startswith("{") for step, part in zip(steps, asked, strict=True)
        ):
            return operations.get(request.method.lower(), {})
    return {}
