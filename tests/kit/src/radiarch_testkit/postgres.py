"""A real PostgreSQL server: the binaries of this machine, a data folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from radiarch_standalone.ports import free_port

from radiarch_testkit.require import require

READY_WITHIN_S = 60
DEBIAN = Path("/usr/lib/postgresql")


def _binary(name: str) -> str | None:
    """On the PATH, else of the newest version that Debian has put aside."""
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def _user() -> str | None:
    """Whom the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@dataclass(frozen=True)
class PostgresServer:
    """A running server that trusts whoever is on this machine."""

    folder: Path
    port: int
    pg_ctl: str

    def new_database(self) -> str:
        """URL of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, on the port it had before; returns when it answers."""
        self._control("-w", "-t", str(READY_WITHIN_S), "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Stop at once; clients lose their connections."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        _run(self.folder, self.pg_ctl, "-D", str(self.folder / "data"), *arguments)


def _run(folder: Path, *command: str) -> None:
    user = _user()
    groups = None if user is None else list[int]()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user, extra_groups=groups)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL without a database of ours."""
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    require(initdb is not None and pg_ctl is not None, "no PostgreSQL: Debian's package 'postgresql' is not installed")
    # Not pytest's own folder: only its owner may pass there, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="radiarch-postgres-"))
    try:
        if (user := _user()) is not None:
            shutil.chown(folder, user)
        arguments = ["-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
        _run(folder, str(initdb), *arguments)
        server = PostgresServer(folder, free_port(), str(pg_ctl))
        with (folder / "data" / "postgresql.conf").open("a") as config:
            config.write(f"port = {server.port}\nlisten_addresses = '127.0.0.1'\nfsync = off\n")
            config.write(f"unix_socket_directories = '{folder}'\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
