"""The page's door to the accounts that are kept here."""

import re
from typing import Final

from radiarch_common.messages import utc_now

from radiarch_gateway.auth.doorkeeper import Doorkeeper
from radiarch_gateway.auth.limits import LoginLimits
from radiarch_gateway.auth.login import WRONG, Logins
from radiarch_gateway.auth.sessions import Sessions, Tokens
from radiarch_gateway.auth.views import USERNAME_PATTERN
from radiarch_gateway.errors import ForbiddenError, UnauthorizedError
from radiarch_gateway.page.door import Entry

USER: Final = "user:"

_USERNAME: Final = re.compile(USERNAME_PATTERN)


class AccountsDoor:
    """Logs in as ``POST /auth/login`` does, by the same limits and locks."""

    def __init__(self, doorkeeper: Doorkeeper, logins: Logins, sessions: Sessions, limits: LoginLimits) -> None:
        self._doorkeeper = doorkeeper
        self._logins = logins
        self._sessions = sessions
        self._limits = limits

    def log_in(self, username: str, password: str, client_ip: str) -> Entry:
        """See ``Door``. Raises LimitedError too."""
        self._limits.check(client_ip)
        if _USERNAME.fullmatch(username) is None:
            raise UnauthorizedError(WRONG)
        return _entry(self._logins.log_in(username, password, None))

    def go_on(self, half: str, totp_code: str, client_ip: str) -> Entry:
        """See ``Door``. Raises LimitedError too."""
        self._limits.check(client_ip)
        return _entry(self._logins.go_on(half, totp_code))

    def set_own_password(self, access_token: str, new: str) -> None:
        """See ``Door``."""
        caller = self._doorkeeper.caller(access_token)
        if caller.session_id is None:
            raise ForbiddenError("This account is not kept here: its password is its issuer's.")
        self._logins.set_own_password(caller.id.removeprefix(USER), new, caller.session_id)

    def stay(self, refresh_token: str) -> Entry:
        """See ``Door``."""
        return _entry(self._sessions.refresh(refresh_token))

    def log_out(self, access_token: str) -> None:
        """See ``Door``."""
        try:
            caller = self._doorkeeper.caller(access_token)
        except (UnauthorizedError, ForbiddenError):
            return
        self._sessions.end(caller)


def _entry(tokens: Tokens) -> Entry:
    left_s = (tokens.refresh_expires_at - utc_now()).total_seconds()
    return Entry(
        access_token=tokens.access,
        expires_in_s=tokens.expires_in_s,
        refresh_token=tokens.refresh,
        refresh_expires_in_s=max(0, int(left_s)),
        own_password_first=tokens.user.must_change_password,
    )
