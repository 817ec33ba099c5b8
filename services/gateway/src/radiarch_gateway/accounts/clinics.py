"""Clinics in the database."""

from radiarch_common.messages import utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.accounts.administrators import an_administrator_stays, changing
from radiarch_gateway.accounts.views import ClinicChange, NewClinic
from radiarch_gateway.auth.deeds import Deed, What, note
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.errors import ConflictError, FieldError, InvalidRequestError, MissingError


def all_clinics(session: Session) -> list[ClinicRow]:
    """Every clinic, by id."""
    return list(session.exec(select(ClinicRow).order_by(col(ClinicRow.id))))


def create_clinic(session: Session, new: NewClinic, by: str) -> ClinicRow:
    """Make a clinic. Raises ConflictError when there is one of this id."""
    changing(session)
    if session.get(ClinicRow, new.id) is not None:
        raise ConflictError(f"There is a clinic '{new.id}' already.")
    row = ClinicRow(id=new.id, name=new.name, created_at=utc_now())
    session.add(row)
    note(session, Deed(What.CLINIC_CREATED, by, f"clinic:{row.id}", row.id))
    return row


def change_clinic(session: Session, clinic_id: str, change: ClinicChange, by: str) -> ClinicRow:
    """Rename, close or open a clinic. Raises MissingError, ConflictError."""
    changing(session)
    row = session.get(ClinicRow, clinic_id)
    if row is None:
        raise MissingError("clinic", clinic_id)
    with an_administrator_stays(session):
        row.name = row.name if change.name is None else change.name
        row.active = row.active if change.active is None else change.active
        session.add(row)
    note(session, Deed(What.CLINIC_CHANGED, by, f"clinic:{row.id}", row.id))
    return row


def check_clinic(session: Session, clinic_id: str) -> None:
    """Raise InvalidRequestError unless somebody may belong to a clinic."""
    row = session.get(ClinicRow, clinic_id)
    if row is None or not row.active:
        message = f"There is no active clinic '{clinic_id}'."
        raise InvalidRequestError([FieldError(field="clinic_id", message=message)])
