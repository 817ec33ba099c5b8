"""From a credential to the caller. Every kind of credential is known here, and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from sqlalchemy import select
from sqlmodel import col
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.auth.caller import LOCAL, Caller
from radiarch_gateway.auth.keys import PREFIX, caller_of_key
from radiarch_gateway.auth.models import ClinicRow, SessionRow, UserRow
from radiarch_gateway.auth.oidc import Issuer
from radiarch_gateway.auth.scopes import Role, Scope, scopes_of
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.tokens import AccessClaims, read_access_token
from radiarch_gateway.db import Database
from radiarch_gateway.errors import UnauthorizedError
from radiarch_gateway.together import Together


@dataclass(frozen=True)
class _Login:
    """What is known of a login and whose it is."""

    user_id: str
    name: str
    clinic_id: str
    roles: list[str]
    runs: bool
    active: bool
    must_change_password: bool


class Doorkeeper:
    """Knows who asks."""

    def __init__(self, settings: Settings, database: Database, secret: ServerSecret) -> None:
        self._settings = settings
        self._database = database
        self._secret = secret
        self._issuer = Issuer(settings.oidc, database) if settings.oidc else None
        self._together = Together(self._logins)

    async def find(self, credential: str | None) -> Caller:
        """See ``caller``; the logins of all who ask at the same time are looked up together."""
        if credential is None or self._settings.authentication == "none" or not self._is_ours(credential):
            return await run_in_threadpool(self.caller, credential)
        claims = self._claims(credential)
        return _caller(claims, await self._together.do(claims.session_id))

    def caller(self, credential: str | None) -> Caller:
        """Who bears a credential. Blocking: call it in a thread.

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
        claims = self._claims(credential)
        return _caller(claims, self._logins([claims.session_id])[0])

    def _is_ours(self, credential: str) -> bool:
        issued = self._issuer is not None and self._issuer.wrote(credential)
        return not issued and not credential.startswith(PREFIX)

    def _claims(self, token: str) -> AccessClaims:
        return read_access_token(self._secret.key("access token"), token)

    def _logins(self, session_ids: Sequence[str]) -> list[_Login | None]:
        statement = _LOGINS.where(col(SessionRow.id).in_(set(session_ids)))
        now = utc_now()
        with self._database.reading() as session:
            rows = session.connection().execute(statement).all()
        found = {
            row.id: _Login(
                user_id=row.user_id,
                name=row.display_name,
                clinic_id=row.clinic_id,
                roles=row.roles,
                runs=row.revoked_at is None and row.expires_at > now,
                active=row.user_active and row.clinic_active,
                must_change_password=row.must_change_password,
            )
            for row in rows
        }
        return [found.get(session_id) for session_id in session_ids]


_LOGINS: Final = (
    select(
        col(SessionRow.id),
        col(SessionRow.user_id),
        col(SessionRow.revoked_at),
        col(SessionRow.expires_at),
        col(UserRow.active).label("user_active"),
        col(UserRow.roles),
        col(UserRow.display_name),
        col(UserRow.clinic_id),
        col(UserRow.must_change_password),
        col(ClinicRow.active).label("clinic_active"),
    )
    .join(UserRow, col(SessionRow.user_id) == col(UserRow.id))
    .join(ClinicRow, col(UserRow.clinic_id) == col(ClinicRow.id))
)
"""One query, and no more than is needed: it is asked with every request."""


def _caller(claims: AccessClaims, login: _Login | None) -> Caller:
    """Who bears a token. Raises UnauthorizedError when what it was given for is over."""
    if login is None or login.user_id != claims.user_id or not login.runs:
        raise UnauthorizedError("This login has ended: log in again.", f"user:{claims.user_id}")
    if not login.active:
        raise UnauthorizedError("This account is not active any more.", f"user:{claims.user_id}")
    # A role of a newer version, which may run beside this one, gives nothing here.
    roles = frozenset(role for role in Role if role in login.roles)
    return Caller(
        id=f"user:{login.user_id}",
        name=login.name,
        clinic_id=login.clinic_id,
        scopes=frozenset({Scope.SELF}) if login.must_change_password else scopes_of(roles),
        roles=roles,
        session_id=claims.session_id,
    )
