"""The contract between services: what is committed here is what other versions on the bus were built for.

A changed schema fails until it is rewritten on purpose; a sample that today's model cannot read means that jobs
of the version before would be dead-lettered at the upgrade.
"""

import json
import re
from collections.abc import Iterator
from typing import cast

import jsonschema
import pytest
from radiarch_common.asyncapi import asyncapi_document, asyncapi_text
from radiarch_testkit.contract import FOLDER, MESSAGES, schema_text

SAMPLES = sorted(path.stem for path in (FOLDER / "samples").glob("*.json"))


@pytest.mark.parametrize("name", MESSAGES)
def test_the_committed_schema_is_the_models(name: str) -> None:
    committed = (FOLDER / "schemas" / f"{name}.json").read_text()
    assert committed == schema_text(name), "on purpose? then: uv run python -m radiarch_testkit.contract"


@pytest.mark.parametrize("name", SAMPLES)
def test_todays_models_read_the_messages_of_every_version(name: str) -> None:
    sample = json.loads((FOLDER / "samples" / f"{name}.json").read_text())
    message = MESSAGES[name].model_validate_json(json.dumps(sample))
    jsonschema.validate(sample, json.loads((FOLDER / "schemas" / f"{name}.json").read_text()))
    written = json.loads(message.model_dump_json())
    assert set(_leaves(sample)) <= set(_leaves(written)), "what is read is not what was written"


def _leaves(node: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a JSON document with its place: a later version may add some, and must keep all of them."""
    if isinstance(node, dict):
        for key, value in cast("dict[str, object]", node).items():
            yield from _leaves(value, f"{place}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(cast("list[object]", node)):
            yield from _leaves(value, f"{place}[{index}]")
    else:
        yield place, json.dumps(node)


def test_every_message_has_a_sample() -> None:
    assert set(SAMPLES) == set(MESSAGES)


def test_messages_carry_no_patient() -> None:
    """Ids and keys only: no field of any message is named for a patient attribute."""
    for name in MESSAGES:
        text = schema_text(name).lower()
        assert not [word for word in ("patient", "birth", "accession", "pixel") if word in text], name


def test_the_committed_description_of_the_bus_is_made_of_messages_and_topology() -> None:
    """A change on the bus shows in review; written anew by ``python -m radiarch_common.asyncapi``."""
    committed = FOLDER.parents[1] / "libs" / "radiarch_common" / "asyncapi.json"
    assert committed.read_text(encoding="utf-8") == asyncapi_text()


def test_the_description_of_the_bus_has_every_message_and_no_loose_end() -> None:
    """Each message is in a channel, each channel in an operation, and each reference leads somewhere."""
    document = asyncapi_document()
    channels = document["channels"]
    carried = {name for channel in channels.values() for name in channel["messages"]}
    assert carried == {model.__name__ for model in MESSAGES.values()}
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in document["operations"].values()}
    assert used == set(channels)
    for place in re.findall(r'"#/([^"]+)"', json.dumps(document)):
        node = document
        for step in place.split("/"):
            node = node[step]
