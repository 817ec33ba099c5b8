"""Every message that crosses the bus, by the name of its schema; run to write the schemas anew.

``uv run python -m radiarch_testkit.contract``
"""

import json
from pathlib import Path

from pydantic import BaseModel
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import (
    Cancelled,
    Cancelling,
    DeadLetter,
    Erased,
    ExportResult,
    Failed,
    Finished,
    ImportStudy,
    PlanCase,
    Progressed,
    Requested,
    Requeued,
    Retrying,
    Started,
    Waiting,
)

FOLDER = Path(__file__).parents[3] / "contract"
MESSAGES: dict[str, type[BaseModel]] = {
    "import_study.v1": ImportStudy,
    "plan_case.v1": PlanCase,
    "export_result.v1": ExportResult,
    "requested.v1": Requested,
    "requeued.v1": Requeued,
    "cancelling.v1": Cancelling,
    "started.v1": Started,
    "progressed.v1": Progressed,
    "waiting.v1": Waiting,
    "retrying.v1": Retrying,
    "finished.v1": Finished,
    "failed.v1": Failed,
    "cancelled.v1": Cancelled,
    "erased.v1": Erased,
    "dead_letter.v1": DeadLetter,
    "catalogue.v1": Catalogue,
}


def schema_text(name: str) -> str:
    """The JSON Schema of a message as it is committed."""
    return json.dumps(MESSAGES[name].model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for message in MESSAGES:
        (FOLDER / "schemas" / f"{message}.json").write_text(schema_text(message))
