"""Tokens: which are refused, and a refresh that neither a thief nor a bad line can turn to their use."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from radiarch_common.messages import utc_now
from radiarch_gateway.auth.models import RefreshTokenRow, SessionRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.tokens import AUDIENCE, ISSUER
from radiarch_testkit.databases import Databases
from radiarch_testkit.desk import Desk, desk
from sqlmodel import col, select, update

AT_ONCE = 8


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder: Path = tmp_path_factory.mktemp("tokens")
    own: dict[str, object] = {}
    if request.param == "postgresql":
        postgres: Databases = request.getfixturevalue("postgres")
        own["database_url"] = postgres.new_database()
    with desk(folder, **own) as found:
        yield found


def payload(here: Desk) -> dict[str, Any]:
    """What a good access token of somebody says."""
    headers, _ = here.tokens(here.user(Role.PHYSICIST))
    return jwt.decode(headers["Authorization"].split()[1], options={"verify_signature": False})


def signed(here: Desk, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, here.gateway.secret.key("access token"), algorithm="HS256")


def without(claim: str) -> Callable[[Desk, dict[str, Any]], str]:
    return lambda here, claims: signed(here, {name: value for name, value in claims.items() if name != claim})


def tampered(here: Desk, claims: dict[str, Any]) -> str:
    """The claims of another user under the signature of the first."""
    head, _, signature = signed(here, claims).split(".")
    return ".".join((head, signed(here, claims | {"sub": "another"}).split(".")[1], signature))


FORGED: dict[str, Callable[[Desk, dict[str, Any]], str]] = {
    "no algorithm": lambda _, claims: jwt.encode(claims, "", algorithm="none"),
    "other audience": lambda here, claims: signed(here, claims | {"aud": "another service"}),
    "other issuer": lambda here, claims: signed(here, claims | {"iss": "another server"}),
    "expired": lambda here, claims: signed(here, claims | {"exp": utc_now() - timedelta(seconds=1)}),
    "tampered": tampered,
    "signed for another purpose": lambda here, claims: jwt.encode(
        claims, here.gateway.secret.key("signed url"), algorithm="HS256"
    ),
    "other algorithm": lambda here, claims: jwt.encode(
        claims, here.gateway.secret.key("access token") * 2, algorithm="HS512"
    ),
    "of nobody": lambda here, claims: signed(here, claims | {"sub": "nobody"}),
    "of no login": lambda here, claims: signed(here, claims | {"sid": "none"}),
    "never ends": without("exp"),
    "names no login": without("sid"),
    "names no audience": without("aud"),
}


def test_no_forged_token_is_let_in(here: Desk) -> None:
    """Fails when one of them is; the same claims, signed as they should be, are."""
    claims = payload(here)
    assert (claims["iss"], claims["aud"]) == (ISSUER, AUDIENCE)
    good = {"Authorization": f"Bearer {signed(here, claims)}"}
    assert here.http.get("/auth/me", headers=good).status_code == 200
    for name, forge in FORGED.items():
        headers = {"Authorization": f"Bearer {forge(here, claims)}"}
        assert here.http.get("/auth/me", headers=headers).status_code == 401, name


def refresh(here: Desk, token: str) -> httpx.Response:
    return here.http.post("/auth/refresh", json={"refresh_token": token})


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def age(here: Desk, by: timedelta) -> None:
    """Every refresh token that was used was used earlier."""
    used_at = utc_now() - by
    with here.gateway.database.writing() as session:
        session.exec(update(RefreshTokenRow).where(col(RefreshTokenRow.used_at).is_not(None)).values(used_at=used_at))


def test_a_refresh_token_used_again_ends_its_login_for_everybody(here: Desk) -> None:
    """The thief and the owner are told apart by nobody: both must log in again. Other logins stay."""
    user = here.user(Role.PHYSICIST)
    headers, first = here.tokens(user)
    elsewhere, _ = here.tokens(user)
    second = refresh(here, first)
    assert second.status_code == 200
    age(here, timedelta(seconds=11))
    assert refresh(here, first).status_code == 401
    assert refresh(here, second.json()["refresh_token"]).status_code == 401
    for dead in (headers, bearer(second)):
        assert here.http.get("/auth/me", headers=dead).status_code == 401
    assert here.http.get("/auth/me", headers=elsewhere).status_code == 200


def test_eight_tabs_that_refresh_at_once_stay_logged_in(here: Desk) -> None:
    """Fails when one of them is refused, or when their tokens are worth less afterwards; the grace ends."""
    _, token = here.tokens(here.user(Role.PHYSICIST))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(refresh, [here] * AT_ONCE, [token] * AT_ONCE))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == AT_ONCE
    age(here, timedelta(seconds=9))
    assert refresh(here, token).status_code == 200
    for answer in answers:
        assert here.http.get("/auth/me", headers=bearer(answer)).status_code == 200
        assert refresh(here, answer.json()["refresh_token"]).status_code == 200
    age(here, timedelta(seconds=11))
    assert refresh(here, token).status_code == 401
    assert here.http.get("/auth/me", headers=bearer(answers[0])).status_code == 401


def test_a_login_ends_however_often_it_is_refreshed(here: Desk) -> None:
    """Fails when a refresh moves the end of its family: a token that was stolen once would serve for ever."""
    user = here.user(Role.PHYSICIST)
    _, token = here.tokens(user)
    end = utc_now() + timedelta(hours=1)
    began = end - timedelta(days=here.gateway.settings.login_longest_days)
    with here.gateway.database.writing() as session:
        session.exec(update(SessionRow).where(col(SessionRow.user_id) == user.id).values(created_at=began))
    answer = refresh(here, token)
    assert datetime.fromisoformat(answer.json()["refresh_expires_at"]) == end
    began -= timedelta(hours=2)
    with here.gateway.database.writing() as session:
        session.exec(update(SessionRow).where(col(SessionRow.user_id) == user.id).values(created_at=began))
    assert refresh(here, answer.json()["refresh_token"]).status_code == 401


def test_no_refresh_for_what_is_over(here: Desk) -> None:
    """A token of nobody, one that has expired, one of somebody who was let go; a login that nobody refreshed."""
    assert refresh(here, "x" * 43).status_code == 401
    gone = here.user(Role.PHYSICIST)
    headers, token = here.tokens(gone)
    with here.gateway.database.writing() as session:
        gone.active = False
        session.add(gone)
    assert refresh(here, token).status_code == 401
    user = here.user(Role.PHYSICIST)
    headers, token = here.tokens(user)
    past = utc_now() - timedelta(seconds=1)
    with here.gateway.database.writing() as session:
        session.exec(update(RefreshTokenRow).values(expires_at=past))
        session.exec(update(SessionRow).where(col(SessionRow.user_id) == user.id).values(expires_at=past))
    assert refresh(here, token).status_code == 401
    assert here.http.get("/auth/me", headers=headers).status_code == 401
    here.tokens(user)  # a new login sweeps out what is over
    with here.gateway.database.reading() as session:
        assert len(session.exec(select(SessionRow).where(SessionRow.user_id == user.id)).all()) == 1
