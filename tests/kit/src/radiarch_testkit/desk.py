"""A gateway that reaches no bus: for what needs the database alone. Callers must log in."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
from fastapi import FastAPI
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.passwords import hash_password
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.bootstrap import Gateway

from radiarch_testkit.gateway import HANG_S, served

PASSWORD = "correct horse battery staple"
NO_BUS = "nats://127.0.0.1:9"


class Desk:
    """One gateway and a client of it."""

    def __init__(self, app: FastAPI, http: httpx.Client) -> None:
        self.gateway: Gateway = app.state.gateway
        self.http = http

    def user(self, *roles: Role, clinic_id: str = MAIN_CLINIC, must_change_password: bool = False) -> UserRow:
        """Somebody new whose password is ``PASSWORD``; it is hashed once for all of them."""
        return account(self.gateway, *roles, clinic_id=clinic_id, must_change_password=must_change_password)

    def tokens(self, user: UserRow) -> tuple[dict[str, str], str]:
        """Headers and the refresh token of a login, made without a password."""
        sessions = self.gateway.sessions
        key = sessions.access_key()
        with self.gateway.database.writing() as session:
            tokens = sessions.begin(session, user, key, utc_now())
        return {"Authorization": f"Bearer {tokens.access}"}, tokens.refresh

    def headers(self, *roles: Role) -> dict[str, str]:
        """Headers of somebody new."""
        return self.tokens(self.user(*roles))[0]

    def now(self, user_id: str) -> UserRow:
        """A user as the database has them now."""
        with self.gateway.database.reading() as session:
            return session.get_one(UserRow, user_id)


def account(
    gateway: Gateway, *roles: Role, clinic_id: str = MAIN_CLINIC, must_change_password: bool = False
) -> UserRow:
    """Somebody new of a gateway whose database is migrated; the password is ``PASSWORD``."""
    row = UserRow(
        id=secrets.token_hex(16),
        username=f"user-{secrets.token_hex(8)}",
        display_name="Somebody",
        clinic_id=clinic_id,
        roles=[str(role) for role in roles],
        password_hash=_hash(),
        must_change_password=must_change_password,
        created_at=utc_now(),
    )
    with gateway.database.writing() as session:
        session.add(row)
    return row


@contextmanager
def desk(folder: Path, **own: object) -> Generator[Desk]:
    """A gateway on an empty SQLite database in a folder, unless ``own`` settings say otherwise."""
    common = {
        "nats_url": NO_BUS,
        "database_url": f"sqlite:///{folder / 'radiarch.db'}",
        "objects_folder": folder / "objects",
        "pacs": {},
        "authentication": "accounts",
    }
    app = create_app(Settings.model_validate(common | own))
    with served(app) as url, httpx.Client(base_url=f"{url}/api/v1", timeout=HANG_S) as http:
        yield Desk(app, http)


@cache
def _hash() -> str:
    return hash_password(PASSWORD)
