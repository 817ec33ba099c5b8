"""From a credential to the caller. Every kind of credential is known here, and nowhere else."""

from typing import Final

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from sqlalchemy import bindparam, select
from sqlmodel import col

from radiarch_gateway.auth.caller import LOCAL, Caller
from radiarch_gateway.auth.keys import PREFIX, caller_of_key
from radiarch_gateway.auth.models import ClinicRow, SessionRow, UserRow
from radiarch_gateway.auth.oidc import Issuer
from radiarch_gateway.auth.scopes import Role, Scope, scopes_of
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.tokens import read_access_token
from radiarch_gateway.db import Database
from radiarch_gateway.errors import UnauthorizedError


class Doorkeeper:
    """Knows who asks. Blocking: call it in a thread."""

    def __init__(self, settings: Settings, database: Database, secret: ServerSecret) -> None:
        self._settings = settings
        self._database = database
        self._secret = secret
        self._issuer = Issuer(settings.oidc, database) if settings.oidc else None

    def caller(self, credential: str | None) -> Caller:
        """Who bears a credential.

        Raises
        ------
        UnauthorizedError
            If nobody known does.
        ForbiddenError
            If the OIDC issuer's word gives no role or no clinic here.
        UnavailableError
            If the OIDC issuer is needed and away.
        """
        if self._settings.authentication == "none":
            return LOCAL
        if credential is None:
            raise UnauthorizedError("Log in first, or send an API key: `Authorization: Bearer ...`.")
        if credential.startswith(PREFIX):
            return caller_of_key(self._database, credential)
        if self._issuer is not None and self._issuer.wrote(credential):
            return self._issuer.caller(credential)
        return self._user(credential)

    def _user(self, token: str) -> Caller:
        claims = read_access_token(self._secret.key("access token"), token)
        with self._database.reading() as session:
            names = {"session_id": claims.session_id, "user_id": claims.user_id}
            found = session.connection().execute(_LOGIN, names).one_or_none()
        if found is None or found.revoked_at or found.expires_at <= utc_now():
            raise UnauthorizedError("This login has ended: log in again.", f"user:{claims.user_id}")
        if not found.active or not found.clinic_active:
            raise UnauthorizedError("This account is not active any more.", f"user:{claims.user_id}")
        roles = frozenset(Role(role) for role in found.roles)
        return Caller(
            id=f"user:{claims.user_id}",
            name=found.display_name,
            clinic_id=found.clinic_id,
            scopes=frozenset({Scope.SELF}) if found.must_change_password else scopes_of(roles),
            roles=roles,
            session_id=claims.session_id,
        )


_LOGIN: Final = (
    select(
        col(SessionRow.revoked_at),
        col(SessionRow.expires_at),
        col(UserRow.active),
        col(UserRow.roles),
        col(UserRow.display_name),
        col(UserRow.clinic_id),
        col(UserRow.must_change_password),
        col(ClinicRow.active).label("clinic_active"),
    )
    .join(UserRow, col(SessionRow.user_id) == col(UserRow.id))
    .join(ClinicRow, col(UserRow.clinic_id) == col(ClinicRow.id))
    .where(col(SessionRow.id) == bindparam("session_id"), col(UserRow.id) == bindparam("user_id"))
)
"""One query, and no more than is needed: it is asked with every request."""
