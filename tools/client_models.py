"""Models of the client: written from the gateway's OpenAPI document, so that they cannot differ from it.

    uv run python tools/client_models.py             write libs/radiarch_client/src/radiarch_client/models.py
    uv run python tools/client_models.py --check     change nothing; fail when it is not what would be written

Only what the client's calls send and receive is written. Bounds and patterns are left out: the server checks them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "services/gateway/openapi.json"
MODELS = ROOT / "libs/radiarch_client/src/radiarch_client/models.py"

READ_AND_SENT = (
    "PlanRequest", "PlanAccepted", "PlanPage", "PlanView", "JobPage", "JobView", "Info", "Workflows", "Problem",
)  # fmt: skip
BOUNDS = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
        "pattern", "title", "examples",
    }
)  # fmt: skip
DATA = frozenset({"default", "discriminator", "required", "enum", "const"})
HEADER = '''"""What the API sends and takes: written by tools/client_models.py, never by hand."""'''

Schema = dict[str, Any]


def generated(document: Schema) -> str:
    """The text of ``models.py``."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    needed = sorted(reachable(schemas, READ_AND_SENT))
    part = {
        "openapi": document["openapi"],
        "info": document["info"],
        "paths": {},
        "components": {"schemas": {name: without_bounds(schemas[name]) for name in needed}},
    }
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:  # here, so that ruff finds its settings
        source, target = Path(folder) / "openapi.json", Path(folder) / "models.py"
        source.write_text(json.dumps(part))
        command = [
            sys.executable, "-m", "datamodel_code_generator",
            f"--input={source}", "--input-file-type=openapi", f"--output={target}",
            "--output-model-type=pydantic_v2.BaseModel", "--target-python-version=3.11",
            "--base-class=radiarch_client.shape.Shape", "--output-datetime-class=AwareDatetime",
            "--enum-field-as-literal=all", "--strict-nullable", "--collapse-root-models", "--use-annotated",
            "--use-tuple-for-fixed-length-arrays", "--use-schema-description", "--use-field-description",
            "--use-single-line-docstring", "--disable-timestamp", f"--custom-file-header={HEADER}",
            "--formatters", "ruff-format",
        ]  # fmt: skip
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)  # noqa: S603 - our own words
        return target.read_text()


def reachable(schemas: dict[str, Schema], roots: tuple[str, ...]) -> set[str]:
    """Names of schemas that these use, themselves included."""
    found: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += references(schemas[name])
    return found


def references(part: object) -> Iterator[str]:
    """Names that a schema refers to."""
    if isinstance(part, dict):
        schema = cast("Schema", part)
        if "$ref" in schema:
            yield str(schema["$ref"]).rsplit("/", 1)[-1]
        yield from (name for value in schema.values() for name in references(value))
    elif isinstance(part, list):
        yield from (name for value in cast("list[object]", part) for name in references(value))


def without_bounds(part: Any) -> Any:  # noqa: ANN401 - JSON
    """A schema that says types alone; a place of three numbers stays one of three."""
    if isinstance(part, list):
        return [without_bounds(item) for item in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    schema = cast("Schema", part)
    if "prefixItems" in schema:
        places: list[Schema] = schema["prefixItems"]
        return {
            "type": "array",
            "items": without_bounds(places[0]),
            "minItems": len(places),
            "maxItems": len(places),
        }
    plain = {key: value if key in DATA else without_bounds(value) for key, value in schema.items() if key not in BOUNDS}
    if "anyOf" in plain:
        plain |= _triple_or_nothing(plain.pop("anyOf"))
    if "properties" in schema:
        plain["properties"] = {name: without_bounds(field) for name, field in schema["properties"].items()}
        plain.pop("additionalProperties", None)
    return plain


def _triple_or_nothing(choices: list[Schema]) -> Schema:
    """Three numbers or nothing as one type: as a choice of two it would become a class of its own."""
    first, *rest = choices
    if rest == [{"type": "null"}] and "minItems" in first:
        return first | {"type": ["array", "null"]}
    return {"anyOf": choices}


def main() -> int:
    """Write or check; 0 when the models are the document's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    wanted = generated(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    if not parser.parse_args().check:
        MODELS.write_text(wanted, encoding="utf-8")
        return 0
    if MODELS.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write("the client's models differ from the API: run tools/client_models.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
