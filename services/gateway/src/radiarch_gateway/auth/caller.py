"""Who asks."""

from dataclasses import dataclass
from typing import Final

from radiarch_gateway.auth.scopes import Role, Scope, scopes_of

MAIN_CLINIC: Final = "main"
"""The clinic that every deployment has."""


@dataclass(frozen=True)
class Caller:
    """Somebody whose credential was found good, as every route gets to know them.

    Attributes
    ----------
    id
        ``user:<id>``, ``key:<id>``, ``oidc:<subject>``, ``rule:<id>`` or ``local``; what is written down as who did it.
    name
        For people to read; never written into events.
    clinic_id
        They see this clinic's work and no other's, whatever their roles.
    session_id
        Of a user who logged in here.
    """

    id: str
    name: str
    clinic_id: str
    scopes: frozenset[Scope]
    roles: frozenset[Role] = frozenset()
    session_id: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether one thing is allowed."""
        return scope in self.scopes


LOCAL: Final = Caller(
    id="local",
    name="whoever is at this machine",
    clinic_id=MAIN_CLINIC,
    scopes=scopes_of({Role.ADMIN, Role.PHYSICIST}) - {Scope.SELF},
    roles=frozenset({Role.ADMIN, Role.PHYSICIST}),
)
"""The caller of a gateway that asks nobody who they are; it listens on loopback alone."""
