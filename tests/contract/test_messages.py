"""The contract between services: what is committed here is what other versions on the bus were built for.

A changed schema fails until it is rewritten on purpose; a sample that today's model cannot read means that jobs
of the version before would be dead-lettered at the upgrade.
"""

import json

import jsonschema
import pytest
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
    assert {key: written[key] for key in sample} == sample, "what is read is not what was written"


def test_every_message_has_a_sample() -> None:
    assert set(SAMPLES) == set(MESSAGES)


def test_messages_carry_no_patient() -> None:
    """Ids and keys only: no field of any message is named for a patient attribute."""
    for name in MESSAGES:
        text = schema_text(name).lower()
        assert not [word for word in ("patient", "birth", "accession", "pixel") if word in text], name
