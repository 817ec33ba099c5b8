"""What a client sends and gets about its own login."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from radiarch_gateway.auth.passwords import MAXIMUM, MINIMUM
from radiarch_gateway.auth.scopes import Role, Scope
from radiarch_gateway.auth.totp import CODE_PATTERN

USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$"
"""Upper case is the same as lower case."""


def _as_text(password: SecretStr) -> SecretStr:
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("this is no text: half of a surrogate pair") from None
    return password


Password = Annotated[SecretStr, AfterValidator(_as_text)]
"""JSON can say halves of characters, which nothing can hash."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoginRequest(_Asked):
    """Who somebody says they are."""

    username: str = Field(pattern=USERNAME_PATTERN)
    password: Password = Field(min_length=1, max_length=MAXIMUM)
    totp_code: str | None = Field(
        default=None,
        pattern=CODE_PATTERN,
        description="Of the authenticator app. Where the account asks for one and there is none, the answer is 401 "
        "with the type `urn:radiarch:problem:totp-code-needed`.",
    )


class RefreshRequest(_Asked):
    """A refresh token, to be used once."""

    refresh_token: str = Field(pattern=r"^[A-Za-z0-9_-]{16,128}$")


class TokensView(BaseModel):
    """A login."""

    access_token: str = Field(description="Send it as `Authorization: Bearer ...`.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    expires_in_s: int = Field(description="Of the access token.")
    refresh_token: str = Field(description="Gives the next tokens at `POST /auth/refresh`, once.")
    refresh_expires_at: datetime
    must_change_password: bool = Field(description="Nothing else is allowed before `POST /auth/password`.")


class Me(BaseModel):
    """Who asks, and what they may do."""

    id: str
    name: str
    clinic_id: str
    roles: list[Role]
    scopes: list[Scope]
    username: str | None = Field(description="Of an account that is kept here.")
    must_change_password: bool
    totp: bool = Field(description="Whether the account asks for codes.")


class PasswordChange(_Asked):
    """Another password for oneself."""

    current_password: Password = Field(min_length=1, max_length=MAXIMUM)
    new_password: Password = Field(
        min_length=1, max_length=MAXIMUM, description=f"At least {MINIMUM} characters, and not the username."
    )


class PasswordCheck(_Asked):
    """Once more, to be sure."""

    password: Password = Field(min_length=1, max_length=MAXIMUM)


class TotpSetup(BaseModel):
    """For an authenticator app; shown once."""

    secret: str = Field(description="Base32.")
    uri: str = Field(description="`otpauth://...`, to be shown as a QR code.")


class TotpCode(_Asked):
    """What the app shows now."""

    code: str = Field(pattern=CODE_PATTERN)
