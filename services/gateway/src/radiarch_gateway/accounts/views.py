"""Clinics, users and keys as they are asked for and answered."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from radiarch_gateway.auth.scopes import KEY_SCOPES, Role, Scope
from radiarch_gateway.auth.views import USERNAME_PATTERN

CLINIC_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
ClinicId = Annotated[str, StringConstraints(pattern=CLINIC_PATTERN)]
Roles = Annotated[list[Role], Field(min_length=1, max_length=len(Role))]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewClinic(_Asked):
    """A clinic to be made."""

    id: ClinicId
    name: Text


class ClinicChange(_Asked):
    """What shall be different; what is left out stays."""

    name: Text | None = None
    active: bool | None = Field(default=None, description="`false`: its users and keys are let in no more.")


class ClinicView(BaseModel):
    """A clinic."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    active: bool
    created_at: datetime


class ClinicList(BaseModel):
    """Every clinic."""

    items: list[ClinicView]


class NewUser(_Asked):
    """An account to be made."""

    username: str = Field(pattern=USERNAME_PATTERN, description="Kept in lower case; unique over all clinics.")
    display_name: Text
    roles: Roles
    clinic_id: ClinicId = "main"


class UserChange(_Asked):
    """What shall be different; what is left out stays. It counts from the next request on."""

    display_name: Text | None = None
    roles: Roles | None = None
    clinic_id: ClinicId | None = None
    active: bool | None = Field(default=None, description="`false`: every login of the user ends.")


class UserView(BaseModel):
    """An account."""

    id: str
    username: str
    display_name: str
    clinic_id: str
    roles: list[Role]
    active: bool
    must_change_password: bool
    totp: bool = Field(description="Whether it asks for codes of an authenticator app.")
    failed_logins: int = Field(description="Since the last good one.")
    locked_until: datetime | None
    created_at: datetime


class UserPage(BaseModel):
    """Some users, by username."""

    items: list[UserView]
    next_cursor: str | None


class OneTimePassword(BaseModel):
    """An account and the password that it was given; shown once, and to be changed at the first login."""

    user: UserView
    one_time_password: str


class EndedLogins(BaseModel):
    """How many logins were ended."""

    ended: int


class NewKey(_Asked):
    """An API key to be made."""

    name: Text
    clinic_id: ClinicId = "main"
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = Field(
        description="Any of: " + ", ".join(f"`{scope}`" for scope in sorted(KEY_SCOPES)) + "."
    )
    expires_at: datetime = Field(description="With its zone; in a year and a day at the latest.")


class KeyView(BaseModel):
    """An API key, without the key."""

    id: str
    name: str
    clinic_id: str
    scopes: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="Right to a minute.")


class KeyList(BaseModel):
    """Every key."""

    items: list[KeyView]


class KeyOnce(BaseModel):
    """A new key; it is not shown again."""

    key: KeyView
    secret: str = Field(description="Send it as `Authorization: Bearer radk_...`.")
