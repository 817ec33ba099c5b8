"""What may be done here, and which role may do it. A role is given by the server, never by a request."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One thing that a route may ask for; a route that asks for none does not start (``guard.check_routes``)."""

    SELF = "self"
    INFO = "info:read"
    WORKFLOWS = "workflows:read"
    PLANS_READ = "plans:read"
    PLANS_WRITE = "plans:write"
    JOBS_READ = "jobs:read"
    JOBS_CANCEL = "jobs:cancel"
    ARTIFACTS_READ = "artifacts:read"
    RULES_READ = "rules:read"
    RULES_WRITE = "rules:write"
    RULES_SIGN = "rules:sign"
    ACCOUNTS = "accounts:admin"
    AUDIT = "audit:read"
    ERASE = "data:erase"


class Role(StrEnum):
    """What a user is. Several may be one person's."""

    CLINICIAN = "clinician"
    RADIOGRAPHER = "radiographer"
    RADIOLOGIST = "radiologist"
    PHYSICIST = "physicist"
    ADMIN = "admin"


_READ: Final = frozenset(
    {Scope.SELF, Scope.INFO, Scope.WORKFLOWS, Scope.PLANS_READ, Scope.JOBS_READ, Scope.ARTIFACTS_READ, Scope.RULES_READ}
)
_PLAN: Final = _READ | {Scope.PLANS_WRITE, Scope.JOBS_CANCEL}

SCOPES_OF: Final[dict[Role, frozenset[Scope]]] = {
    Role.RADIOGRAPHER: _READ,
    Role.RADIOLOGIST: _READ,
    Role.CLINICIAN: _PLAN,
    Role.PHYSICIST: _PLAN | {Scope.RULES_WRITE, Scope.RULES_SIGN},
    Role.ADMIN: _READ | {Scope.RULES_WRITE, Scope.ACCOUNTS, Scope.AUDIT, Scope.ERASE},
}
"""An administrator runs the server; asking for plans and signing rules is clinical work and needs another role."""

KEY_SCOPES: Final = frozenset(Scope) - {Scope.SELF, Scope.RULES_SIGN, Scope.ACCOUNTS}
"""What a service's key may be given: nothing that takes a person."""


def scopes_of(roles: Iterable[Role]) -> frozenset[Scope]:
    """Everything that somebody with these roles may do."""
    return frozenset().union(*(SCOPES_OF[role] for role in roles))
