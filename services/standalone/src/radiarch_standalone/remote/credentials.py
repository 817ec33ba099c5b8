"""Logins of the command line: one file for each server, which nobody else can read."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from platformdirs import user_config_path
from pydantic import ValidationError
from radiarch_client import RadiarchError, Tokens


class LoginFileError(RadiarchError):
    """A login that was kept cannot be read."""


class LoginFile:
    """The login to one server, kept for the next command; a ``TokenStore`` of the client."""

    def __init__(self, server: str, folder: Path | None = None) -> None:
        self._folder = folder or user_config_path("radiarch") / "logins"
        self.path = self._folder / f"{quote(server.rstrip('/'), safe='')}.json"

    def read(self) -> Tokens | None:
        """The login; ``None`` when there is none. Raises LoginFileError."""
        try:
            return Tokens.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise LoginFileError(f"{self.path} cannot be read. Remove it, and log in again.") from error

    def write(self, tokens: Tokens | None) -> None:
        """Keep a login, whole or not at all; ``None``: forget it."""
        if tokens is None:
            self.path.unlink(missing_ok=True)
            return
        self._make_folder()
        handle, name = tempfile.mkstemp(dir=self._folder)  # mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(tokens.model_dump_json())
        Path(name).replace(self.path)

    @contextmanager
    def alone(self) -> Generator[None]:
        """No other command renews this login meanwhile."""
        self._make_folder()
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
