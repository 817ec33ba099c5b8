"""Tokens of an OIDC issuer, such as Keycloak: its signature, its audience, its word on roles and clinic."""

import http.client
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, Final, cast

import jwt
from pydantic import BaseModel
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import OidcSettings

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.auth.scopes import Role, scopes_of
from radiarch_gateway.db import Database
from radiarch_gateway.errors import ForbiddenError, UnauthorizedError

ALGORITHMS: Final = ["RS256", "ES256"]
REQUIRED: Final = ["sub", "iss", "aud", "iat", "exp"]
TIMEOUT_S: Final = 5.0
KEYS_LIVE_S: Final = 300.0
ASK_AGAIN_S: Final = 10.0
"""Keys that are not known are looked for so often at most, and an issuer that is down is asked so often."""
LONGEST_SUBJECT: Final = 190
NEIGHBOUR: Final = "The OIDC issuer"


class _Discovery(BaseModel):
    issuer: str
    jwks_uri: str


class Issuer:
    """Reads the tokens of one issuer. Blocking: call it in a thread."""

    def __init__(self, settings: OidcSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._keys: jwt.PyJWKClient | None = None
        self._down_until = 0.0
        self._why = ""

    def wrote(self, token: str) -> bool:
        """Whether a token says that it is this issuer's; nothing is checked by this."""
        try:
            payload = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            return False
        return payload.get("iss") == self._settings.issuer

    def caller(self, token: str) -> Caller:
        """Who bears a token.

        Raises
        ------
        UnauthorizedError
            If the token is not good.
        ForbiddenError
            If it is, and gives no role or no clinic here.
        UnavailableError
            If the issuer's keys cannot be had.
        """
        claims = self._claims(token)
        subject = str(claims["sub"])
        if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise UnauthorizedError("The token's subject is empty, too long, or no text.")
        roles = self._roles(claims)
        return Caller(
            id=_who(claims),
            name=str(claims.get("name") or claims.get("preferred_username") or subject)[:LONGEST_SUBJECT],
            clinic_id=self._clinic(claims),
            scopes=scopes_of(roles),
            roles=roles,
        )

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:  # before the issuer is asked for anything
                raise UnauthorizedError(f"The token must be signed with {' or '.join(ALGORITHMS)}.")
            return jwt.decode(
                token,
                self._key(str(header.get("kid"))),
                algorithms=ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_s,
                options={"require": REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise UnauthorizedError("The token has expired.") from error
        except jwt.PyJWTError as error:
            raise UnauthorizedError("The token is not valid here.") from error

    def _key(self, key_id: str) -> jwt.PyJWK:
        with self._lock:
            if time.monotonic() < self._down_until:
                raise UnavailableError(NEIGHBOUR, self._why)
            try:
                if self._keys is None:
                    self._keys = jwt.PyJWKClient(
                        self._settings.jwks_url or self._discovered(),
                        lifespan=KEYS_LIVE_S,
                        timeout=TIMEOUT_S,
                        cooldown_duration=ASK_AGAIN_S,
                    )
                return self._keys.get_signing_key(key_id)
            except (jwt.PyJWKClientConnectionError, OSError, http.client.HTTPException, ValueError) as error:
                self._down_until = time.monotonic() + ASK_AGAIN_S
                self._why = type(error).__name__
                raise UnavailableError(NEIGHBOUR, self._why) from error

    def _discovered(self) -> str:
        """The address of the keys, as the issuer's discovery document tells. Raises OSError, ValueError."""
        url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http(s), by the settings
            found = _Discovery.model_validate_json(answer.read())
        if found.issuer != self._settings.issuer:
            raise ValueError("the discovery document is another issuer's")
        return found.jwks_uri

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        said = _at(claims, self._settings.roles_claim)
        values = cast("list[object]", said) if isinstance(said, list) else str(said or "").split()
        roles = frozenset(Role(role) for value in values for role in self._settings.roles.get(str(value), ()))
        if not roles:
            raise ForbiddenError(f"The token's '{self._settings.roles_claim}' gives no role here.", _who(claims))
        return roles

    def _clinic(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.clinic_claim
        clinic_id = self._settings.clinic if claim is None else _at(claims, claim)
        with self._database.reading() as session:
            known = isinstance(clinic_id, str) and clinic_id.isprintable() and session.get(ClinicRow, clinic_id)
        if not known or not known.active:
            raise ForbiddenError("The token's clinic is not known here, or not active.", _who(claims))
        return known.id


def _who(claims: Mapping[str, Any]) -> str:
    return f"oidc:{claims['sub']}"


def _at(claims: Mapping[str, Any], name: str) -> object:
    """A claim by its name, else by a path with dots."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = cast("Mapping[str, Any]", found).get(step) if isinstance(found, Mapping) else None
    return found
