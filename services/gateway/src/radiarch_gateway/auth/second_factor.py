"""TOTP of an account: set up, confirmed with a code, taken away again."""

from radiarch_common.messages import utc_now
from sqlmodel import Session

from radiarch_gateway.auth.deeds import Deed, What, note
from radiarch_gateway.auth.login import use_step
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.seal import OtherKeyError, Seal
from radiarch_gateway.auth.totp import new_secret, otpauth_uri, step_of
from radiarch_gateway.errors import ConflictError, FieldError, ForbiddenError, InvalidRequestError


def set_up(session: Session, user_id: str, seal: Seal) -> tuple[str, str]:
    """A new secret and its URI; it counts once it was confirmed. Raises ConflictError, ForbiddenError."""
    user = _account(session, user_id)
    if user.totp_confirmed:
        raise ConflictError("This account asks for codes already: `POST /auth/totp/disable` first.")
    secret = new_secret()
    user.totp_secret = seal.sealed(secret)
    user.totp_last_step = 0
    session.add(user)
    return secret, otpauth_uri(secret, user.username)


def confirm(session: Session, user_id: str, code: str, seal: Seal) -> None:
    """Ask for codes from now on. Raises ConflictError, InvalidRequestError, ForbiddenError."""
    user = _account(session, user_id)
    if user.totp_secret is None or user.totp_confirmed:
        raise ConflictError("There is nothing to confirm: `POST /auth/totp/setup` first.")
    try:
        secret = seal.unsealed(user.totp_secret)
    except OtherKeyError as error:
        raise ConflictError("The app's secret cannot be read any more: `POST /auth/totp/setup` again.") from error
    step = step_of(secret, code, utc_now())
    if step is None or not use_step(session, user, step):
        message = "This is not the code of now: look at the app, and at its clock."
        raise InvalidRequestError([FieldError(field="code", message=message)])
    user.totp_confirmed = True
    session.add(user)
    note(session, Deed(What.TOTP_ON, f"user:{user.id}", f"user:{user.id}", user.clinic_id))


def disable(session: Session, user_id: str) -> None:
    """Ask for no codes any more; whoever calls has checked the password. Raises ForbiddenError."""
    user = _account(session, user_id)
    forget(user)
    session.add(user)
    note(session, Deed(What.TOTP_OFF, f"user:{user.id}", f"user:{user.id}", user.clinic_id))


def forget(user: UserRow) -> None:
    """Take the secret away."""
    user.totp_secret = None
    user.totp_confirmed = False


def _account(session: Session, user_id: str) -> UserRow:
    user = session.get_one(UserRow, user_id, with_for_update=True)
    if user.must_change_password:
        raise ForbiddenError("First set a password of your own: `POST /auth/password`.")
    return user
