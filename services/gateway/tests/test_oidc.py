"""Tokens of an OIDC issuer, which is a real HTTP server: what is let in, as whom, and what happens without it."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, get_args

import httpx
import jwt
import pytest
from pydantic import ValidationError
from radiarch_common.errors import UnavailableError
from radiarch_common.messages import utc_now
from radiarch_common.settings import OidcSettings, RoleName
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth import oidc
from radiarch_gateway.auth.doorkeeper import Doorkeeper
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.auth.scopes import Role
from radiarch_standalone.ports import free_port
from radiarch_testkit.desk import Desk, desk
from radiarch_testkit.gateway import HANG_S
from radiarch_testkit.issuer import AUDIENCE, TestIssuer, serving_issuer
from sqlmodel import col, select

ROLES = {"medphys": ["physicist"], "it": ["admin"], "both": ["physicist", "admin"]}


@pytest.fixture(scope="module")
def issuer() -> Iterator[TestIssuer]:
    with serving_issuer() as found:
        yield found


@pytest.fixture(scope="module")
def here(issuer: TestIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = {"issuer": issuer.url, "audience": AUDIENCE, "roles": ROLES, "clinic_claim": "clinic"}
    with desk(tmp_path_factory.mktemp("oidc"), oidc=settings) as found:
        with found.gateway.database.writing() as session:
            for clinic_id, active in (("north", True), ("closed", False)):
                session.add(ClinicRow(id=clinic_id, name=clinic_id, active=active, created_at=utc_now()))
        yield found


def me(here: Desk, token: str) -> httpx.Response:
    return here.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


def test_the_settings_know_every_role() -> None:
    """Two lists, since the settings know no service."""
    assert set(get_args(RoleName)) == {str(role) for role in Role}
    with pytest.raises(ValidationError, match=r"roles\.x\.0\n  Input should be .*'physicist'"):
        OidcSettings.model_validate({"issuer": "https://a", "audience": "b", "roles": {"x": ["wizard"]}})


def test_a_token_of_the_issuer_is_somebody_here(here: Desk, issuer: TestIssuer) -> None:
    """Roles by the map, the clinic by its claim; logins of our own are let in beside them."""
    answer = me(here, issuer.token(clinic="north", realm_access={"roles": ["both", "unknown"]}))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["id"], found["clinic_id"], found["roles"]) == ("oidc:f3c1", "north", ["admin", "physicist"])
    headers = {"Authorization": f"Bearer {issuer.token(clinic='north')}"}
    assert here.http.get("/plans", headers=headers).status_code == 200
    assert here.http.get("/users", headers=headers).status_code == 403
    words = {"current_password": "a", "new_password": "b"}
    assert here.http.post("/auth/password", json=words, headers=headers).status_code == 403
    assert here.http.post("/auth/logout", headers=headers).status_code == 204
    assert here.http.get("/auth/me", headers=here.headers(Role.PHYSICIST)).status_code == 200


@pytest.mark.parametrize(
    ("status", "own"),
    [
        (401, {"aud": "another service"}),
        (401, {"iss": "http://127.0.0.1/another"}),
        (401, {"exp": utc_now() - timedelta(minutes=2)}),
        (401, {"exp": None}),
        (401, {"sub": None}),
        (401, {"sub": "a\nb"}),
        (403, {"realm_access": {"roles": ["unknown"]}}),
        (403, {"realm_access": "medphys-not"}),
        (403, {"realm_access": None}),
        (403, {"clinic": "nowhere"}),
        (403, {"clinic": "closed"}),
        (403, {"clinic": None}),
        (403, {"clinic": ["north"]}),
    ],
)
def test_a_token_that_is_not_good_or_gives_nothing(
    here: Desk, issuer: TestIssuer, status: int, own: dict[str, Any]
) -> None:
    """401: it is not believed; 403: it is, and lets its bearer in nowhere. The reason is told, and 403 written down."""
    answer = me(here, issuer.token(**({"clinic": "north"} | own)))
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    if status == 403:
        with here.gateway.database.reading() as session:
            last = session.exec(select(AuditRow).order_by(col(AuditRow.sequence).desc())).first()
        assert last is not None
        assert (last.actor, last.status) == ("oidc:f3c1", 403)


def test_the_issuer_is_asked_for_no_token_that_others_could_sign(here: Desk, issuer: TestIssuer) -> None:
    """Fails when the public key serves as a secret, or a token without signature is believed."""
    claims = jwt.decode(issuer.token(clinic="north"), options={"verify_signature": False})
    asked = issuer.asked
    for forged in (jwt.encode(claims, "", algorithm="none"), jwt.encode(claims, "x" * 32, algorithm="HS256")):
        assert me(here, forged).status_code == 401
    assert issuer.asked == asked


def test_new_keys_are_fetched_but_not_by_everybody_who_asks(
    here: Desk, issuer: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rotation tokens of the new key are good, those of the old one are not; junk costs no fetch each."""
    monkeypatch.setattr(oidc, "ASK_AGAIN_S", 0.0)
    settings = OidcSettings(issuer=issuer.url, audience=AUDIENCE, roles={"medphys": ["physicist"]})
    monkeypatch.setattr(here.gateway.doorkeeper, "_issuer", oidc.Issuer(settings, here.gateway.database))
    old = issuer.token()
    assert me(here, old).status_code == 200
    issuer.rotate("ES256")
    assert me(here, issuer.token()).status_code == 200
    assert me(here, old).status_code == 401

    monkeypatch.setattr(oidc, "ASK_AGAIN_S", 3600.0)
    monkeypatch.setattr(here.gateway.doorkeeper, "_issuer", oidc.Issuer(settings, here.gateway.database))
    assert me(here, issuer.token()).status_code == 200
    asked = issuer.asked
    for _ in range(5):
        assert me(here, old).status_code == 401
    assert issuer.asked == asked


def test_without_the_issuer_its_tokens_wait(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and not 401: a client must not throw its token away. It goes on by itself when the issuer is back."""
    port = free_port()
    monkeypatch.setattr(oidc, "ASK_AGAIN_S", 0.0)
    with serving_issuer(port) as issuer:
        settings = OidcSettings(issuer=issuer.url, audience=AUDIENCE, roles={"medphys": ["physicist"]})
        monkeypatch.setattr(here.gateway.doorkeeper, "_issuer", oidc.Issuer(settings, here.gateway.database))
        token, keys = issuer.token(), issuer.keys
    down = me(here, token)
    assert down.status_code == 503
    assert int(down.headers["Retry-After"]) > 0
    assert here.http.get("/auth/me", headers=here.headers(Role.PHYSICIST)).status_code == 200
    with serving_issuer(port) as issuer:
        issuer.keys = keys
        assert me(here, token).status_code == 200


async def test_a_slow_issuer_holds_up_nobody_else(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and answers none, while more ask for its people than there are threads for the background.

    Fails if they wait in those threads: no event would be counted, no entry written, and no other login let in.
    """
    monkeypatch.setattr(oidc, "TIMEOUT_S", HANG_S)
    monkeypatch.setattr(oidc, "ASK_AGAIN_S", HANG_S)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2, "background"))
    gateway = here.gateway
    token = here.headers(Role.PHYSICIST)["Authorization"].removeprefix("Bearer ")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        own = OidcSettings(issuer=url, audience=AUDIENCE, roles={"medphys": ["physicist"]})
        keeper = Doorkeeper(gateway.settings.model_copy(update={"oidc": own}), gateway.database, gateway.secret)
        issued = TestIssuer(0).token(iss=url)
        asking = [asyncio.create_task(keeper.find(issued)) for _ in range(4)]
        silent.setblocking(False)
        taken, _ = await asyncio.get_running_loop().sock_accept(silent)
        try:
            async with asyncio.timeout(HANG_S / 3):
                assert Role.PHYSICIST in (await keeper.find(token)).roles
                await asyncio.to_thread(gateway.database.ping)
            assert not any(one.done() for one in asking)
        finally:
            taken.close()
            answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError] * 4
