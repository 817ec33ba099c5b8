"""Settings that are wrong are refused, and what they hold is not told."""

import json
import traceback

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError
from radiarch_common.settings import Settings, settings_or_exit

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


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("RADIARCH_HTTP_PORT", SECRET, "RADIARCH_HTTP_PORT: Input should be a valid integer"),
        ("RADIARCH_PACS", json.dumps(PACS), "RADIARCH_PACS.main.dicomweb.timeout_s: Input should be a valid number"),
        (
            "RADIARCH_PACS",
            '{"main": {"url": "http://x", "pasword": "y"}}',
            "RADIARCH_PACS.main.dicomweb.pasword: Extra",
        ),
        ("RADIARCH_PACS", json.dumps(PACS)[:-1], '"pacs"'),
        ("RADIARCH_PACS", '{"main": {"kind": "tape"}}', "RADIARCH_PACS.main: Input tag 'tape'"),
    ],
)
def test_a_service_with_a_wrong_setting_ends_with_a_word_on_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, named: str
) -> None:
    """No traceback, and no word on a PACS of the other kind. A name that is misspelt is not passed over."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        settings_or_exit()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert named in told
    assert "folder" not in told.replace("'folder'", "")
    assert SECRET not in told
