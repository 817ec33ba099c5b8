"""Logins: begun, refreshed, ended. A refresh token is random, kept by its SHA-256, and good once."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from sqlmodel import Session, col, delete, select, update

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.deeds import NOBODY, Deed, What, note
from radiarch_gateway.auth.models import ClinicRow, RefreshTokenRow, SessionRow, UserRow
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.tokens import AccessClaims, make_access_token
from radiarch_gateway.db import Database
from radiarch_gateway.errors import UnauthorizedError

OVER: Final = "This login has ended: log in again."
REUSED: Final = "This refresh token was used before, so its login has been ended: log in again."


@dataclass(frozen=True)
class Tokens:
    """What a client gets to know of its login.

    Attributes
    ----------
    expires_in_s
        Of the access token.
    refresh_expires_at
        A login that is not refreshed by then has ended.
    """

    user: UserRow
    access: str
    refresh: str
    expires_in_s: int
    refresh_expires_at: datetime


class Sessions:
    """Every login of local accounts. Blocking: call it in a thread."""

    def __init__(self, settings: Settings, database: Database, secret: ServerSecret) -> None:
        self._access = timedelta(minutes=settings.access_token_min)
        self._refresh = timedelta(days=settings.refresh_token_days)
        self._longest = timedelta(days=settings.login_longest_days)
        self._grace = timedelta(seconds=settings.refresh_grace_s)
        self._database = database
        self._secret = secret

    def begin(self, session: Session, user: UserRow, key: bytes, now: datetime) -> Tokens:
        """A new login, within a transaction that has found the user to be who they say.

        ``key`` is that of ``access_key``, got before the transaction: it may write.
        """
        over = select(SessionRow.id).where(SessionRow.user_id == user.id, SessionRow.expires_at <= now)
        session.exec(delete(RefreshTokenRow).where(col(RefreshTokenRow.session_id).in_(over)))
        session.exec(delete(SessionRow).where(col(SessionRow.user_id) == user.id, col(SessionRow.expires_at) <= now))
        expires_at = now + min(self._refresh, self._longest)
        login = SessionRow(id=secrets.token_hex(16), user_id=user.id, created_at=now, expires_at=expires_at)
        session.add(login)
        session.flush()
        return self._give(session, login, user, key, now)

    def access_key(self) -> bytes:
        """The key that access tokens are signed with."""
        return self._secret.key("access token")

    def refresh(self, token: str) -> Tokens:
        """New tokens for a refresh token. Raises UnauthorizedError.

        The first to use it is found by one UPDATE. Whoever uses it again within the grace (another tab, an answer
        that was lost) gets tokens of the same login; whoever uses it later ends the login for everybody. However often
        it is refreshed, a login has one end, after which its password must be said again.
        """
        key, now = self.access_key(), utc_now()
        digest = _sha256(token)
        with self._database.writing() as session:
            first = session.exec(
                update(RefreshTokenRow)
                .where(col(RefreshTokenRow.sha256) == digest, col(RefreshTokenRow.used_at).is_(None))
                .values(used_at=now)
            ).rowcount
            found = self._judged(session, digest, bool(first), key, now)
        if isinstance(found, str):
            raise UnauthorizedError(found)
        return found

    def end(self, caller: Caller) -> None:
        """End the login that somebody came with; of who did not log in here there is none."""
        if caller.session_id is None:
            return
        with self._database.writing() as session:
            end_login(session, caller.session_id, "logged out")
            note(session, Deed(What.LOGGED_OUT, caller.id, caller.id, caller.clinic_id))

    def _judged(self, session: Session, digest: str, first: bool, key: bytes, now: datetime) -> Tokens | str:
        """Tokens, or why there are none: what was written must be kept in both cases."""
        row = session.get(RefreshTokenRow, digest)
        login = session.get(SessionRow, row.session_id, with_for_update=True) if row else None
        user = session.get(UserRow, login.user_id) if login else None
        if row is None or login is None or user is None or self._is_over(row, login, now):
            return OVER
        if not first and row.used_at is not None and now - row.used_at > self._grace:
            _revoke(session, login, "a refresh token was used again", now)
            note(session, Deed(What.LOGIN_REVOKED, NOBODY, f"user:{user.id}", user.clinic_id))
            return REUSED
        clinic = session.get(ClinicRow, user.clinic_id)
        if not user.active or clinic is None or not clinic.active:
            return OVER
        login.expires_at = min(now + self._refresh, login.created_at + self._longest)
        session.add(login)
        session.exec(
            delete(RefreshTokenRow).where(
                col(RefreshTokenRow.session_id) == login.id, col(RefreshTokenRow.expires_at) <= now
            )
        )
        return self._give(session, login, user, key, now)

    def _is_over(self, row: RefreshTokenRow, login: SessionRow, now: datetime) -> bool:
        return row.expires_at <= now or login.created_at + self._longest <= now or login.revoked_at is not None

    def _give(self, session: Session, login: SessionRow, user: UserRow, key: bytes, now: datetime) -> Tokens:
        refresh = secrets.token_urlsafe(32)
        session.add(
            RefreshTokenRow(sha256=_sha256(refresh), session_id=login.id, created_at=now, expires_at=login.expires_at)
        )
        return Tokens(
            user=user,
            access=make_access_token(key, AccessClaims(user_id=user.id, session_id=login.id), self._access, now),
            refresh=refresh,
            expires_in_s=int(self._access.total_seconds()),
            refresh_expires_at=login.expires_at,
        )


def end_login(session: Session, session_id: str, why: str) -> None:
    """End one login; its access tokens stop with it."""
    login = session.get(SessionRow, session_id, with_for_update=True)
    if login is not None and login.revoked_at is None:
        _revoke(session, login, why, utc_now())


def end_logins(session: Session, user_id: str, why: str, *, but: str | None = None) -> int:
    """End every login of a user, but perhaps one; how many."""
    living = select(SessionRow).where(SessionRow.user_id == user_id, col(SessionRow.revoked_at).is_(None))
    now = utc_now()
    logins = [login for login in session.exec(living.with_for_update()) if login.id != but and login.expires_at > now]
    for login in logins:
        _revoke(session, login, why, now)
    return len(logins)


def _revoke(session: Session, login: SessionRow, why: str, now: datetime) -> None:
    login.revoked_at = now
    login.revoked_why = why
    session.add(login)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
