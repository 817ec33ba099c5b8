"""Tables of identity: clinics, users, their sessions, API keys, and the server's own secrets."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class ClinicRow(SQLModel, table=True):
    """Whose work it is: users, plans and rules belong to one."""

    __tablename__ = "clinics"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200)
    active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)


class UserRow(SQLModel, table=True):
    """A local account.

    Attributes
    ----------
    username
        Lower case; unique over all clinics.
    password_hash
        bcrypt, of the base64 of the password's SHA-256.
    must_change_password
        The password was given by somebody else: it serves to set another, and for nothing more.
    totp_secret, totp_confirmed, totp_last_step
        The secret sealed, see ``seal.py``. TOTP counts once it was confirmed; a step at or before the last one that
        was used is refused.
    failed_logins, locked_until
        Since the last good one.
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    username: str = Field(max_length=100, unique=True)
    display_name: str = Field(max_length=200)
    clinic_id: str = Field(foreign_key="clinics.id", index=True, max_length=64)
    roles: list[str] = Field(sa_column=Column(JSON, nullable=False))
    password_hash: str = Field(max_length=100)
    must_change_password: bool = False
    totp_secret: str | None = Field(default=None, max_length=200)
    totp_confirmed: bool = False
    totp_last_step: int = Field(default=0, sa_type=BigInteger)
    failed_logins: int = 0
    locked_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)


class SessionRow(SQLModel, table=True):
    """A login and everything that was refreshed from it: revoked as a whole."""

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    user_id: str = Field(foreign_key="users.id", index=True, max_length=40)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_why: str | None = Field(default=None, max_length=100)


class RefreshTokenRow(SQLModel, table=True):
    """One refresh token of a session, by its SHA-256; good once."""

    __tablename__ = "refresh_tokens"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    sha256: str = Field(primary_key=True, max_length=64)
    session_id: str = Field(foreign_key="sessions.id", index=True, max_length=40)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiKeyRow(SQLModel, table=True):
    """A service's key, by its SHA-256."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    sha256: str = Field(max_length=64, unique=True)
    name: str = Field(max_length=200)
    clinic_id: str = Field(foreign_key="clinics.id", index=True, max_length=64)
    scopes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    created_by: str = Field(max_length=200)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SecretRow(SQLModel, table=True):
    """A secret that this server made for itself once."""

    __tablename__ = "secrets"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    name: str = Field(primary_key=True, max_length=64)
    value: str = Field(max_length=200)
    created_at: datetime = Field(sa_type=UtcDateTime)
