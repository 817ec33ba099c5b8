"""Links that open one file for a while, for whoever has them.

A link says until when, and who made it, and is signed over that, the file and its clinic. It dies with its time, its
file, its maker's account and its clinic.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from radiarch_common.messages import utc_now
from sqlmodel import Session

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import API
from radiarch_gateway.auth.caller import LOCAL, Caller
from radiarch_gateway.auth.models import ApiKeyRow, ClinicRow, UserRow
from radiarch_gateway.errors import ForbiddenError, MissingError
from radiarch_gateway.plans.models import PlanRow

_PURPOSE: Final = "artifact file"


class ArtifactLink(BaseModel):
    """A link to a file, for who has no account, such as an image viewer."""

    url: str = Field(description="Path on this gateway; whoever has it can read the file until it expires.")
    expires_at: datetime


def make_link(key: bytes, row: ArtifactRow, caller: Caller, lives: timedelta) -> ArtifactLink:
    """A link to an artifact of the caller's clinic."""
    at = (utc_now() + lives).replace(microsecond=0)
    expires = int(at.timestamp())
    signature = f"{_text(caller.id.encode())}.{_sign(key, row.id, caller.clinic_id, caller.id, expires)}"
    query = urlencode({"expires": expires, "signature": signature})
    return ArtifactLink(url=f"{API}/artifacts/{row.id}/file?{query}", expires_at=at)


def linked(session: Session, key: bytes, artifact_id: str, expires: int, signature: str) -> ArtifactRow:
    """The artifact that a link opens.

    Raises
    ------
    ForbiddenError
        If the link has expired, or is not one that was made here for this artifact.
    MissingError
        If the artifact, or who made the link, is no longer here.
    """
    if datetime.fromtimestamp(expires, UTC) <= utc_now():
        raise ForbiddenError("This link has expired: ask for another.")
    row = session.get(ArtifactRow, artifact_id)
    plan = session.get(PlanRow, row.job_id) if row is not None else None
    if row is None or plan is None:
        raise MissingError("artifact", artifact_id)
    maker, _, mac = signature.partition(".")
    caller_id = _bytes(maker).decode(errors="replace")
    if not hmac.compare_digest(mac.encode(), _sign(key, row.id, plan.clinic_id, caller_id, expires).encode()):
        raise ForbiddenError("The signature of this link is not valid for this file.")
    if not _still_there(session, caller_id, plan.clinic_id):
        raise MissingError("artifact", artifact_id)
    return row


def _still_there(session: Session, caller_id: str, clinic_id: str) -> bool:
    """Whether who made a link may still see the clinic's files; a caller of an OIDC issuer is known there alone."""
    clinic = session.get(ClinicRow, clinic_id)
    if clinic is None or not clinic.active:
        return False
    kind, _, name = caller_id.partition(":")
    if kind == "user":
        user = session.get(UserRow, name)
        return user is not None and user.active and user.clinic_id == clinic_id
    if kind == "key":
        key = session.get(ApiKeyRow, name)
        return key is not None and key.revoked_at is None and key.expires_at > utc_now()
    return caller_id == LOCAL.id or kind == "oidc"


def _sign(key: bytes, artifact_id: str, clinic_id: str, caller_id: str, expires: int) -> str:
    said = "\n".join((_PURPOSE, artifact_id, clinic_id, caller_id, str(expires)))
    return _text(hmac.digest(key, said.encode(), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
