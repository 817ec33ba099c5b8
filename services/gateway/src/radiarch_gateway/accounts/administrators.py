"""Somebody must be able to administer: the last one is neither removed nor demoted."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlmodel import Session, col, select

from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.models import ClinicRow, UserRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.errors import ConflictError


def changing(session: Session) -> None:
    """Change accounts one at a time, over all gateways: two who demote each other must not both succeed."""
    session.get(ClinicRow, MAIN_CLINIC, with_for_update=True)


def administrators(session: Session) -> int:
    """How many there are who can log in."""
    active = (
        select(UserRow.roles)
        .join(ClinicRow, col(ClinicRow.id) == col(UserRow.clinic_id))
        .where(col(UserRow.active).is_(True), col(ClinicRow.active).is_(True))
    )
    return sum(str(Role.ADMIN) in roles for roles in session.exec(active))


@contextmanager
def an_administrator_stays(session: Session) -> Generator[None]:
    """Raise ConflictError when the block has taken away the last administrator."""
    before = administrators(session)
    yield
    session.flush()
    if before and not administrators(session):
        raise ConflictError("This is the last administrator: make another one first.")
