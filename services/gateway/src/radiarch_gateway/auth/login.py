"""Logging in: password, code, lockout. The answer never tells whether an account exists, or is locked."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from sqlmodel import Session, col, select, update

from radiarch_gateway.audit.ledger import aside
from radiarch_gateway.auth.deeds import NOBODY, Deed, What, note
from radiarch_gateway.auth.half import is_of, make_half, user_of_half
from radiarch_gateway.auth.models import ClinicRow, SessionRow, UserRow
from radiarch_gateway.auth.passwords import check_new_password, hash_in_vain, hash_password, is_password
from radiarch_gateway.auth.seal import OtherKeyError, Seal
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.sessions import OVER, Sessions, Tokens, end_logins
from radiarch_gateway.auth.totp import step_of
from radiarch_gateway.db import Database
from radiarch_gateway.errors import (
    CodeNeededError,
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    UnauthorizedError,
)

WRONG: Final = "Username, password or code is wrong, or too many tries have locked the account for a while."
WRONG_PASSWORD: Final = "This is not your password, or too many tries have locked the account for a while."  # noqa: S105
WRONG_CODE: Final = "The code is wrong or was used before, or too many tries have locked the account for a while."
MOST_DOUBLINGS: Final = 20

log = get_logger(__name__)


@dataclass(frozen=True)
class Try:
    """A try to say a password, counted as failed until it turns out good.

    Attributes
    ----------
    lock, lock_before
        The end of the lock that this try has put on the account, and what was there.
    """

    user: UserRow
    lock: datetime | None
    lock_before: datetime | None


class Logins:
    """From a password to a login. Blocking, a third of a second long: call it in a thread."""

    def __init__(self, settings: Settings, database: Database, sessions: Sessions, secret: ServerSecret) -> None:
        self._settings = settings
        self._database = database
        self._sessions = sessions
        self._secret = secret

    def log_in(self, username: str, password: str, code: str | None) -> Tokens:
        """A new login.

        Raises
        ------
        CodeNeededError
            If the password is right, and the account asks for a code that was not sent.
        UnauthorizedError
            If anything is wrong, whatever it is.
        """
        tried = self._right(UserRow.username == username.lower(), password)
        if tried is None:
            raise UnauthorizedError(WRONG)
        if tried.user.totp_confirmed and code is None:
            self._take_back(tried, What.CODE_MISSING)
            half = make_half(self._secret.key("half a login"), tried.user, utc_now())
            raise CodeNeededError("The account asks for a code of its authenticator app: send it as `totp_code`.", half)
        return self._finish(tried, code)

    def go_on(self, half: str, code: str) -> Tokens:
        """The login that lacked nothing but its code; a wrong code counts like a wrong password.

        Raises
        ------
        CodeNeededError
            If the code is wrong, or the account locked or not as it was.
        UnauthorizedError
            If the half is too old, or not ours.
        """
        user_id, fingerprint = user_of_half(self._secret.key("half a login"), half)
        tried = self._count(UserRow.id == user_id)
        if tried is None or not is_of(fingerprint, tried.user):
            self._note_refusal(tried)
            raise CodeNeededError(WRONG_CODE, half)
        try:
            return self._finish(tried, code)
        except UnauthorizedError as error:
            raise CodeNeededError(WRONG_CODE, half) from error

    def _finish(self, tried: Try, code: str | None) -> Tokens:
        key, seal, now = self._sessions.access_key(), Seal(self._secret), utc_now()
        with self._database.writing() as session:
            user = _still(session, tried.user)
            good = user is not None and (not user.totp_confirmed or _use_code(session, user, code or "", seal, now))
            tokens = self._begin(session, user, key, now) if user is not None and good else None
            if tokens is None:
                note(session, Deed(What.LOGIN_REFUSED, NOBODY, f"user:{tried.user.id}", tried.user.clinic_id))
        if tokens is None:
            raise UnauthorizedError(WRONG)
        return tokens

    def _begin(self, session: Session, user: UserRow, key: bytes, now: datetime) -> Tokens:
        _good(user)
        session.add(user)
        note(session, Deed(What.LOGGED_IN, f"user:{user.id}", f"user:{user.id}", user.clinic_id))
        return self._sessions.begin(session, user, key, now)

    def check_password(self, user_id: str, password: str) -> None:
        """Raise ForbiddenError unless it is the password of somebody who is logged in; counted like a login."""
        tried = self._right(UserRow.id == user_id, password)
        if tried is None:
            raise ForbiddenError(WRONG_PASSWORD)
        self._take_back(tried)

    def change_password(self, user_id: str, old: str, new: str, session_id: str | None) -> None:
        """Set another password, and end every other login of the user.

        Raises
        ------
        ForbiddenError
            If the old one is wrong.
        InvalidRequestError
            If the new one is no good.
        """
        tried = self._right(UserRow.id == user_id, old)
        if tried is None:
            raise ForbiddenError(WRONG_PASSWORD)
        check_new_password(new, tried.user.username, "new_password")
        hashed = hash_password(new)
        with self._database.writing() as session:
            user = _still(session, tried.user)
            if user is None:
                raise ForbiddenError(WRONG_PASSWORD)
            _good(user)
            _put_password(session, user, hashed, session_id)

    def set_own_password(self, user_id: str, new: str, session_id: str) -> None:
        """Set a password in place of one that somebody else gave, and end every other login of the user.

        The old one is not asked for: this login was made with it, for a reset ends all that there were.

        Raises
        ------
        ConflictError
            If the user has a password of their own.
        InvalidRequestError
            If the new one is no good.
        UnauthorizedError
            If the login has ended.
        """
        with self._database.reading() as session:
            seen = session.get_one(UserRow, user_id)
        check_new_password(new, seen.username, "new_password")
        if is_password(new, seen.password_hash):
            message = "This is the password that somebody else gave."
            raise InvalidRequestError([FieldError(field="new_password", message=message, allowed="another one")])
        hashed = hash_password(new)
        with self._database.writing() as session:
            user, login = _still(session, seen), session.get(SessionRow, session_id)
            if user is None or login is None or login.revoked_at is not None:
                raise UnauthorizedError(OVER)
            if not user.must_change_password:
                raise ConflictError("This account has a password of its own already.")
            _put_password(session, user, hashed, session_id)

    def _right(self, which: Any, password: str) -> Try | None:  # noqa: ANN401 - a condition of SQLAlchemy
        tried = self._count(which)
        if tried is None:
            hash_in_vain(password)
        elif is_password(password, tried.user.password_hash):
            return tried
        self._note_refusal(tried)
        return None

    def _note_refusal(self, tried: Try | None) -> None:
        about, clinic_id = (f"user:{tried.user.id}", tried.user.clinic_id) if tried else (NOBODY, None)
        with self._database.writing() as session:
            aside(session)
            note(session, Deed(What.LOGIN_REFUSED, NOBODY, about, clinic_id))

    def _count(self, which: Any) -> Try | None:  # noqa: ANN401 - a condition of SQLAlchemy
        """Count a try before it is looked at, so that a hundred at once are not a hundred free ones."""
        now = utc_now()
        with self._database.writing() as session:
            aside(session)
            user = session.exec(select(UserRow).where(which).with_for_update()).first()
            clinic = session.get(ClinicRow, user.clinic_id) if user else None
            if user is None or not user.active or clinic is None or not clinic.active:
                return None
            before = user.locked_until
            if before is not None and before > now:
                return None
            user.failed_logins += 1
            if user.failed_logins >= self._settings.lockout_after:
                user.locked_until = now + self._lock(user.failed_logins)
            session.add(user)
            return Try(user=user, lock=user.locked_until, lock_before=before)

    def _lock(self, failed: int) -> timedelta:
        doublings = min(failed - self._settings.lockout_after, MOST_DOUBLINGS)
        seconds = self._settings.lockout_first_s * 2**doublings
        return timedelta(seconds=min(seconds, self._settings.lockout_longest_s))

    def _take_back(self, tried: Try, noted: What | None = None) -> None:
        """The try was neither good nor bad: those before it still count."""
        with self._database.writing() as session:
            aside(session)
            user = session.get_one(UserRow, tried.user.id, with_for_update=True)
            user.failed_logins = max(0, user.failed_logins - 1)
            if user.locked_until == tried.lock:
                user.locked_until = tried.lock_before
            session.add(user)
            if noted is not None:
                note(session, Deed(noted, NOBODY, f"user:{user.id}", user.clinic_id))


def _still(session: Session, seen: UserRow) -> UserRow | None:
    """The account, when it is still as it was before the password was looked at."""
    user = session.get(UserRow, seen.id, with_for_update=True)
    if user is None or not user.active or user.password_hash != seen.password_hash:
        return None
    return user


def _put_password(session: Session, user: UserRow, hashed: str, session_id: str | None) -> None:
    """A password of the user's own; every login but this one ends."""
    user.password_hash = hashed
    user.must_change_password = False
    session.add(user)
    end_logins(session, user.id, "the password was changed", but=session_id)
    note(session, Deed(What.PASSWORD_CHANGED, f"user:{user.id}", f"user:{user.id}", user.clinic_id))


def _good(user: UserRow) -> None:
    user.failed_logins = 0
    user.locked_until = None


def _use_code(session: Session, user: UserRow, code: str, seal: Seal, now: datetime) -> bool:
    """Whether a code is right and was never used; it is used then."""
    if user.totp_secret is None:
        return False
    try:
        secret = seal.unsealed(user.totp_secret)
    except OtherKeyError as error:
        log.error("no code can be right", about=f"user:{user.id}", why=str(error))
        return False
    step = step_of(secret, code, now)
    return step is not None and use_step(session, user, step)


def use_step(session: Session, user: UserRow, step: int) -> bool:
    """Use up a step and all before it; False: it was used up already."""
    used = session.exec(
        update(UserRow)
        .where(col(UserRow.id) == user.id, col(UserRow.totp_last_step) < step)
        .values(totp_last_step=step)
    ).rowcount
    return bool(used)
