"""``audit check``, ``audit export``: the log of every clinic."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from radiarch_gateway.admin.place import opened
from radiarch_gateway.audit.chain import Head
from radiarch_gateway.audit.fhir import audit_event
from radiarch_gateway.audit.store import Wanted, check, entries

audit = typer.Typer(no_args_is_help=True, help="Check and export the audit log.")


@audit.command("check")
def check_log(
    head: Annotated[str | None, typer.Option(help="`sequence:hash` that was noted at an earlier check.")] = None,
) -> None:
    """Tell whether every entry is as it was written.

    Prints the head to be noted elsewhere. Exit status 1: the log was changed; its first wrong entry is named.
    """
    known = _head(head) if head is not None else None
    with opened() as database:
        found = check(database, known)
    if not found.intact:
        typer.echo(found.why, err=True)
        raise typer.Exit(1)
    typer.echo(f"intact; head {found.sequence}:{found.hash}")


@audit.command("export")
def export_log(
    out: Annotated[Path | None, typer.Option(help="A new file; standard output unless given.")] = None,
) -> None:
    """Write the log as FHIR R4 AuditEvents, one a line, oldest first."""
    with opened() as database:
        lines = (json.dumps(audit_event(row), ensure_ascii=False) + "\n" for row in entries(database, Wanted(None)))
        if out is None:
            sys.stdout.writelines(lines)
            return
        with out.open("x", encoding="utf-8") as file:
            file.writelines(lines)


def _head(text: str) -> Head:
    sequence, _, digest = text.partition(":")
    if not sequence.isdecimal() or not digest:
        raise typer.BadParameter("a head is a sequence and its hash: 17:9f86d0...")
    return Head(int(sequence), digest)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(audit, name="audit")
