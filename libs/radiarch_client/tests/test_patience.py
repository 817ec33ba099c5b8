"""What is tried again, how often, and what is not."""

import json
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest
from radiarch_client import (
    ConflictError,
    LoginNeededError,
    MissingError,
    NotAllowedError,
    Patience,
    RadiarchError,
    RefusedError,
    ServerError,
    UnavailableError,
    UnreadableError,
)
from radiarch_client.errors import retry_after_s
from radiarch_client.patience import Waits
from radiarch_testkit.played import PLAN, Played, problem


def answers(*given: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Each in turn."""
    left = list(given)

    def handle(_: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def taken() -> httpx.Response:
    job = {"id": PLAN["id"], "url": "", "events_url": ""}
    return httpx.Response(202, json=PLAN | {"url": "", "deadline": PLAN["created_at"], "job": job})


def test_a_plan_whose_answer_was_lost_is_asked_for_again_by_the_same_name(client: Played) -> None:
    """Fails when a retry has another Idempotency-Key: the gateway would make a second plan.

    The first request arrived and its answer was lost; the second met the first, still being taken.
    """
    client.handler = answers(
        httpx.ReadError("cut"),
        problem(409, "being taken"),
        problem(503, "No catalogue."),
        httpx.ConnectError(""),
        taken(),
    )
    assert client(lambda c: c.plan({"workflow": "w"})).id == PLAN["id"]
    keys = {request.headers["Idempotency-Key"] for request in client.seen}
    assert (len(client.seen), len(keys)) == (5, 1)
    assert {request.content for request in client.seen} == {
        json.dumps({"workflow": "w"}, separators=(",", ":")).encode()
    }
    client.handler = answers(taken())
    client(lambda c: c.plan({"workflow": "w"}))
    assert client.seen[-1].headers["Idempotency-Key"] not in keys, "another call is another plan"


def test_a_name_of_ones_own_that_was_used_for_another_body_is_a_conflict(client: Played) -> None:
    """Fails when it is tried again for a minute: it will never be right."""
    client.handler = answers(problem(409, "This Idempotency-Key was used before, with another body."))
    with pytest.raises(ConflictError, match="another body"):
        client(lambda c: c.plan({"workflow": "w"}, key="mine"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, LoginNeededError),
        (403, NotAllowedError),
        (404, MissingError),
        (409, ConflictError),
        (413, RefusedError),
        (422, RefusedError),
        (500, ServerError),
    ],
)
def test_what_will_not_pass_is_said_at_once(client: Played, status: int, kind: type[RadiarchError]) -> None:
    """Fails when a refusal is repeated, or its words are lost."""
    client.handler = answers(problem(status, "So it is."))
    with pytest.raises(kind, match="So it is") as raised:
        client(lambda c: c.job("0job00001"))
    assert raised.value.problem is not None
    assert raised.value.problem.status == status


def test_a_refusal_names_its_fields(client: Played) -> None:
    """A program reads the fields, a person the message."""
    errors = [{"field": "prescription.fractions", "message": "Too many.", "allowed": "at most 50"}]
    client.handler = answers(problem(422, "1 field of the request is wrong.", errors=errors))
    with pytest.raises(RefusedError, match=r"prescription\.fractions: Too many\. Allowed: at most 50") as raised:
        client(lambda c: c.plan({}))
    assert [error.field for error in raised.value.errors] == ["prescription.fractions"]


def test_what_is_no_radiarch_is_told(client: Played) -> None:
    """A proxy's page is not a plan."""
    client.handler = lambda _: httpx.Response(200, text="<html>Welcome</html>")
    with pytest.raises(UnreadableError, match="no JobView"):
        client(lambda c: c.job("0job00001"))


def test_an_id_cannot_leave_its_path(client: Played) -> None:
    """Fails when an id with a slash asks for something else."""
    client.handler = answers(problem(404, "None."))
    with pytest.raises(MissingError):
        client(lambda c: c.job("../plans?x"))
    assert client.seen[0].url.raw_path == b"/api/v1/jobs/..%2Fplans%3Fx"


@pytest.mark.parametrize("address", ["", "radiarch.example", "ftp://radiarch.example", "http://"])
def test_an_address_is_one(address: str) -> None:
    from radiarch_client import Radiarch

    with pytest.raises(ValueError, match="like https"):
        Radiarch(address)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, flow: Generator[Any, Any, None]) -> None:
        for move in flow:
            self.slept.append(move.seconds)
            self.now += move.seconds


def test_delays_grow_heed_the_server_and_end() -> None:
    """Fails when delays do not grow, are shorter than Retry-After, or go on past the limit."""
    clock = Clock()
    told: list[float] = []
    patience = Patience(first_s=1.0, longest_s=4.0, on_wait=lambda _, wait_s: told.append(wait_s), clock=clock)
    waits = Waits(patience)
    down = UnavailableError("down")
    for _ in range(4):
        clock.wait(waits.before_next(down, 60.0))
    for slept, most in zip(clock.slept, (1.0, 2.0, 4.0, 4.0), strict=True):
        assert 0.75 * most <= slept <= most
    clock.wait(waits.before_next(UnavailableError("down", retry_after_s=30.0), 60.0))
    assert clock.slept[-1] == 30.0
    assert told == clock.slept
    with pytest.raises(UnavailableError) as raised:
        clock.wait(waits.before_next(UnavailableError("down", retry_after_s=30.0), 60.0))
    assert raised.value.retry_after_s == 30.0


def test_a_server_that_never_answered_is_not_waited_for_long(client: Played) -> None:
    """Fails when a misspelt address hangs a minute; one that has answered may be restarting."""
    refused = httpx.ConnectError("refused")
    client.options = {"patience": Patience(first_s=0.0, first_contact_s=0.0)}
    client.handler = answers(*[refused] * 3)
    with pytest.raises(UnavailableError, match="does not answer"):
        client(lambda c: c.info())
    assert len(client.seen) == 1


def test_retry_after_in_both_forms() -> None:
    assert retry_after_s("7") == 7.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s("soon") is None
