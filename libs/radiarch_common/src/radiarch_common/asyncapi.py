"""What crosses the bus, as AsyncAPI 3.0, made of the messages and the topology themselves.

``python -m radiarch_common.asyncapi libs/radiarch_common/asyncapi.json`` writes the committed document.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import (
    STAGES,
    DeadLetter,
    Event,
    ExportResult,
    ImportStudy,
    JobMessage,
    PlanCase,
    StageName,
)
from radiarch_common.topology import CATALOGUE, CATALOGUE_KEY, DLQ, EVENTS, JOBS, STREAMS, VERBS

TITLE: Final = "Radiarch's bus"
DESCRIPTION: Final = """Jobs, events and dead letters on NATS JetStream. A message carries ids and object keys, never
pixels or names. Every publish has a deterministic `Nats-Msg-Id`; delivery is at least once."""
JOB_OF: Final[dict[StageName, type[JobMessage]]] = {
    "importer": ImportStudy,
    "planner": PlanCase,
    "exporter": ExportResult,
}
EVENT_TYPES: Final[tuple[type[BaseModel], ...]] = get_args(get_args(Event)[0])
OF_THE_GATEWAY: Final = frozenset({"requested", "requeued", "cancelling", "failed", "cancelled", "erased"})
"""Kinds of events that the gateway sends; the first three and the last no stage does."""
ONLY_OF_THE_GATEWAY: Final = OF_THE_GATEWAY - {"failed", "cancelled"}

_JOB_ID: Final = {"job_id": {"description": "The job, the same as its plan's id."}}
_STAGE: Final = {"stage": {"description": "Who tells.", "enum": list(STAGES)}}

Part = dict[str, Any]


def asyncapi_document() -> Part:
    """The document; it depends on no setting."""
    messages = {model.__name__: model for model in (*JOB_OF.values(), *EVENT_TYPES, DeadLetter, Catalogue)}
    _, schemas = models_json_schema(
        [(model, "validation") for model in messages.values()], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {name: _message(model) for name, model in messages.items()},
            "schemas": schemas["$defs"],
        },
    }


def _message(model: type[BaseModel]) -> Part:
    return {
        "name": model.__name__,
        "summary": (model.__doc__ or "").strip().splitlines()[0],
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _channels() -> Part:
    jobs = {
        f"jobs.{verb}": _channel(f"jobs.{verb}.{{job_id}}", JOBS, [JOB_OF[stage]], _JOB_ID)
        for stage, verb in VERBS.items()
    }
    events = {
        f"events.{_kind(model)}": _channel(
            f"events.{{job_id}}.{{stage}}.{_kind(model)}", EVENTS, [model], _JOB_ID | _STAGE
        )
        for model in EVENT_TYPES
    }
    return {
        **jobs,
        **events,
        "dlq": _channel("dlq.{stage}.{job_id}", DLQ, [DeadLetter], _STAGE | _JOB_ID),
        "catalogue": _channel(f"$KV.{CATALOGUE}.{CATALOGUE_KEY}", f"KV_{CATALOGUE}", [Catalogue], {}),
    }


def _channel(address: str, stream: str, models: list[type[BaseModel]], parameters: Part) -> Part:
    channel: Part = {
        "address": address,
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in models},
        "description": _kept(stream),
    }
    return channel | ({"parameters": parameters} if parameters else {})


def _kept(stream: str) -> str:
    plan = next((plan for plan in STREAMS if plan.name == stream), None)
    if plan is None:
        return f"Stream {stream}: the last one is kept."
    age = f"kept for {plan.max_age_s / 86400:.0f} days" if plan.max_age_s else "kept until it is acknowledged"
    return f"Stream {stream} ({plan.retention.value}): {age}."


def _operations() -> Part:
    found: Part = {}
    for before, stage in pairwise(STAGES):
        channel = f"jobs.{VERBS[stage]}"
        found[f"{before}.sends.{channel}"] = _operation("send", channel, f"The {before} hands over to the {stage}.")
        found[f"{stage}.takes.{channel}"] = _operation("receive", channel, f"The {stage} works on a job.")
        found[f"{stage}.sends.dlq"] = _operation("send", "dlq", f"The {stage} gives a job up.")
    for kind in map(_kind, EVENT_TYPES):
        channel = f"events.{kind}"
        for stage in STAGES:
            if kind in OF_THE_GATEWAY if stage == "gateway" else kind not in ONLY_OF_THE_GATEWAY:
                found[f"{stage}.sends.{channel}"] = _operation("send", channel, f"The {stage} tells of a job.")
        found[f"gateway.takes.{channel}"] = _operation("receive", channel, "The gateway counts it into job state.")
    found["planner.sends.catalogue"] = _operation("send", "catalogue", "A planner tells what it offers.")
    found["gateway.takes.catalogue"] = _operation("receive", "catalogue", "The gateway resolves requests by it.")
    return found


def _operation(action: str, channel: str, summary: str) -> Part:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _kind(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default)


def asyncapi_text() -> str:
    """The document as it is committed."""
    return json.dumps(asyncapi_document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncapi_text(), encoding="utf-8")
