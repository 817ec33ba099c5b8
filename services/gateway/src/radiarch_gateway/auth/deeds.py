"""What is done to accounts and logins: into the audit log and the log, within the transaction that does it."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from radiarch_common.telemetry import get_logger
from sqlmodel import Session

from radiarch_gateway.audit import ledger
from radiarch_gateway.audit.act import Act, current

log = get_logger(__name__)

NOBODY: Final = "nobody"
"""Who tries to log in and does not succeed."""
SERVER: Final = "server"
COMMAND_LINE: Final = "command line"


class What(StrEnum):
    """One kind of deed."""

    LOGGED_IN = "logged in"
    LOGIN_REFUSED = "login refused"
    CODE_MISSING = "login refused: the password was right, the code missing"
    LOGGED_OUT = "logged out"
    LOGIN_REVOKED = "login revoked: a refresh token was used again"
    PASSWORD_CHANGED = "password changed"  # noqa: S105 - a deed's name
    TOTP_ON = "totp on"
    TOTP_OFF = "totp off"
    USER_CREATED = "user created"
    USER_CHANGED = "user changed"
    PASSWORD_RESET = "password reset"  # noqa: S105 - a deed's name
    TOTP_RESET = "totp reset"
    USER_UNLOCKED = "user unlocked"
    LOGINS_ENDED = "logins ended"
    CLINIC_CREATED = "clinic created"
    CLINIC_CHANGED = "clinic changed"
    KEY_CREATED = "key created"
    KEY_REVOKED = "key revoked"


_REFUSALS: Final = frozenset({What.LOGIN_REFUSED, What.CODE_MISSING, What.LOGIN_REVOKED})


@dataclass(frozen=True)
class Deed:
    """Who did what to whom.

    Attributes
    ----------
    by
        A caller's id, or one of the names above.
    about
        ``user:<id>``, ``key:<id>``, ``clinic:<id>``, or ``nobody`` where the name that was tried is no account's.
    """

    what: What
    by: str
    about: str
    clinic_id: str | None = None


def note(session: Session, deed: Deed) -> None:
    """Write a deed down; ``session`` is the transaction that it belongs to."""
    kind, _, name = deed.about.partition(":")
    act = current()
    if act is not None and act.operation:  # of a guarded route, which is written down anyhow
        act.about({f"{kind}_id": name})
    else:
        names = {kind: name} if name else {}
        entry = Act(actor=deed.by, clinic_id=deed.clinic_id, action="E", operation=str(deed.what), names=names)
        ledger.note(session, entry, HTTPStatus.UNAUTHORIZED if deed.what in _REFUSALS else None)
    if deed.by != COMMAND_LINE:  # which has no log
        log.info("account", what=str(deed.what), by=deed.by, about=deed.about, clinic_id=deed.clinic_id)
