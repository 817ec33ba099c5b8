"""Logging in: nothing is told to who does not know the password, and guessing is slow, in whatever way it is tried."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import bcrypt
import httpx
import pytest
from pyotp.totp import TOTP
from radiarch_common.messages import utc_now
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth import login
from radiarch_gateway.auth.doorkeeper import Doorkeeper
from radiarch_gateway.auth.limits import LoginLimits
from radiarch_gateway.auth.login import use_step
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.passwords import check_new_password, hash_password, is_password, one_time_password
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.totp import STEP_S, step_of
from radiarch_gateway.errors import InvalidRequestError, LimitedError
from radiarch_gateway.problems import CODE_NEEDED
from radiarch_testkit.desk import PASSWORD, Desk, desk
from sqlmodel import col, select

LOCKED_AFTER = 3


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("login"), lockout_after=LOCKED_AFTER, login_tries_per_min=1000) as found:
        yield found


def log_in(here: Desk, user: UserRow, password: str = PASSWORD, **more: str) -> httpx.Response:
    return here.http.post("/auth/login", json={"username": user.username, "password": password, **more})


def change(here: Desk, user: UserRow, **values: object) -> None:
    with here.gateway.database.writing() as session:
        session.add(session.get_one(UserRow, user.id).sqlmodel_update(values))


def test_a_password_is_hashed_whole_and_slowly() -> None:
    """Fails when the cost is less than 12, or when what follows bcrypt's 72nd byte or a NUL does not count."""
    hashed = hash_password("x" * 80 + "a\0b")
    assert hashed.startswith("$2b$12$")
    assert is_password("x" * 80 + "a\0b", hashed)
    assert not is_password("x" * 80 + "a\0c", hashed)


@pytest.mark.parametrize("password", ["short", "x" * 11, "x" * 1025, "somebody@clinic", "SomeBody@Clinic"])
def test_no_password_that_is_short_or_the_name(password: str) -> None:
    """The field is named, and what would be accepted."""
    with pytest.raises(InvalidRequestError) as refused:
        check_new_password(password, "somebody@clinic", "new_password")
    assert refused.value.errors[0].field == "new_password"
    assert refused.value.errors[0].allowed
    check_new_password("x" * 12, "somebody", "new_password")
    assert one_time_password() != one_time_password()


def test_a_login_says_who_one_is_until_it_is_logged_out(here: Desk) -> None:
    """Fails when the tokens do not serve, or still serve after the logout."""
    user = here.user(Role.PHYSICIST)
    answer = log_in(here, user)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me = here.http.get("/auth/me", headers=headers).json()
    assert (me["username"], me["roles"], me["clinic_id"], me["totp"]) == (user.username, ["physicist"], "main", False)
    assert here.http.post("/auth/logout", headers=headers).status_code == 204
    assert here.http.get("/auth/me", headers=headers).status_code == 401
    refreshed = here.http.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})
    assert refreshed.status_code == 401


def test_who_guesses_learns_nothing(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, a wrong password, a user who was let go and a closed lock: the same answer for the same work."""
    hashed: list[bytes] = []
    real, real_check = bcrypt.hashpw, bcrypt.checkpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        hashed.append(salt)
        return real(password, salt)

    def checkpw(password: bytes, kept: bytes) -> bool:
        hashed.append(kept)
        return real_check(password, kept)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    known, gone, locked = here.user(Role.CLINICIAN), here.user(Role.CLINICIAN), here.user(Role.CLINICIAN)
    change(here, gone, active=False)
    change(here, locked, locked_until=utc_now() + timedelta(hours=1))
    unknown = known.model_copy(update={"username": "nobody"})
    hashed.clear()
    answers = [
        log_in(here, known, "not the password"),
        log_in(here, unknown),
        log_in(here, gone),
        log_in(here, locked),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert [salt[:7] for salt in hashed] == [b"$2b$12$"] * len(answers)


def test_a_given_password_serves_to_set_another_and_ends_other_logins(here: Desk) -> None:
    """Fails when it opens anything else, or when a thief's login outlives the change."""
    user = here.user(Role.PHYSICIST, must_change_password=True)
    headers, _ = here.tokens(user)
    other, _ = here.tokens(user)
    refused = here.http.get("/plans", headers=headers)
    assert refused.status_code == 403
    assert "POST /auth/password" in refused.json()["detail"]
    assert here.http.post("/auth/totp/setup", headers=headers).status_code == 403
    assert here.http.get("/auth/me", headers=headers).json()["must_change_password"]
    words = {"current_password": PASSWORD, "new_password": "short"}
    assert here.http.post("/auth/password", json=words, headers=headers).status_code == 422
    words["new_password"] = "another good password"
    assert here.http.post("/auth/password", json=words, headers=headers).status_code == 204
    assert here.http.get("/plans", headers=headers).status_code == 200
    assert here.http.get("/auth/me", headers=other).status_code == 401
    assert here.http.post("/auth/password", json=words, headers=headers).status_code == 403


def test_an_account_locks_after_failures_for_longer_each_time(here: Desk) -> None:
    """The right password does not open a lock, tries within it do not lengthen it, a good login forgets them all."""
    user = here.user(Role.CLINICIAN)
    for _ in range(LOCKED_AFTER):
        log_in(here, user, "wrong")
    first = here.now(user.id).locked_until
    assert first is not None
    assert timedelta(seconds=50) < first - utc_now() <= timedelta(seconds=60)
    assert log_in(here, user).status_code == 401
    assert here.now(user.id).locked_until == first
    change(here, user, locked_until=utc_now() - timedelta(seconds=1))
    log_in(here, user, "wrong")
    second = here.now(user.id).locked_until
    assert second is not None
    assert timedelta(seconds=110) < second - utc_now() <= timedelta(seconds=120)
    change(here, user, locked_until=utc_now() - timedelta(seconds=1))
    assert log_in(here, user).status_code == 200
    assert (here.now(user.id).failed_logins, here.now(user.id).locked_until) == (0, None)


def test_guesses_made_at_once_are_counted_before_they_are_looked_at(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when eight at once get more looks at the password than eight in a row."""
    looked: list[str] = []

    def look(password: str, _: str) -> bool:
        looked.append(password)
        return False

    def guess(_: int) -> int:
        return log_in(here, user, "wrong").status_code

    monkeypatch.setattr(login, "is_password", look)
    monkeypatch.setattr(login, "hash_in_vain", len)
    user = here.user(Role.CLINICIAN)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(guess, range(8))) == {401}
    assert len(looked) == LOCKED_AFTER


def test_one_address_tries_so_often_a_minute() -> None:
    """The limit is each address's own, and says how long to wait."""
    limits = LoginLimits(2)
    limits.check("10.0.0.1")
    limits.check("10.0.0.1")
    with pytest.raises(LimitedError) as refused:
        limits.check("10.0.0.1")
    assert 0 < refused.value.retry_after_s <= 60
    limits.check("10.0.0.2")


def test_the_limit_stands_before_the_login(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with the time to wait; nothing is hashed for it."""
    monkeypatch.setattr(here.gateway, "login_limits", LoginLimits(1))
    assert here.http.post("/auth/login", json={}).status_code == 422
    answer = here.http.post("/auth/login", json={"username": "a", "password": "b"})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_codes_are_asked_for_once_one_was_confirmed_and_each_is_good_once(here: Desk) -> None:
    """Fails when a code serves twice, a login goes without, or the password alone forgets wrong codes."""
    user = here.user(Role.PHYSICIST)
    headers, _ = here.tokens(user)
    setup = here.http.post("/auth/totp/setup", headers=headers).json()
    assert setup["uri"].startswith("otpauth://totp/Radiarch:")
    codes = TOTP(setup["secret"])
    now = int(utc_now().timestamp()) // STEP_S
    wrong = next(
        code for code in ("000000", "000001", "000002", "000003") if not step_of(setup["secret"], code, utc_now())
    )
    assert here.http.post("/auth/totp/confirm", json={"code": wrong}, headers=headers).status_code == 422
    assert not here.now(user.id).totp_confirmed
    code = {"code": codes.generate_otp(now)}
    assert here.http.post("/auth/totp/confirm", json=code, headers=headers).status_code == 204
    assert here.http.post("/auth/totp/setup", headers=headers).status_code == 409

    assert log_in(here, user, totp_code=wrong).status_code == 401
    without = log_in(here, user)
    assert (without.status_code, without.json()["type"]) == (401, CODE_NEEDED)
    assert here.now(user.id).failed_logins == 1, "the code that was wrong"
    replayed = log_in(here, user, totp_code=code["code"])
    assert (replayed.status_code, replayed.json()["type"]) == (401, "about:blank")
    assert log_in(here, user, totp_code=codes.generate_otp(now + 1)).status_code == 200

    assert here.http.post("/auth/totp/disable", json={"password": "wrong"}, headers=headers).status_code == 403
    assert here.http.post("/auth/totp/disable", json={"password": PASSWORD}, headers=headers).status_code == 204
    assert here.now(user.id).totp_secret is None


def test_a_password_that_was_right_is_told_even_without_its_code(here: Desk) -> None:
    """Whoever knows a password is half inside: fails when that leaves no entry, or names who did it."""
    user = here.user(Role.PHYSICIST)
    change(here, user, totp_secret="A" * 32, totp_confirmed=True)
    with here.gateway.database.reading() as session:
        before = len(session.exec(select(AuditRow)).all())
    assert log_in(here, user).json()["type"] == CODE_NEEDED
    with here.gateway.database.reading() as session:
        (entry,) = session.exec(select(AuditRow).order_by(col(AuditRow.sequence))).all()[before:]
    assert (entry.operation, entry.status) == ("login refused: the password was right, the code missing", 401)
    assert (entry.actor, entry.clinic_id) == ("nobody", "main")
    assert [named["kind"] for named in entry.entities] == ["user"]


def test_a_code_is_used_once_however_many_use_it_at_once(here: Desk) -> None:
    """The guard is one UPDATE; a read before a write would let two in."""
    user = here.user(Role.PHYSICIST)

    def use(_: int) -> bool:
        with here.gateway.database.writing() as session:
            return use_step(session, user, 42)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(8))) == 1


async def test_a_role_of_another_version_spoils_nobody_elses_login(here: Desk) -> None:
    """Given by a newer gateway beside this one; the logins of all who ask at the same time are looked up together.

    Fails if those who share the look with it are not let in, or the role gives something here.
    """
    stranger, user = here.user(Role.PHYSICIST), here.user(Role.PHYSICIST)
    change(here, stranger, roles=["of tomorrow"])
    strange, good = (here.tokens(one)[0]["Authorization"].removeprefix("Bearer ") for one in (stranger, user))
    gateway = here.gateway
    keeper = Doorkeeper(gateway.settings, gateway.database, gateway.secret)
    found = await asyncio.gather(*map(keeper.find, (good, good, strange, good)))
    assert [one.id for one in found] == [f"user:{one.id}" for one in (user, user, stranger, user)]
    assert not found[2].scopes
