"""Clinics, users and keys: what an administrator changes counts at once, and somebody can always administer."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from radiarch_common.messages import utc_now
from radiarch_gateway.auth.keys import LONGEST
from radiarch_gateway.auth.models import ApiKeyRow
from radiarch_gateway.auth.scopes import Role
from radiarch_testkit.databases import Databases
from radiarch_testkit.desk import Desk, desk


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    own: dict[str, object] = {}
    if request.param == "postgresql":
        postgres: Databases = request.getfixturevalue("postgres")
        own["database_url"] = postgres.new_database()
    with desk(tmp_path_factory.mktemp("accounts"), **own) as found:
        yield found


@pytest.fixture(scope="module")
def boss(here: Desk) -> dict[str, str]:
    return here.headers(Role.ADMIN)


def patch(here: Desk, boss: dict[str, str], user_id: str, **change: object) -> httpx.Response:
    return here.http.patch(f"/users/{user_id}", json=change, headers=boss)


def test_a_user_is_made_with_a_password_for_once(here: Desk, boss: dict[str, str]) -> None:
    """Fails when the password given does not serve, or the name is not unique whatever its case."""
    new = {"username": "Ana.Physicist", "display_name": "Ana", "roles": ["physicist"]}
    made = here.http.post("/users", json=new, headers=boss)
    assert made.status_code == 201, made.text
    assert made.headers["Cache-Control"] == "no-store"
    words = {"username": "ana.PHYSICIST", "password": made.json()["one_time_password"]}
    assert here.http.post("/auth/login", json=words).json()["must_change_password"]
    assert here.http.post("/users", json=new, headers=boss).status_code == 409
    for wrong in ({"roles": ["wizard"]}, {"roles": []}, {"clinic_id": "nowhere"}, {"username": "a b"}):
        answer = here.http.post("/users", json=new | {"username": "other"} | wrong, headers=boss)
        assert [error["field"].split(".")[0] for error in answer.json()["errors"]] == list(wrong), answer.text
    listed = here.http.get("/users", params={"limit": 1}, headers=boss).json()
    rest = here.http.get("/users", params={"cursor": listed["next_cursor"]}, headers=boss).json()["items"]
    assert [user["username"] for user in rest] == sorted(user["username"] for user in rest)
    assert "hash" not in json.dumps(rest) + json.dumps(listed)


def test_a_change_of_roles_or_clinic_counts_at_once(here: Desk, boss: dict[str, str]) -> None:
    """The login goes on, with what its user may do now."""
    user = here.user(Role.PHYSICIST)
    headers, _ = here.tokens(user)
    assert here.http.get("/users", headers=headers).status_code == 403
    assert patch(here, boss, user.id, roles=["admin"]).status_code == 200
    assert here.http.get("/users", headers=headers).status_code == 200
    here.http.post("/clinics", json={"id": "south", "name": "South"}, headers=boss)
    assert patch(here, boss, user.id, clinic_id="south").status_code == 200
    assert here.http.get("/auth/me", headers=headers).json()["clinic_id"] == "south"
    assert patch(here, boss, user.id, clinic_id="nowhere").status_code == 422
    assert patch(here, boss, "0nothing0", roles=["admin"]).status_code == 404


def test_who_is_let_go_has_no_access_from_that_moment(here: Desk, boss: dict[str, str]) -> None:
    """Deactivated, of a closed clinic, logins ended, password reset: the tokens there are stop."""
    here.http.post("/clinics", json={"id": "west", "name": "West"}, headers=boss)
    for how in ("deactivated", "clinic closed", "sessions ended", "password reset"):
        user = here.user(Role.PHYSICIST, clinic_id="west")
        headers, refresh = here.tokens(user)
        assert here.http.get("/plans", headers=headers).status_code == 200
        if how == "deactivated":
            assert patch(here, boss, user.id, active=False).status_code == 200
        elif how == "clinic closed":
            assert here.http.patch("/clinics/west", json={"active": False}, headers=boss).status_code == 200
        elif how == "sessions ended":
            assert here.http.post(f"/users/{user.id}/end-sessions", headers=boss).json() == {"ended": 1}
        else:
            assert here.http.post(f"/users/{user.id}/reset-password", headers=boss).status_code == 200
        assert here.http.get("/plans", headers=headers).status_code == 401, how
        assert here.http.post("/auth/refresh", json={"refresh_token": refresh}).status_code == 401, how
        here.http.patch("/clinics/west", json={"active": True}, headers=boss)


def test_unlocked_and_without_an_app(here: Desk, boss: dict[str, str]) -> None:
    """What an administrator does for who has forgotten a password, or lost a phone."""
    user = here.user(Role.PHYSICIST)
    with here.gateway.database.writing() as session:
        user.totp_secret, user.totp_confirmed = "A" * 32, True
        user.failed_logins, user.locked_until = 7, utc_now() + timedelta(hours=1)
        session.add(user)
    assert here.http.get(f"/users/{user.id}", headers=boss).json()["totp"]
    assert here.http.post(f"/users/{user.id}/unlock", headers=boss).json()["locked_until"] is None
    assert not here.http.post(f"/users/{user.id}/reset-totp", headers=boss).json()["totp"]


def new_key(here: Desk, boss: dict[str, str], **own: object) -> httpx.Response:
    body = {"name": "hook", "scopes": ["plans:read"], "expires_at": (utc_now() + timedelta(days=30)).isoformat()}
    return here.http.post("/keys", json=body | own, headers=boss)


def test_a_key_opens_its_scopes_until_it_ends(here: Desk, boss: dict[str, str]) -> None:
    """Fails when it opens more, lives on when it is over, or is shown or kept in the clear."""
    made = new_key(here, boss).json()
    secret, key_id = made["secret"], made["key"]["id"]
    headers = {"Authorization": f"Bearer {secret}"}
    assert here.http.get("/plans", headers=headers).status_code == 200
    assert here.http.get("/jobs", headers=headers).status_code == 403
    assert here.http.get("/auth/me", headers=headers).status_code == 403
    for wrong in (secret[:-1], secret + "x", f"radk_{key_id}_", "radk_", "radk_0_0", f"radk_{key_id}é"):
        answer = here.http.get("/plans", headers={b"Authorization": f"Bearer {wrong}".encode()})
        assert answer.status_code == 401, wrong
    listed = here.http.get("/keys", headers=boss)
    assert secret.split("_", 2)[2] not in listed.text
    used_at = next(key for key in listed.json()["items"] if key["id"] == key_id)["last_used_at"]
    assert used_at is not None
    assert here.http.get("/plans", headers=headers).status_code == 200
    with here.gateway.database.writing() as session:
        row = session.get_one(ApiKeyRow, key_id)
        assert row.last_used_at == datetime.fromisoformat(used_at), "written once a minute"
        assert secret not in row.model_dump_json()
        row.expires_at = utc_now()
        session.add(row)
    assert here.http.get("/plans", headers=headers).status_code == 401

    other = new_key(here, boss, scopes=["plans:read", "jobs:read"]).json()
    headers = {"Authorization": f"Bearer {other['secret']}"}
    assert here.http.get("/jobs", headers=headers).status_code == 200
    for _ in range(2):
        assert here.http.delete(f"/keys/{other['key']['id']}", headers=boss).status_code == 200
    assert here.http.get("/jobs", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", ["accounts:admin"]),
        ("scopes", ["self"]),
        ("scopes", ["rules:sign"]),
        ("scopes", []),
        ("expires_at", None),
        pytest.param("expires_at", (datetime.now(UTC) - timedelta(seconds=1)).isoformat(), id="past"),
        pytest.param("expires_at", (datetime.now(UTC) + LONGEST + timedelta(days=1)).isoformat(), id="too far"),
        pytest.param(
            "expires_at", (datetime.now(UTC) + timedelta(days=1)).replace(tzinfo=None).isoformat(), id="no zone"
        ),
        ("clinic_id", "nowhere"),
        ("name", "a\0b"),
    ],
)
def test_no_key_for_ever_or_for_what_takes_a_person(
    here: Desk, boss: dict[str, str], field: str, value: object
) -> None:
    """The field that is wrong is named."""
    answer = new_key(here, boss, **{field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].split(".")[0] == field


def only_two_administrators(here: Desk) -> tuple[str, str]:
    """Two administrators in a clinic of their own, and no other anywhere."""
    body = {"id": "alone", "name": "Alone"}
    boss = here.headers(Role.ADMIN)
    here.http.post("/clinics", json=body, headers=boss)
    one = here.user(Role.ADMIN, clinic_id="alone").id
    other = here.user(Role.ADMIN, clinic_id="alone").id
    users = here.http.get("/users", params={"limit": 200}, headers=boss).json()["items"]
    me = here.http.get("/auth/me", headers=boss).json()["id"].removeprefix("user:")
    for user in users:
        if "admin" in user["roles"] and user["id"] not in (one, other, me):
            assert patch(here, boss, user["id"], active=False).status_code == 200
    assert patch(here, boss, me, active=False).status_code == 200
    return one, other


def test_the_last_administrator_stays(here: Desk) -> None:
    """Not even two who demote each other at once are both gone; nor does their clinic close."""
    one, other = only_two_administrators(here)
    by = {name: here.tokens(here.now(name))[0] for name in (one, other)}

    def demote(by_whom: str, whom: str) -> httpx.Response:
        return patch(here, by[by_whom], whom, roles=["physicist"])

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(demote, (one, other), (other, one)))
    assert sorted(answer.status_code for answer in answers)[0] == 200
    assert sorted(answer.status_code for answer in answers)[1] in (403, 409)
    left = one if "admin" in here.now(one).roles else other
    for change in ({"active": False}, {"roles": ["physicist"]}):
        answer = patch(here, by[left], left, **change)
        assert answer.status_code == 409
        assert "last administrator" in answer.json()["detail"]
    assert here.http.patch("/clinics/alone", json={"active": False}, headers=by[left]).status_code == 409
    assert here.http.patch("/clinics/alone", json={"name": "Still"}, headers=by[left]).status_code == 200
