"""Secrets of authenticator apps: a copy of the database, without the server's secret, makes no codes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pyotp.totp import TOTP
from radiarch_common.settings import Settings
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.seal import OtherKeyError, Seal, seal_all
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.totp import new_secret
from radiarch_gateway.db import Database
from radiarch_testkit.desk import PASSWORD, Desk, desk

OPEN = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("seal"), secret_key="k" * 32) as found:
        yield found


def secret_of(key: str, database: Database) -> ServerSecret:
    return ServerSecret(Settings.model_validate({"secret_key": key}), database)


def keep(here: Desk, user: UserRow, **values: object) -> None:
    with here.gateway.database.writing() as session:
        session.add(session.get_one(UserRow, user.id).sqlmodel_update(values))


def log_in(here: Desk, user: UserRow, code: str) -> tuple[int, dict[str, Any]]:
    said = {"username": user.username, "password": PASSWORD, "totp_code": code}
    answer = here.http.post("/auth/login", json=said)
    return answer.status_code, answer.json()


def test_what_is_set_up_is_kept_sealed(here: Desk) -> None:
    """Fails when the database, or its file, holds what the app was given."""
    user = here.user(Role.PHYSICIST)
    headers, _ = here.tokens(user)
    secret: str = here.http.post("/auth/totp/setup", headers=headers).json()["secret"]
    kept = here.now(user.id).totp_secret
    assert kept is not None
    assert Seal(here.gateway.secret).unsealed(kept) == secret
    folder = Path(here.gateway.settings.database_url.removeprefix("sqlite:///")).parent
    files = [file.read_bytes() for file in folder.iterdir() if file.is_file()]
    assert any(kept.encode() in content for content in files)
    assert not any(secret.encode() in content for content in files)


def test_what_was_kept_open_is_sealed_at_the_start_and_serves_on(here: Desk) -> None:
    """Fails when an app stops at the upgrade, or when a second start seals what is sealed."""
    user = here.user(Role.PHYSICIST)
    keep(here, user, totp_secret=OPEN, totp_confirmed=True)
    seal_all(here.gateway.database, here.gateway.secret)
    kept = here.now(user.id).totp_secret
    assert kept is not None
    assert kept != OPEN
    seal_all(here.gateway.database, here.gateway.secret)
    assert here.now(user.id).totp_secret == kept
    assert log_in(here, user, TOTP(OPEN).now())[0] == 200


def test_another_key_unseals_nothing_and_says_so_to_the_operator_alone(here: Desk) -> None:
    """A right code is wrong then, in the words of any wrong one; a set-up can be begun again."""
    user, beginner = here.user(Role.PHYSICIST), here.user(Role.PHYSICIST)
    secret = new_secret()
    other = Seal(secret_of("o" * 32, here.gateway.database)).sealed(secret)
    with pytest.raises(OtherKeyError):
        Seal(here.gateway.secret).unsealed(other)
    keep(here, user, totp_secret=other, totp_confirmed=True)
    keep(here, beginner, totp_secret=other)
    with structlog.testing.capture_logs() as told:
        seal_all(here.gateway.database, here.gateway.secret)
        refused = log_in(here, user, TOTP(secret).now())
    assert refused == log_in(here, user, "000000")
    assert refused[0] == 401
    errors = [line for line in told if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["authenticator apps of accounts are lost", "no code can be right"]
    assert errors[0]["accounts"] == 2
    headers, _ = here.tokens(beginner)
    code = {"code": TOTP(secret).now()}
    assert here.http.post("/auth/totp/confirm", json=code, headers=headers).status_code == 409
    again: str = here.http.post("/auth/totp/setup", headers=headers).json()["secret"]
    confirmed = here.http.post("/auth/totp/confirm", json={"code": TOTP(again).now()}, headers=headers)
    assert confirmed.status_code == 204
