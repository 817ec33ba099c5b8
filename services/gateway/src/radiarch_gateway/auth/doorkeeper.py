"""From a credential to the caller. Every kind of credential is known here, and nowhere else."""

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from sqlmodel import col, select

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
        statement = (
            select(SessionRow, UserRow, ClinicRow)
            .join(UserRow, col(SessionRow.user_id) == col(UserRow.id))
            .join(ClinicRow, col(UserRow.clinic_id) == col(ClinicRow.id))
            .where(SessionRow.id == claims.session_id, UserRow.id == claims.user_id)
        )
        with self._database.reading() as session:
            found = session.exec(statement).one_or_none()
        if found is None or found[0].revoked_at or found[0].expires_at <= utc_now():
            raise UnauthorizedError("This login has ended: log in again.", f"user:{claims.user_id}")
        login, user, clinic = found
        if not user.active or not clinic.active:
            raise UnauthorizedError("This account is not active any more.", f"user:{claims.user_id}")
        roles = frozenset(Role(role) for role in user.roles)
        return Caller(
            id=f"user:{user.id}",
            name=user.display_name,
            clinic_id=user.clinic_id,
            scopes=frozenset({Scope.SELF}) if user.must_change_password else scopes_of(roles),
            roles=roles,
            session_id=login.id,
        )
