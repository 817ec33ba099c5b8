"""One request and its answer: who asks, tried again while that may help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from radiarch_client.errors import PASSING, LoginNeededError, UnavailableError, UnreadableError, error_of
from radiarch_client.flow import Alone, Flow, Open, Send
from radiarch_client.patience import Patience, Waits
from radiarch_client.tokens import LoginAnswer, Tokens, TokenStore

API: Final = "/api/v1"
USER_AGENT: Final = f"radiarch-client/{version('radiarch-client')}"
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""The server has not seen the request."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Ask:
    """A request without its credential.

    Attributes
    ----------
    repeatable
        Whether it may be sent again when its answer was lost.
    passing
        Statuses after which it is sent again, a moment later.
    read_timeout_s
        Of silence; ``None``: the client's.
    """

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = True
    passing: frozenset[int] = PASSING
    read_timeout_s: float | None = None
    opened: bool = False
    as_events: bool = False


class Exchange:
    """Requests to one server, by one person or key, or by nobody. Raises ValueError for what is no address."""

    def __init__(self, server: str, patience: Patience, store: TokenStore, key: str | None, timeout_s: float) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError(f"A server's address is like https://radiarch.example, not {server!r}.")
        self.server = server.rstrip("/")
        self.patience = patience
        self._store = store
        self._key = key
        self._timeout_s = timeout_s
        self._tokens = store.read() if key is None else None
        self._reached = False

    @property
    def limit_s(self) -> float:
        """How long a call tries again."""
        return self.patience.limit_s if self._reached else min(self.patience.first_contact_s, self.patience.limit_s)

    def answer(self, ask: Ask) -> Flow[httpx.Response]:
        """What the server answers, if it is no error."""
        token = yield from self._token()
        response = yield from self._patiently(ask, token)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._tokens is not None:
            token = yield from self._renewed(token)
            response = yield from self._patiently(ask, token)
        if response.is_error:
            raise error_of(response)
        return response

    def model(self, ask: Ask, kind: type[M]) -> Flow[M]:
        """The answer as a model."""
        response = yield from self.answer(ask)
        return read(response, kind)

    def login(self, body: Mapping[str, Any]) -> Flow[Tokens]:
        """Log in. Sent once only: a one-time code is good for one time."""
        response = yield from self._patiently(Ask("POST", "/auth/login", body=body, repeatable=False), None)
        if response.is_error:
            raise error_of(response)
        self._keep(tokens := Tokens.of(read(response, LoginAnswer)))
        return tokens

    def forget(self) -> None:
        """Nobody is logged in any more."""
        self._keep(None)

    def _keep(self, tokens: Tokens | None) -> None:
        self._tokens = tokens
        self._store.write(tokens)

    def _token(self) -> Flow[str | None]:
        if self._key is not None or self._tokens is None:
            return self._key
        if self._tokens.ending:
            return (yield from self._renewed(self._tokens.access_token))
        return self._tokens.access_token

    def _renewed(self, used: str | None) -> Flow[str]:
        """Another access token than the one that was used. Raises LoginNeededError when there is none to be had."""
        token: str = yield Alone(self._renew(used), self._store.alone())
        return token

    def _renew(self, used: str | None) -> Flow[str]:
        kept = self._store.read()
        if kept is not None and kept.access_token != used and not kept.ending:
            self._tokens = kept  # another thread or process was quicker
            return kept.access_token
        if kept is None:
            self._tokens = None
            raise LoginNeededError("The login has ended. Log in again.")
        ask = Ask("POST", "/auth/refresh", body={"refresh_token": kept.refresh_token})
        response = yield from self._patiently(ask, None)
        if response.is_client_error:
            self.forget()
            raise LoginNeededError("The login has ended. Log in again.", error_of(response).problem)
        if response.is_error:
            raise error_of(response)
        self._keep(tokens := Tokens.of(read(response, LoginAnswer)))
        return tokens.access_token

    def _patiently(self, ask: Ask, token: str | None) -> Flow[httpx.Response]:
        """The answer, whatever it is, once it is not one that may pass. Raises UnavailableError when patience ends."""
        waits = Waits(self.patience)
        while True:
            request = self._request(ask, token)
            try:
                response: httpx.Response = yield Open(request, ask.as_events) if ask.opened else Send(request)
            except httpx.TransportError as error:
                trouble = self.unreachable(error)
                if not ask.repeatable and not isinstance(error, NOT_SENT):
                    raise trouble from error
            else:
                self._reached = True
                if response.status_code not in ask.passing:
                    return response
                trouble = error_of(response)
                if not isinstance(trouble, UnavailableError):
                    trouble = UnavailableError(str(trouble), trouble.problem)
            yield from waits.before_next(trouble, self.limit_s)

    def unreachable(self, error: httpx.TransportError) -> UnavailableError:
        """The error of a server that does not answer."""
        found = UnavailableError(f"{self.server} does not answer: {str(error) or type(error).__name__}.")
        found.__cause__ = error
        return found

    def _request(self, ask: Ask, token: str | None) -> httpx.Request:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", **ask.headers}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(self._timeout_s)
        if ask.read_timeout_s is not None:
            timeout = httpx.Timeout(self._timeout_s, read=ask.read_timeout_s)
        return httpx.Request(
            ask.method,
            f"{self.server}{API}{ask.path}",
            params=dict(ask.query) or None,
            json=ask.body,
            headers=headers,
            extensions={"timeout": timeout.as_dict()},
        )


def read(response: httpx.Response, kind: type[M]) -> M:
    """The body as a model. Raises UnreadableError when it is none."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        where = response.request.url
        told = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in told["loc"])
        raise UnreadableError(
            f"{where} answered what is no {kind.__name__}: {place or 'body'}: {told['msg']}."
        ) from error
