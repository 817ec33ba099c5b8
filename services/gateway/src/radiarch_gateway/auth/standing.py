"""Whether a login or a key that opened a stream still stands: a stream outlives the request's one look."""

import asyncio
from time import monotonic
from typing import Final

from radiarch_common.messages import utc_now
from sqlmodel import Session

from radiarch_gateway.auth.caller import LOCAL, Caller
from radiarch_gateway.auth.models import ApiKeyRow, ClinicRow, SessionRow, UserRow
from radiarch_gateway.db import Database

LOOK_EVERY_S: Final = 20.0
_KEY: Final = "key:"
_USER: Final = "user:"


class Standing:
    """The right to go on with a stream.

    Parameters
    ----------
    lasts_s
        After which the caller must come again, with a credential that is good then.
    """

    def __init__(self, database: Database, caller: Caller, lasts_s: float) -> None:
        self._database = database
        self._caller = caller
        self._until = monotonic() + lasts_s
        self._looked = monotonic()
        self._over = False

    async def ended(self) -> bool:
        """Whether the stream must end; the database is asked now and then."""
        now = monotonic()
        if not self._over and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            self._over = not await asyncio.to_thread(stands, self._database, self._caller)
        return self._over or now > self._until


def stands(database: Database, caller: Caller) -> bool:
    """Whether what a caller came with is still good; of an issuer's people only the clinic can be looked at."""
    with database.reading() as session:
        clinic = session.get(ClinicRow, caller.clinic_id)
        if clinic is None or not clinic.active:
            return caller.id == LOCAL.id
        if caller.id.startswith(_KEY):
            return _key_stands(session, caller)
        if caller.id.startswith(_USER):
            return _user_stands(session, caller)
    return True


def _key_stands(session: Session, caller: Caller) -> bool:
    key = session.get(ApiKeyRow, caller.id.removeprefix(_KEY))
    return key is not None and key.revoked_at is None and key.expires_at > utc_now()


def _user_stands(session: Session, caller: Caller) -> bool:
    user = session.get(UserRow, caller.id.removeprefix(_USER))
    if user is None or not user.active or user.clinic_id != caller.clinic_id:
        return False
    login = session.get(SessionRow, caller.session_id) if caller.session_id else None
    logged_in = caller.session_id is None or (
        login is not None and login.revoked_at is None and login.expires_at > utc_now()
    )
    return logged_in and set(caller.roles) <= set(user.roles)
