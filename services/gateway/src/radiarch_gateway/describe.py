"""The API's own description, OpenAPI 3.1."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from radiarch_common.settings import Settings

from radiarch_gateway.edge.rates import PROBES
from radiarch_gateway.problems import Problem, problems

DESCRIPTION = """Radiotherapy planning as a service: ask for a plan on a study in a PACS, follow its job, and
find the RT Plan, the RT Dose, the DVH and the goals in the PACS and here.

**Not for treatment.** Every plan is UNAPPROVED, with intent RESEARCH.

Errors are `application/problem+json` (RFC 9457). Calls are counted by the minute: `RateLimit` says what is left, 429
when it is too much. Every answer names its request in `X-Request-ID`, as the gateway's log does. A gateway without
login answers to localhost alone: 421 to what comes by another name. What is no HTTP at all is answered by no
operation, but with 400 and plain text.

Paths without `/api/v1` (`/plans`, `/jobs`, `/artifacts`, `/workflows`, `/info`) answer the same and are deprecated.
What crosses the message bus: [AsyncAPI](/asyncapi.json)."""

OF_THE_EDGE = (413, 421)
"""What every route may answer: a body is announced that is too long; the request came by a name that is not served."""
OF_THE_GUARD = (401, 403)
"""What every route that takes a caller may answer."""
OF_A_BODY = (400, 408)
"""What every route that takes a body may answer: it is no text at all, or came too slowly."""
OF_ALL_BUT_PROBES = (429, 503)
"""What every route may answer whose calls are counted, and that needs the database: to ask who calls, if no more."""
METHODS = ("get", "post", "put", "patch", "delete")

TAGS: list[dict[str, Any]] = [
    {"name": "plans", "description": "Ask for a plan; see what came of it."},
    {"name": "jobs", "description": "Where the work on a plan is; follow it, stop it."},
    {"name": "artifacts", "description": "The files of a plan."},
    {"name": "erasures", "description": "Everything of a plan, a study or a patient, gone."},
    {"name": "workflows", "description": "What planners offer."},
    {"name": "rules", "description": "Which studies are planned without being asked for."},
    {"name": "hooks", "description": "The watch over a PACS."},
    {"name": "audit", "description": "Who did what to which study."},
    {"name": "info", "description": "This deployment."},
    {"name": "auth", "description": "Log in, and what belongs to your own account."},
    {"name": "accounts", "description": "Clinics, users and API keys, for administrators."},
    {"name": "health", "description": "For whoever runs the gateway."},
]


def document(app: FastAPI) -> None:
    """Have the application describe its problems too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title, version=app.version, description=app.description, tags=TAGS, routes=app.routes
            )
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            parts = found["components"]["schemas"]
            parts |= problem.pop("$defs", {})
            parts["Problem"] = problem
            for path, operation in _operations(found):
                for status, said in problems(*_of_all(path, operation)).items():
                    operation["responses"].setdefault(str(status), said)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi


def _of_all(path: str, operation: dict[str, Any]) -> tuple[int, ...]:
    """Statuses that a route may answer with whatever it does."""
    guard = OF_THE_GUARD if "security" in operation else ()
    body = OF_A_BODY if "requestBody" in operation else ()
    return (*guard, *body, *OF_THE_EDGE, *(() if path.startswith(PROBES) else OF_ALL_BUT_PROBES))


def _operations(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, path in found["paths"].items():
        yield from ((name, operation) for method, operation in path.items() if method in METHODS)


def committed() -> str:
    """The document as it is committed; it depends on no setting."""
    from radiarch_gateway.app import create_app  # noqa: PLC0415 - app imports this module

    with TemporaryDirectory() as folder:
        app = create_app(Settings(database_url="sqlite://", objects_folder=Path(folder), s3=None, pacs={}))
        return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document to the file that is named: ``python -m radiarch_gateway.describe openapi.json``."""
    Path(sys.argv[1]).write_text(committed(), encoding="utf-8")


if __name__ == "__main__":
    main()
