"""What compose.yaml promises: settings that exist, no password of its own, one machine, any number of planners."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from radiarch_common.settings import S3Settings, Settings

ROOT = Path(__file__).parents[2]
WORKERS = ("importer", "planner", "exporter")
NOT_FROM_ENV_FILE = {
    # Files and folders, which a container sees when they are mounted.
    "RADIARCH_NATS_TLS_CA",
    "RADIARCH_NATS_TLS_CERTIFICATE",
    "RADIARCH_NATS_TLS_KEY",
    "RADIARCH_TLS_CERTIFICATE",
    "RADIARCH_TLS_KEY",
    "RADIARCH_TLS_CLIENT_CA",
    "RADIARCH_MCSQUARE_BINARY",
    "RADIARCH_STRUCTURE_NAMES",
    "RADIARCH_ENGINE_FOLDER",
    "RADIARCH_WORK_FOLDER",
    "RADIARCH_OBJECTS_FOLDER",
    "RADIARCH_FIRST_ADMIN_FILE",
    # There is one bus, one PACS, and a gateway that listens on more than loopback.
    "RADIARCH_NATS_REPLICAS",
    "RADIARCH_DEFAULT_PACS",
    "RADIARCH_AUTHENTICATION",
}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def test_every_setting_exists(services: dict[str, dict[str, Any]]) -> None:
    """Fails on a misspelt or removed setting: services ignore variables they do not know."""
    known = {f"RADIARCH_{name.upper()}" for name in Settings.model_fields}
    known |= {f"RADIARCH_S3__{name.upper()}" for name in S3Settings.model_fields}
    known |= set(re.findall(r"RADIARCH_HOOK_\w+", (ROOT / "deploy" / "orthanc" / "radiarch_hook.py").read_text()))
    told = {name for service in services.values() for name in service["environment"]}
    assert {name for name in told if name.startswith("RADIARCH_")} <= known


def test_every_setting_of_env_file_arrives(services: dict[str, dict[str, Any]]) -> None:
    """Fails when a setting in .env would do nothing and nobody would be told: compose hands on what it lists alone."""
    told = {name for service in services.values() for name in service["environment"]}
    told |= {name.partition("__")[0] for name in told}
    known = {f"RADIARCH_{name.upper()}" for name in Settings.model_fields}
    assert known - told == NOT_FROM_ENV_FILE
    unset = {name for service in services.values() for name, value in service["environment"].items() if value is None}
    documented = set(re.findall(r"^\| `(RADIARCH_\w+)`", (ROOT / "docs" / "operators.md").read_text(), re.MULTILINE))
    assert unset <= documented


def test_no_password_has_a_default() -> None:
    """Compose refuses to start with an empty password, and the example holds none."""
    text = (ROOT / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    assert not re.search(r"\$\{\w+:?-", text)
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(example) == wanted
    assert {value for name, value in example.items() if "PASSWORD" in name or "SECRET" in name} == {""}


def test_only_the_gateway_and_orthanc_are_published_and_to_this_machine(services: dict[str, dict[str, Any]]) -> None:
    """There is no TLS in it: a port on all interfaces would hand passwords and patients to the network."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"gateway", "orthanc"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_workers_can_be_scaled_and_are_looked_after(services: dict[str, dict[str, Any]]) -> None:
    """A container name or a port would stop ``--scale planner=3``; without a health check ``--wait`` waits for less."""
    for name in WORKERS:
        assert not {"container_name", "ports"} & set(services[name])
        assert services[name]["healthcheck"]["test"][-1] == name
        assert services[name]["depends_on"]["bootstrap"]["condition"] == "service_completed_successfully"
