"""``/hooks``: hints that something came into a PACS, and how the watch over each is doing."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel, Field
from radiarch_common.messages import utc_now
from radiarch_common.settings import WebPacsSettings
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from radiarch_gateway.auth.guard import RulesReader
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import UnauthorizedError
from radiarch_gateway.hooks.signature import check_signature, check_token
from radiarch_gateway.hooks.watches import WatchView, watch_views
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/hooks", tags=["hooks"])

MOST_BYTES = 64 * 1024

PacsPath = Annotated[str, Path(min_length=1, max_length=64, description="A watched connector.")]
Timestamp = Annotated[
    str | None, Header(alias="X-Radiarch-Timestamp", pattern=r"^[0-9]{1,12}$", description="Seconds since 1970.")
]
Signature = Annotated[
    str | None,
    Header(
        alias="X-Radiarch-Signature",
        pattern=r"^[0-9a-f]{64}$",
        description="Hexadecimal HMAC-SHA256 of `<timestamp>.<body>`, keyed by the secret of this PACS.",
    ),
]
Token = Annotated[
    str | None,
    Header(
        alias="X-Radiarch-Token",
        min_length=1,
        max_length=500,
        description="For senders that cannot sign, where the PACS has a token: over loopback or TLS alone.",
    ),
]


class Hint(BaseModel):
    """What became of a hint."""

    woken: bool = Field(description="`false`: this signed hint was heard before, and did nothing.")


class Hooks(BaseModel):
    """The watch over every PACS."""

    active_rules: int = Field(description="Of all clinics; with none, changes are read and not looked at.")
    pacs: list[WatchView]


@router.post(
    "/orthanc/{pacs}", summary="Something came into a PACS", status_code=202, responses=problems(401, 408, 422)
)
async def hint(
    gateway: GatewayDep,
    request: Request,
    pacs: PacsPath,
    timestamp: Timestamp = None,
    signature: Signature = None,
    token: Token = None,
) -> Hint:
    """Have a PACS looked at now, rather than some seconds later.

    The body may be anything and is not read: what came is found in the PACS itself, with a hint or without. A hint
    that is sent again, as after a lost answer, is answered the same and does nothing.
    """
    settings = gateway.settings.pacs.get(pacs)
    watcher = gateway.watchers.get(pacs)
    body = await _body(request)
    if watcher is None or not isinstance(settings, WebPacsSettings):
        raise UnauthorizedError("No watched PACS has this name, or the hint is not its own.")
    if token is not None:
        check_token(settings, token)
        signature = None
    else:
        signature = _checked(settings, timestamp, signature, body, utc_now())
    woken = await run_in_threadpool(watcher.store.hint, signature)
    if woken:
        watcher.wake()
    return Hint(woken=woken)


@router.get("", summary="See the watch over every PACS")
def list_hooks(gateway: GatewayDep, _: RulesReader) -> Hooks:
    """How far each watched PACS was read, when, and what went wrong last."""
    return _hooks(gateway)


def _hooks(gateway: Gateway) -> Hooks:
    with gateway.database.reading() as session:
        active, views = watch_views(session, sorted(gateway.watchers))
    return Hooks(active_rules=active, pacs=views)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"A hint has at most {MOST_BYTES} bytes.")
    return body


def _checked(
    settings: WebPacsSettings, timestamp: str | None, signature: str | None, body: bytes, now: datetime
) -> str:
    if settings.hook_secret is None or timestamp is None or signature is None:
        raise UnauthorizedError("No watched PACS has this name, or the hint is not its own.")
    check_signature(settings.hook_secret.get_secret_value().encode(), timestamp, signature, body, now)
    return signature
