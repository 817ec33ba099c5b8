"""Templates to answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.page.cookies import FORM_FIELD, form_nonce, form_token, keep_nonce
from radiarch_gateway.version import VERSION

_UNITS: Final = ("B", "kB", "MB", "GB")


def answer(
    request: Request,
    gateway: Gateway,
    template: str,
    content: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page; its forms are bound to the browser that gets it."""
    nonce = form_nonce(request)
    caller = getattr(request.state, "caller", None)
    shared = {
        "version": VERSION,
        "caller": caller,
        "asks_who": gateway.settings.authentication != "none",
        "form_field": FORM_FIELD,
        "form_token": form_token(gateway, nonce),
    }
    text = rendered(template, {**shared, **content})
    response = HTMLResponse(text, status, {"Cache-Control": "no-store"})
    response.headers.update(headers or {})
    keep_nonce(request, gateway, response, nonce)
    return response


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """A template with its content."""
    return _TEMPLATES.get_template(template).render(content)


def _when(at: datetime) -> str:
    """To be read where the browser does not make it local time."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _size(size_bytes: int) -> str:
    amount = float(size_bytes)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    raise AssertionError("the last unit takes everything")


def _wait(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"{seconds / 3600:.0f} hours"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


_TEMPLATES: Final = Environment(
    loader=PackageLoader("radiarch_gateway.page"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"when": _when, "size": _size, "percent": _percent, "wait": _wait}
