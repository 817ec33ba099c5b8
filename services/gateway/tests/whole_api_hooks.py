"""What schemathesis loads for test_whole_api.py: who calls, what is sent besides, and a record of the answers."""

import itertools
import json
from pathlib import Path
from typing import Any, Final

import schemathesis

CALLERS: Final = json.loads(Path("callers.json").read_text())
"""Values of ``Authorization``: ``everyday``; ``once``, who may lose their login by a call, and their ``password``.

``bodies``, by path: what is taken there, and no chance would write.
"""
ANSWERS: Final = Path("answers.txt")
PASSWORD: Final = "/api/v1/auth/password"
ENDING: Final = (PASSWORD, "/api/v1/auth/logout")
"""What ends logins: each call by somebody else."""
GOOD: Final = "a password of their own"

ODD: Final = (
    ("Host", "radiarch.example"),
    ("Host", "[::1"),
    ("Accept", "text/html"),
    ("Accept", ";q=x"),
    ("Accept-Encoding", "gzip;q=nan, *"),
    ("Origin", "https://elsewhere.example"),
    ("X-Forwarded-For", "nowhere, 256.0.0.1"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Request-ID", "\xff" * 300),
    ("Cookie", "radiarch_access=elsewhere; =;;"),
    ("Range", "bytes=9-1,x"),
    ("If-None-Match", "*"),
    ("Last-Event-ID", "\xe9"),
    ("Content-Type", "text/plain"),
    ("Content-Type", "application/json; charset=utf-99"),
    ("Content-Encoding", "br"),
    ("Traceparent", "00-z"),
    ("X-HTTP-Method-Override", "DELETE"),
)
"""One with each call, where it has no header of this name."""

_once = iter(CALLERS["once"])
_odd = itertools.cycle(ODD)
_passwords, _bodies = itertools.count(), itertools.count()


@schemathesis.auth(refresh_interval=None)
class Callers:
    """Somebody for each call."""

    def get(self, case: Any, _: Any) -> str:  # noqa: ANN401 - schemathesis's own
        """Their credential."""
        return next(_once) if case.operation.path in ENDING else CALLERS["everyday"]

    def set(self, case: Any, credential: str, _: Any) -> None:  # noqa: ANN401
        """Send it."""
        case.headers["Authorization"] = credential


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401 - as the hook is called
    """Add an odd header; now and then say the right password, or what is taken."""
    name, value = next(_odd)
    case.headers.setdefault(name, value)
    body = case.body
    if case.operation.path == PASSWORD and isinstance(body, dict) and {*body} == {"current_password", "new_password"}:
        turn = next(_passwords) % 3
        body |= {"current_password": CALLERS["password"]} if turn else {}
        body |= {"new_password": GOOD} if turn == 1 else {}
    good = CALLERS["bodies"].get(case.operation.path)
    if good is not None and case.method == "POST" and next(_bodies) % 2:
        case.body = good


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ANN401
    """Write down what was answered."""
    with ANSWERS.open("a") as answers:
        answers.write(f"{case.method} {case.operation.path} {response.status_code}\n")
