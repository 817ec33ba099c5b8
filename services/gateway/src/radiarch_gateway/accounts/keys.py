"""API keys in the database."""

from datetime import datetime

from radiarch_common.messages import utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.accounts.clinics import check_clinic
from radiarch_gateway.accounts.views import KeyView, NewKey
from radiarch_gateway.auth.deeds import Deed, What, note
from radiarch_gateway.auth.keys import LONGEST, new_key, sha256_of
from radiarch_gateway.auth.models import ApiKeyRow
from radiarch_gateway.auth.scopes import KEY_SCOPES
from radiarch_gateway.errors import FieldError, InvalidRequestError, MissingError


def all_keys(session: Session) -> list[ApiKeyRow]:
    """Every key, newest first."""
    return list(session.exec(select(ApiKeyRow).order_by(col(ApiKeyRow.created_at).desc(), col(ApiKeyRow.id))))


def create_key(session: Session, new: NewKey, by: str) -> tuple[ApiKeyRow, str]:
    """A new key, and the key itself. Raises InvalidRequestError."""
    now = utc_now()
    _check(new, now)
    check_clinic(session, new.clinic_id)
    key_id, key = new_key()
    row = ApiKeyRow(
        id=key_id,
        sha256=sha256_of(key),
        name=new.name,
        clinic_id=new.clinic_id,
        scopes=sorted({str(scope) for scope in new.scopes}),
        created_by=by,
        created_at=now,
        expires_at=new.expires_at,
    )
    session.add(row)
    note(session, Deed(What.KEY_CREATED, by, f"key:{row.id}", row.clinic_id))
    return row, key


def _check(new: NewKey, now: datetime) -> None:
    wrong: list[FieldError] = []
    if too_much := sorted(set(new.scopes) - KEY_SCOPES):
        message = f"No key is given {', '.join(too_much)}: that takes a person."
        wrong.append(FieldError(field="scopes", message=message, allowed=", ".join(sorted(KEY_SCOPES))))
    allowed = f"a time with its zone, within {LONGEST.days} days"
    if new.expires_at.tzinfo is None:
        wrong.append(FieldError(field="expires_at", message="The time has no zone.", allowed=allowed))
    elif not now < new.expires_at <= now + LONGEST:
        wrong.append(FieldError(field="expires_at", message="The time is past, or too far away.", allowed=allowed))
    if wrong:
        raise InvalidRequestError(wrong)


def revoke_key(session: Session, key_id: str, by: str) -> ApiKeyRow:
    """End a key at once; asked again, it changes nothing. Raises MissingError."""
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        raise MissingError("API key", key_id)
    if row.revoked_at is None:
        row.revoked_at = utc_now()
        session.add(row)
        note(session, Deed(What.KEY_REVOKED, by, f"key:{row.id}", row.clinic_id))
    return row


def key_view(row: ApiKeyRow) -> KeyView:
    """A key as an administrator sees it."""
    return KeyView(
        id=row.id,
        name=row.name,
        clinic_id=row.clinic_id,
        scopes=row.scopes,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
