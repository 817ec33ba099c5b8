"""What a JSON Schema allows, in words."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

Schema = Mapping[str, Any]

_BOUNDS = (
    ("minimum", "at least {:g}"),
    ("exclusiveMinimum", "more than {:g}"),
    ("maximum", "at most {:g}"),
    ("exclusiveMaximum", "less than {:g}"),
    ("minLength", "at least {:g} characters"),
    ("maxLength", "at most {:g} characters"),
    ("minItems", "at least {:g} items"),
    ("maxItems", "at most {:g} items"),
)


def describe(schema: Schema) -> str | None:
    """Range, choice or pattern of one field; ``None`` when there is none to tell."""
    if "enum" in schema:
        return "one of: " + ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return f"only {schema['const']}"
    said = [text.format(float(schema[key])) for key, text in _BOUNDS if isinstance(schema.get(key), int | float)]
    if "pattern" in schema:
        said.append(f"matching {schema['pattern']}")
    return ", ".join(said) or None


def known_fields(schema: Schema) -> str | None:
    """Names of an object's fields."""
    properties = schema.get("properties")
    return "one of: " + ", ".join(sorted(properties)) if properties else None


def at(schema: Schema, path: Sequence[str | int], definitions: Mapping[str, Schema]) -> Schema | None:
    """The part of a schema that rules the value at ``path``; ``None`` when there is none."""
    here = _plain(schema, definitions)
    for step in path:
        found = _inside(here, step)
        if found is None:
            return None
        here = _plain(found, definitions)
    return here


def _inside(schema: Schema, step: str | int) -> Schema | None:
    if isinstance(step, str):
        return cast("Schema | None", schema.get("properties", {}).get(step))
    places = schema.get("prefixItems")
    if places and step < len(places):
        return cast("Schema", places[step])
    items = schema.get("items")
    return cast("Schema", items) if isinstance(items, Mapping) else None


def _plain(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """References followed, and "or nothing" taken away."""
    while True:
        choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
        if "$ref" in schema:
            schema = definitions[str(schema["$ref"]).rsplit("/", 1)[-1]]
        elif len(choices) == 1:
            schema = choices[0]
        else:
            return schema
