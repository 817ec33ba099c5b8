"""The page's way in, with real accounts: passwords, codes, cookies, and what is told to whom that does not get in."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pyotp import random_base32
from pyotp.totp import TOTP
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth.guard import ACCESS_COOKIE
from radiarch_gateway.auth.half import LIVES, make_half
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.seal import Seal
from radiarch_gateway.page.cookies import REFRESH_COOKIE
from radiarch_gateway.page.forms import ours
from radiarch_testkit.desk import PASSWORD, Desk, account, desk
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login
from sqlalchemy.exc import OperationalError
from sqlmodel import col, select

OWN = "chosen by nobody else"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LOCKED_AFTER = 4


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Callers must say who they are."""
    return settings.model_copy(update={"authentication": "accounts"})


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("entrance")
    with desk(folder, lockout_after=LOCKED_AFTER, login_tries_per_min=1000, rate_limit_public_per_min=1000) as found:
        yield found


@pytest.fixture
def browser(here: Desk) -> Iterator[httpx.Client]:
    """Keeps cookies and asks for pages, as browsers do."""
    root = str(here.http.base_url).removesuffix("/api/v1/")
    with httpx.Client(base_url=root, timeout=HANG_S, headers=BROWSER) as client:
        yield client


def _form(answer: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))


def _word(user: UserRow, password: str = PASSWORD) -> dict[str, str]:
    return {"username": user.username, "password": password}


def _log_in(browser: httpx.Client, user: UserRow, password: str = PASSWORD) -> httpx.Response:
    return browser.post("/login", data=_form(browser.get("/login")) | _word(user, password))


async def test_from_the_given_password_to_a_plan_and_out(
    app: FastAPI, stage_hand: StageHand, catalogue: Catalogue, body: dict[str, Any]
) -> None:
    """One way through all of it; each step is in the audit log, and after it nothing opens any more."""
    await stage_hand.offer(catalogue)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S, headers=BROWSER) as browser:
            asker = login(app, {Role.CLINICIAN})
            await until(lambda: browser.get("/api/v1/info", headers=asker), lambda found: found.json()["workflows"])
            plan_id = (await browser.post("/api/v1/plans", json=body, headers=asker)).json()["id"]
            user = account(app.state.gateway, Role.PHYSICIST, must_change_password=True)

            asked = await browser.get(f"/plan/{plan_id}")
            assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, "Bearer")
            given = await browser.post("/login", data=_form(asked) | _word(user))
            assert (given.status_code, given.headers["Location"]) == (303, f"/password?goes_to=/plan/{plan_id}")
            kept = [cookie for cookie in given.headers.get_list("set-cookie") if "form" not in cookie]
            assert len(kept) == 2
            assert all("HttpOnly" in cookie and "SameSite=strict" in cookie for cookie in kept)
            early = await browser.get("/")
            assert early.status_code == 403
            assert "A password of your own" in early.text
            own = await browser.get(given.headers["Location"])
            assert "At least 12 characters" in own.text
            chosen = await browser.post("/password", data=_form(own) | {"new_password": OWN, "again": OWN})
            assert (chosen.status_code, chosen.headers["Location"]) == (303, f"/plan/{plan_id}")

            shown = await browser.get(chosen.headers["Location"])
            assert (shown.status_code, shown.headers["Cache-Control"]) == (200, "no-store")
            home = await browser.get("/")
            assert f'href="/plan/{plan_id}"' in home.text
            assert "Somebody, clinic main" in home.text
            assert (await browser.get("/password")).headers["Location"] == "/"
            access = browser.cookies[ACCESS_COOKIE]
            out = await browser.post("/logout", data=_form(home))
            assert (out.status_code, out.headers["Location"]) == (303, "/login")
            assert ACCESS_COOKIE not in browser.cookies
            browser.cookies.set(ACCESS_COOKIE, access)
            assert (await browser.get("/")).status_code == 401

    done = [(act.operation, act.outcome) for act in _acts(app, f"user:{user.id}")]
    assert done == [
        ("logged in", "0"),
        ("GET /", "4"),
        ("GET /password", "0"),
        ("password changed", "0"),
        ("GET /plan/{plan_id}", "0"),
        ("GET /", "0"),
        ("GET /password", "0"),
        ("logged out", "0"),
        ("GET /", "4"),
    ]


def _acts(app: FastAPI, actor: str) -> list[AuditRow]:
    with app.state.gateway.database.reading() as session:
        return list(session.exec(select(AuditRow).where(AuditRow.actor == actor).order_by(col(AuditRow.sequence))))


def test_a_password_of_ones_own_is_twice_the_same_long_and_new(here: Desk, browser: httpx.Client) -> None:
    """Each refusal says why, and the login goes on; other logins of the account end with the change."""
    user = here.user(Role.CLINICIAN, must_change_password=True)
    other, _ = here.tokens(user)
    form = _form(browser.get(_log_in(browser, user).headers["Location"]))
    for new, again, why in (
        (OWN, f"{OWN}!", "The two passwords differ"),
        ("short", "short", "too short"),
        (user.username, user.username, "is the username"),
        (PASSWORD, PASSWORD, "that somebody else gave"),
    ):
        refused = browser.post("/password", data=form | {"new_password": new, "again": again})
        assert refused.status_code == 422
        assert why in refused.text
        assert here.now(user.id).must_change_password
    assert browser.post("/password", data={"new_password": OWN, "again": OWN}).status_code == 403
    good = form | {"new_password": OWN, "again": OWN}
    assert browser.post("/password", data=good).headers["Location"] == "/"
    assert browser.get("/list").status_code == 200
    assert here.http.get("/auth/me", headers=other).status_code == 401
    later = form | {"new_password": f"{OWN} again", "again": f"{OWN} again"}
    assert browser.post("/password", data=later).headers["Location"] == "/"
    assert here.http.post("/auth/login", json=_word(user, OWN)).status_code == 200, "set once, not again"


def test_a_password_is_set_by_a_login_that_goes_on(here: Desk, browser: httpx.Client) -> None:
    """Not without a login, and not by one that a reset has ended in the meantime."""
    user = here.user(Role.CLINICIAN, must_change_password=True)
    form = _form(_log_in(browser, user)) | _form(browser.get("/password"))
    with here.gateway.database.writing() as session:
        session.add(session.get_one(UserRow, user.id).sqlmodel_update({"active": False}))
    ended = browser.post("/password", data=form | {"new_password": OWN, "again": OWN})
    assert ended.status_code == 401
    browser.cookies.delete(ACCESS_COOKIE)
    assert browser.post("/password", data=form | {"new_password": OWN, "again": OWN}).status_code == 401
    assert here.now(user.id).must_change_password


def test_a_code_is_asked_for_when_the_account_has_one(here: Desk, browser: httpx.Client) -> None:
    """The password is not typed again; a wrong code counts towards the lock; a half is good for its account alone."""
    user = here.user(Role.PHYSICIST)
    app = TOTP(random_base32())
    values = {"totp_secret": Seal(here.gateway.secret).sealed(app.secret), "totp_confirmed": True}
    with here.gateway.database.writing() as session:
        session.add(session.get_one(UserRow, user.id).sqlmodel_update(values))
    assert "authenticator" not in browser.get("/login").text
    asked = _log_in(browser, user)
    assert asked.status_code == 401
    assert "authenticator app" in asked.text
    assert ACCESS_COOKIE not in browser.cookies
    form = _form(asked)
    assert here.http.get("/auth/me", headers={"Authorization": f"Bearer {form['half']}"}).status_code == 401
    wrong = browser.post("/login", data=form | {"totp_code": "000000"})
    assert wrong.status_code == 401
    assert "The code is wrong" in wrong.text
    assert here.now(user.id).failed_logins == 1
    inside = browser.post("/login", data=_form(wrong) | {"totp_code": f" {app.now()} "})
    assert (inside.status_code, inside.headers["Location"]) == (303, "/")
    assert here.now(user.id).failed_logins == 0
    for _ in range(LOCKED_AFTER):
        assert browser.post("/login", data=form | {"totp_code": app.now()}).status_code == 401, "each code is good once"
    assert here.now(user.id).locked_until is not None


def test_a_half_ends_with_its_time_and_its_password(here: Desk, browser: httpx.Client) -> None:
    """Fails when a half that is old, forged, or of a password that was changed since, makes a login."""
    user = here.user(Role.PHYSICIST)
    form = _form(browser.get("/login"))
    key = here.gateway.secret.key("half a login")
    changed = UserRow.model_validate(user.model_dump() | {"password_hash": "another"})
    old = make_half(key, user, utc_now() - LIVES - timedelta(seconds=1))
    for half in (old, make_half(b"x" * 32, user, utc_now()), make_half(key, changed, utc_now()), "nonsense"):
        refused = browser.post("/login", data=form | {"half": half, "totp_code": "000000"})
        assert refused.status_code == 401
        assert ACCESS_COOKIE not in browser.cookies


def test_only_this_servers_forms_count(here: Desk, browser: httpx.Client) -> None:
    """A form of another site, or of another browser, logs nobody in and says so in words."""
    user = here.user(Role.CLINICIAN)
    for token in ({}, {"form_token": "0" * 64}):
        refused = browser.post("/login", data=_word(user) | token)
        assert refused.status_code == 403
        assert "from elsewhere, or too old" in refused.text
    wrong = _log_in(browser, user, "wrong")
    assert wrong.status_code == 401
    assert "code is wrong" in wrong.text
    assert f'value="{user.username}"' in wrong.text
    assert "wrong" not in re.findall(r'value="([^"]*)"', wrong.text)


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/docs", "/plan/../../x", "/\n/evil"])
def test_a_login_leads_nowhere_else(place: str) -> None:
    """A link with a target of somebody else's must not end at their copy of the form."""
    assert ours(place) == "/"
    assert ours("/plan/0123456789") == "/plan/0123456789"


def test_a_cookie_reads_and_does_nothing_else(here: Desk, browser: httpx.Client) -> None:
    """Another site can have a browser send its cookies; it must change nothing. A header that is sent counts alone."""
    _log_in(browser, here.user(Role.CLINICIAN))
    assert browser.get("/api/v1/jobs").status_code == 200
    assert browser.post("/api/v1/plans", json={}).status_code == 401
    assert browser.delete("/api/v1/plans/0123456789").status_code == 401
    assert browser.post("/api/v1/auth/password", json={}).status_code == 401
    for credential in ("Bearer nobody", "Basic YTpi"):
        assert browser.get("/api/v1/jobs", headers={"Authorization": credential}).status_code == 401


def test_the_page_goes_on_with_the_refresh_token(here: Desk, browser: httpx.Client) -> None:
    """After an hour people go on reading; when the login has ended they are told, and the cookies are gone."""
    _log_in(browser, here.user(Role.CLINICIAN))
    browser.cookies.delete(ACCESS_COOKIE)
    again = browser.get("/list")
    assert (again.status_code, again.headers["Location"]) == (303, "/list")
    assert browser.get("/list").status_code == 200
    browser.cookies.clear()
    browser.cookies.set(REFRESH_COOKIE, "used up")
    ended = browser.get("/")
    assert ended.status_code == 401
    assert "This login has ended" in ended.text
    gone = [cookie for cookie in ended.headers.get_list("set-cookie") if cookie.startswith(REFRESH_COOKIE)]
    assert "Max-Age=0" in gone[0]


def test_what_goes_wrong_is_a_page_for_browsers_and_a_problem_for_programs(
    here: Desk, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when people read JSON, or when programs, or anybody of the API, get HTML."""
    _log_in(browser, here.user(Role.CLINICIAN))
    for path, title in (("/nothing", "Nothing here"), ("/plan/0123456789", "Nothing here"), ("/plan/no!", "Nothing")):
        page = browser.get(path)
        assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert title in page.text
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        assert browser.get(path, headers={"Accept": "*/*"}).headers["Content-Type"] == "application/problem+json"
    assert browser.get("/api/v1/nothing").headers["Content-Type"] == "application/problem+json"

    async def down(*_: object) -> None:
        raise OperationalError("select", {}, Exception("down"))

    with monkeypatch.context() as patched:
        patched.setattr(here.gateway.doorkeeper, "find", down)
        away = browser.get("/")
    assert away.status_code == 503
    assert away.headers["Retry-After"]
    assert "The database is not reachable." in away.text
    assert "Not now" in away.text


def test_too_many_tries_are_told_in_words(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By the limit of logins and by that of the edge, which is outside of the application."""
    with desk(tmp_path_factory.mktemp("often"), login_tries_per_min=1, rate_limit_public_per_min=2) as often:
        root = str(often.http.base_url).removesuffix("/api/v1/")
        with httpx.Client(base_url=root, timeout=HANG_S, headers=BROWSER) as browser:
            form = _form(browser.get("/login"))
            answers = [browser.post("/login", data=form | {"username": "x", "password": "y"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 429, 429]
    for answer in answers[1:]:
        assert "Too often" in answer.text
        assert int(answer.headers["Retry-After"]) >= 1
