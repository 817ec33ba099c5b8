"""A real PostgreSQL server: the binaries of this machine, a data folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from radiarch_standalone.ports import free_port

from radiarch_testkit.containers import daemon_answers, prefers_containers, running_container
from radiarch_testkit.databases import Databases
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


class PostgresServer(Databases):
    """PostgreSQL as installed, on a folder of its own."""

    def __init__(self, folder: Path, pg_ctl: str) -> None:
        super().__init__(free_port())
        self._folder = folder
        self._pg_ctl = pg_ctl

    def start(self) -> None:
        """See ``Databases.start``."""
        self._control("-w", "-t", str(READY_WITHIN_S), "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        """See ``Databases.stop``."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        _run(self._folder, self._pg_ctl, "-D", str(self._folder / "data"), *arguments)


def _run(folder: Path, *command: str) -> None:
    user = _user()
    groups = None if user is None else list[int]()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user, extra_groups=groups)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A running PostgreSQL without a database of ours: this machine's, else one in a container."""
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    here = initdb is not None and pg_ctl is not None and not prefers_containers()
    require(
        here or daemon_answers(),
        "no PostgreSQL (Debian: postgresql), and no Docker daemon to run one",
    )
    with running_here() if here else running_container() as server:
        yield server


@contextmanager
def running_here(*, safe: bool = False) -> Generator[Databases]:
    """PostgreSQL of this machine on a folder of its own; ``safe``: it waits for the disk, as for real."""
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    if initdb is None or pg_ctl is None:
        raise FileNotFoundError("no PostgreSQL here (Debian: postgresql)")
    # Not pytest's own folder: only its owner may pass there, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="radiarch-postgres-"))
    try:
        if (user := _user()) is not None:
            shutil.chown(folder, user)
        arguments = ["-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
        _run(folder, initdb, *arguments)
        server = PostgresServer(folder, pg_ctl)
        with (folder / "data" / "postgresql.conf").open("a") as config:
            config.write(f"port = {server.port}\nlisten_addresses = '127.0.0.1'\n")
            config.write(f"fsync = {'on' if safe else 'off'}\n")
            config.write(f"unix_socket_directories = '{folder}'\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
