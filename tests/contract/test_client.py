"""The client's models are the API's, and its events those of the bus."""

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from radiarch_client import JobEvent
from radiarch_common.messages import EVENT

ROOT = Path(__file__).parents[2]


def test_the_models_are_those_of_the_openapi_document() -> None:
    """Fails when the API changed and the client did not, or somebody edited what is generated."""
    spec = importlib.util.spec_from_file_location("client_models", ROOT / "tools" / "client_models.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    wanted = tool.generated(json.loads(tool.DOCUMENT.read_text(encoding="utf-8")))
    assert tool.MODELS.read_text(encoding="utf-8") == wanted, "run: uv run python tools/client_models.py"


def test_every_kind_of_event_is_read_as_it_was_said() -> None:
    """Fails when a field of an event has another type on the bus than in the client."""
    own: dict[str, dict[str, Any]] = {
        "started": {},
        "progress": {"progress": 0.5, "message": "half", "eta_seconds": 3.0},
        "waiting": {"waiting_for": "PACS", "retry_in_s": 2.0},
        "retrying": {"reason": "again", "retry_in_s": 2.0},
        "finished": {"timings": {"dose": 1.5}},
        "failed": {"refused": True, "reason": "no", "hint": "so"},
        "cancelled": {},
        "requeued": {"reason": "lost", "deadline": datetime(2026, 1, 1, tzinfo=UTC)},
        "cancelling": {"asked_by": "local"},
    }
    common = {"job_id": "0job00001", "run": 2, "stage": "planner", "attempt": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    for kind, fields in own.items():
        said = EVENT.validate_python({**common, "kind": kind, **fields})
        read = JobEvent.model_validate_json(said.model_dump_json())
        assert read.model_dump(mode="json").items() >= said.model_dump(mode="json", exclude={"artifacts"}).items()
        assert read.ends_job == (kind in {"failed", "cancelled"})
