"""``radiarch login`` and ``radiarch logout``."""

import ipaddress
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from radiarch_client import LoginNeededError, Radiarch, Tokens

from radiarch_standalone.remote.server import HERE, ServerOption, server, told

CODE_NEEDED: Final = "urn:radiarch:problem:totp-code-needed"


def login(
    username: Annotated[str, typer.Option(prompt=True, envvar="RADIARCH_USERNAME", help="Asked for when left out.")],
    password: Annotated[
        str,
        typer.Option(prompt=True, hide_input=True, envvar="RADIARCH_PASSWORD", help="Asked for when left out."),
    ],
    address: ServerOption = HERE,
    code: Annotated[str | None, typer.Option("--totp", help="One-time code; asked for when needed.")] = None,
) -> None:
    """Log in to a server; the login is kept for the commands that follow.

    It is kept in a file that only you can read, renewed as long as it is used, and ended by radiarch logout.
    """
    if _crosses_a_network_in_the_clear(address):
        told.print("[yellow]This server is reached without TLS: anybody on the way can read the password.[/]")
    with server(address, None) as radiarch:
        found = _logged_in(radiarch, username, password, code)
        told.print(f"Logged in to {address} as {username}.", highlight=False, markup=False)
        if found.must_change_password:
            told.print("The server wants a password of your own before anything else.")
            new: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
            radiarch.change_password(password, new)
            told.print("It is set.")


def logout(address: ServerOption = HERE) -> None:
    """End the login to a server, here and there."""
    with server(address, None) as radiarch:
        try:
            radiarch.logout()
        except LoginNeededError:
            told.print("Nobody was logged in.")
        else:
            told.print(f"Logged out of {address}.", highlight=False, markup=False)


def _logged_in(radiarch: Radiarch, username: str, password: str, code: str | None) -> Tokens:
    try:
        return radiarch.login(username, password, code)
    except LoginNeededError as error:
        if code is not None or error.problem is None or error.problem.type != CODE_NEEDED:
            raise
        asked: str = typer.prompt("One-time code", err=True)
        return radiarch.login(username, password, asked.strip())


def _crosses_a_network_in_the_clear(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme != "http" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
