"""People for tests: an account, logged in, without the half second that hashing a password takes."""

import secrets
from collections.abc import Iterable
from datetime import timedelta

from fastapi import FastAPI
from radiarch_common.messages import utc_now
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.models import ClinicRow, SessionRow, UserRow
from radiarch_gateway.auth.passwords import hash_password
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.tokens import AccessClaims, make_access_token

CHEAP = 4
"""The least cost that bcrypt takes."""
NO_PASSWORD = "$2b$04$" + "." * 53
"""No password has this hash."""


def login(
    app: FastAPI, roles: Iterable[Role], clinic_id: str = MAIN_CLINIC, password: str | None = None
) -> dict[str, str]:
    """Headers of somebody new with these roles; their clinic is made when it is missing."""
    gateway = app.state.gateway
    now = utc_now()
    user_id, session_id = secrets.token_hex(16), secrets.token_hex(16)
    with gateway.database.writing() as session:
        if session.get(ClinicRow, clinic_id) is None:
            session.add(ClinicRow(id=clinic_id, name=clinic_id, created_at=now))
            session.flush()
        session.add(
            UserRow(
                id=user_id,
                username=f"user-{user_id}",
                display_name="Somebody",
                clinic_id=clinic_id,
                roles=[str(role) for role in roles],
                password_hash=hash_password(password, CHEAP) if password else NO_PASSWORD,
                created_at=now,
            )
        )
        session.flush()
        session.add(SessionRow(id=session_id, user_id=user_id, created_at=now, expires_at=now + timedelta(days=1)))
    claims = AccessClaims(user_id=user_id, session_id=session_id)
    token = make_access_token(gateway.secret.key("access token"), claims, timedelta(hours=1))
    return {"Authorization": f"Bearer {token}"}
