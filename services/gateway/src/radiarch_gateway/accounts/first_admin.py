"""The first administrator of a server that has no account yet."""

import os
from pathlib import Path
from typing import Final

from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from sqlmodel import Session, select

from radiarch_gateway.accounts.administrators import changing
from radiarch_gateway.accounts.users import create_user
from radiarch_gateway.accounts.views import NewUser
from radiarch_gateway.auth.deeds import SERVER
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.passwords import hash_password, one_time_password
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.db import Database

USERNAME: Final = "admin"
COMMAND: Final = "python -m radiarch_gateway.admin create-user NAME --role admin"
_FOR_ITS_OWNER: Final = 0o600

log = get_logger(__name__)


def first_admin(settings: Settings, database: Database) -> None:
    """Where callers must log in and nobody can: make an administrator, or tell how to.

    The one-time password goes into the file that the operator named, readable for its owner alone, and nowhere else.
    Raises OSError when the file cannot be written; there is no account then.
    """
    if settings.authentication == "none":
        return
    with database.reading() as session:
        if _somebody(session):
            return
    if settings.first_admin_file is None:
        log.warning("there is no account yet: nobody can log in", make_one=COMMAND)
        return
    password = one_time_password()
    hashed = hash_password(password)
    with database.writing() as session:
        changing(session)
        if _somebody(session):  # another gateway was quicker
            return
        new = NewUser(username=USERNAME, display_name="Administrator", roles=[Role.ADMIN, Role.PHYSICIST])
        create_user(session, new, hashed, SERVER)
        _leave(settings.first_admin_file, f"{USERNAME}\n{password}\n")
    log.warning(
        "made the first administrator: log in with the one-time password, then delete the file",
        file=str(settings.first_admin_file),
    )


def _somebody(session: Session) -> bool:
    return session.exec(select(UserRow.id).limit(1)).first() is not None


def _leave(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FOR_ITS_OWNER), "w") as file:
        file.write(text)
