"""What every command that uses a server has in common: where it is, who asks, what an error is worth."""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from pydantic import BaseModel
from radiarch_client import (
    DEFAULT_SERVER,
    LoginNeededError,
    NotAllowedError,
    Patience,
    Radiarch,
    RadiarchError,
    UnavailableError,
)
from rich.console import Console

from radiarch_standalone.remote.credentials import LoginFile

FAILED: Final = 1
NOT_ALLOWED: Final = 3
UNREACHABLE: Final = 4

ServerOption = Annotated[str, typer.Option("--server", envvar="RADIARCH_SERVER", help="Address of the server.")]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", envvar="RADIARCH_KEY", help="An API key, instead of a login.", show_envvar=True),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, and nothing else there.")]
HERE: Final = DEFAULT_SERVER

out = Console()
told = Console(stderr=True)
"""Progress and errors: standard output is for what was asked for."""


@contextmanager
def server(address: str, key: str | None) -> Generator[Radiarch]:
    """The server, as this person; an error becomes words and an exit status."""
    with exits():
        try:
            found = Radiarch(address, key=key, store=LoginFile(address), patience=Patience(on_wait=_say))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--server") from error
        with found:
            yield found


@contextmanager
def exits() -> Generator[None]:
    """End with words and a status: 1 refused or failed, 2 asked wrongly, 3 not allowed, 4 not reachable."""
    try:
        yield
    except LoginNeededError as error:
        _end(error, NOT_ALLOWED, "radiarch login, or --key with an API key, says who you are.")
    except NotAllowedError as error:
        _end(error, NOT_ALLOWED, "Whoever administers the server gives the role that it needs.")
    except UnavailableError as error:
        _end(error, UNREACHABLE, "Is the server running, and is --server (RADIARCH_SERVER) its address?")
    except RadiarchError as error:
        _end(error, FAILED, "")


def print_json(*items: BaseModel) -> None:
    """One object."""
    for item in items:
        typer.echo(item.model_dump_json(indent=2))


def print_json_list(items: Sequence[BaseModel]) -> None:
    """One array."""
    typer.echo(json.dumps([item.model_dump(mode="json") for item in items], indent=2))


def _say(trouble: UnavailableError, seconds: float) -> None:
    told.print(f"{trouble} Trying again in {seconds:.0f} s.", style="yellow", highlight=False, markup=False)


def _end(error: RadiarchError, status: int, hint: str) -> None:
    told.print(f"{type(error).__name__.removesuffix('Error')}: {error}", style="red", highlight=False, markup=False)
    if hint:
        told.print(hint, highlight=False, markup=False)
    raise typer.Exit(status) from error
