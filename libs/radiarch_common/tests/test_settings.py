"""Settings that are wrong are refused, and what they hold is not told."""

import json
import traceback

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError
from radiarch_common.settings import Settings

SECRET = "hunter2"
PACS = {"main": {"kind": "dicomweb", "url": "http://orthanc/dicom-web", "password": SECRET, "timeout_s": "long"}}


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("RADIARCH_SECRET_KEY", SECRET, "secret_key"),
        ("RADIARCH_PACS", json.dumps(PACS), "timeout_s"),
        ("RADIARCH_PACS", json.dumps(PACS)[:-1], "pacs"),
        ("RADIARCH_S3__SECRET_KEY", SECRET, "s3.endpoint"),
    ],
)
def test_a_wrong_setting_is_named_and_its_secrets_are_not(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    """Fails when a service that does not start leaves a password in its log."""
    monkeypatch.setenv(variable, value)
    with pytest.raises((ValidationError, SettingsError)) as refused:
        Settings()
    told = "".join(traceback.format_exception(refused.value))
    assert named in told
    assert SECRET not in told
