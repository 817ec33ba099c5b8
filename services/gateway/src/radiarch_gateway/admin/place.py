"""Which database a command works on, and how it tells what went wrong."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import typer
from radiarch_common.errors import RadiarchError, RefusedError
from radiarch_common.settings import settings_or_exit

from radiarch_gateway.audit.ledger import Audit
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.db import AWAY, Database

DATABASE_FILE = "radiarch.db"
_SQLITE = "sqlite:///"


class _Place:
    """Where the command shall work, as the options before it said."""

    data: Path | None = None


def choose(data: Path | None) -> None:
    """Work on the database in a folder of ``radiarch up``; ``None``: on that of the settings."""
    _Place.data = data


@contextmanager
def opened(*, new: bool = False) -> Generator[Database]:
    """The database, its schema up to date; what was refused becomes a message and exit status 1.

    ``new`` makes one where there is none.
    """
    try:
        url = _url(new=new)
        database = Database(url)
        try:
            database.migrate()
            Audit(database, ServerSecret(settings_or_exit(), database)).prepare()
            yield database
        finally:
            database.close()
    except RadiarchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except AWAY as error:
        typer.echo(f"The database does not answer: {getattr(error, 'orig', error)}", err=True)
        raise typer.Exit(1) from error


def _url(*, new: bool) -> str:
    url = f"{_SQLITE}{_Place.data / DATABASE_FILE}" if _Place.data else settings_or_exit().database_url
    file = url.removeprefix(_SQLITE)
    if not new and url.startswith(_SQLITE) and not Path(file).is_file():
        raise RefusedError(
            f"There is no database {file}.",
            "Name a folder with --data, or set RADIARCH_DATABASE_URL; start Radiarch once.",
        )
    return url
