"""Users in the database. Passwords are hashed by whoever calls, outside of the transaction: it takes long."""

import secrets

from radiarch_common.messages import utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.accounts.administrators import an_administrator_stays, changing
from radiarch_gateway.accounts.clinics import check_clinic
from radiarch_gateway.accounts.views import NewUser, UserChange, UserPage, UserView
from radiarch_gateway.auth.deeds import Deed, What, note
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.second_factor import forget
from radiarch_gateway.auth.sessions import end_logins
from radiarch_gateway.errors import ConflictError, MissingError


def users_page(session: Session, limit: int, cursor: str | None) -> UserPage:
    """Some users by username, those after ``cursor``."""
    statement = select(UserRow).order_by(col(UserRow.username)).limit(limit + 1)
    if cursor is not None:
        statement = statement.where(col(UserRow.username) > cursor)
    rows = list(session.exec(statement))
    more = len(rows) > limit
    rows = rows[:limit]
    return UserPage(items=[user_view(row) for row in rows], next_cursor=rows[-1].username if more else None)


def user(session: Session, user_id: str, *, to_change: bool = False) -> UserRow:
    """One user. Raises MissingError."""
    row = session.get(UserRow, user_id, with_for_update=True if to_change else None)
    if row is None:
        raise MissingError("user", user_id)
    return row


def user_named(session: Session, username: str) -> UserRow:
    """One user. Raises MissingError."""
    row = session.exec(select(UserRow).where(UserRow.username == username.lower())).first()
    if row is None:
        raise MissingError("user", username)
    return row


def create_user(session: Session, new: NewUser, hashed: str, by: str) -> UserRow:
    """Make an account with a one-time password. Raises ConflictError, InvalidRequestError."""
    changing(session)
    username = new.username.lower()
    if session.exec(select(UserRow.id).where(UserRow.username == username)).first() is not None:
        raise ConflictError(f"There is a user '{username}' already.")
    check_clinic(session, new.clinic_id)
    row = UserRow(
        id=secrets.token_hex(16),
        username=username,
        display_name=new.display_name,
        clinic_id=new.clinic_id,
        roles=_listed(new.roles),
        password_hash=hashed,
        must_change_password=True,
        created_at=utc_now(),
    )
    session.add(row)
    _note(session, What.USER_CREATED, row, by)
    return row


def change_user(session: Session, user_id: str, change: UserChange, by: str) -> UserRow:
    """Change what an administrator may change. Raises MissingError, ConflictError, InvalidRequestError."""
    changing(session)
    row = user(session, user_id, to_change=True)
    if change.clinic_id is not None and change.clinic_id != row.clinic_id:
        check_clinic(session, change.clinic_id)
    with an_administrator_stays(session):
        row.display_name = change.display_name or row.display_name
        row.clinic_id = change.clinic_id or row.clinic_id
        row.roles = _listed(change.roles) if change.roles else row.roles
        row.active = row.active if change.active is None else change.active
        session.add(row)
    if not row.active:
        end_logins(session, row.id, "the account was deactivated")
    _note(session, What.USER_CHANGED, row, by)
    return row


def reset_password(session: Session, user_id: str, hashed: str, by: str) -> UserRow:
    """Give a one-time password; every login ends, and a lock too. Raises MissingError."""
    row = user(session, user_id, to_change=True)
    row.password_hash = hashed
    row.must_change_password = True
    row.failed_logins, row.locked_until = 0, None
    session.add(row)
    end_logins(session, row.id, "the password was reset")
    _note(session, What.PASSWORD_RESET, row, by)
    return row


def reset_totp(session: Session, user_id: str, by: str) -> UserRow:
    """Ask for no codes any more: the app was lost. Raises MissingError."""
    row = user(session, user_id, to_change=True)
    forget(row)
    session.add(row)
    _note(session, What.TOTP_RESET, row, by)
    return row


def unlock(session: Session, user_id: str, by: str) -> UserRow:
    """Forget the failed logins. Raises MissingError."""
    row = user(session, user_id, to_change=True)
    row.failed_logins, row.locked_until = 0, None
    session.add(row)
    _note(session, What.USER_UNLOCKED, row, by)
    return row


def end_all_logins(session: Session, user_id: str, by: str) -> int:
    """End every login of a user; how many. Raises MissingError."""
    row = user(session, user_id)
    ended = end_logins(session, row.id, "ended by an administrator")
    _note(session, What.LOGINS_ENDED, row, by)
    return ended


def user_view(row: UserRow) -> UserView:
    """A user as an administrator sees them."""
    return UserView(
        id=row.id,
        username=row.username,
        display_name=row.display_name,
        clinic_id=row.clinic_id,
        roles=[Role(role) for role in row.roles],
        active=row.active,
        must_change_password=row.must_change_password,
        totp=row.totp_confirmed,
        failed_logins=row.failed_logins,
        locked_until=row.locked_until,
        created_at=row.created_at,
    )


def _listed(roles: list[Role]) -> list[str]:
    return sorted({str(role) for role in roles})


def _note(session: Session, what: What, row: UserRow, by: str) -> None:
    note(session, Deed(what, by, f"user:{row.id}", row.clinic_id))
