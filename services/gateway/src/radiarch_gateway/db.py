"""The database: SQLite or Postgres, through the same code.

Sessions are synchronous; async code enters them in a thread. A transaction says beforehand whether it will
write, so that SQLite takes its lock at the start instead of failing in the middle.
"""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, DateTime, Dialect, Engine, TypeDecorator, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session, SQLModel

REQUEST_THREADS = 20
BACKGROUND_THREADS = 10
"""All together no more than there are connections: they wait for one another, and not for a connection."""
BUSY_TIMEOUT_MS = 30_000
SCRUB_WAIT_MS = 10_000
WRITES = "radiarch_writes"
_POOL: Final = {"pool_size": REQUEST_THREADS, "max_overflow": BACKGROUND_THREADS}
AWAY: Final = (OperationalError, InterfaceError, NoConnectionError)
"""The database cannot be used now; later it can."""
REST_S = 1.0
"""A connection that was not used for so long is tried before it is used again."""
_USED = "radiarch_used"
_MIGRATION_LOCK = 0x7261_6469

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, also where the database keeps no zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive time is a defect."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Database:
    """Sessions on one database.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql://user@host/name``.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._writer = self._engine.execution_options(**{WRITES: True})
        self._reader = self._engine
        if self.kind == "postgresql":  # where each statement sees what is committed by then, transaction or not
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.before_commit: Callable[[Session], None] = _nothing_more
        """Called last in every transaction that writes."""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Generator[Session]:
        """A session that only reads."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
            self.before_commit(session)

    def ping(self) -> None:
        """Ask the database something. Raises ``sqlalchemy.exc.SQLAlchemyError``."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Bring the schema up to date; safe when several gateways start at once."""
        with self.migrating() as connection:
            command.upgrade(alembic_config(connection), "head")

    @contextmanager
    def migrating(self) -> Generator[Connection]:
        """One transaction that may change the schema, one at a time over all gateways.

        SQLite changes a table by making it anew, and rows of others may refer to it: there what refers to what is
        looked at when all is done.
        """
        with self._writer.connect() as connection, _references_unchecked(connection), connection.begin():
            if self.kind == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            yield connection
            if self.kind == "sqlite" and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
                raise IntegrityError("PRAGMA foreign_key_check", None, sqlite3.IntegrityError(f"{len(broken)} rows"))

    def scrub(self, tables: Sequence[str]) -> None:
        """Have the files of the database hold nothing of rows that were deleted from these tables.

        SQLite is rewritten whole, and its write-ahead log is emptied. Postgres rewrites the tables; its write-ahead
        log keeps old bytes until it is recycled.

        Raises
        ------
        sqlalchemy.exc.OperationalError
            If others use the database for too long.
        """
        if self.kind == "sqlite":
            self._scrub_sqlite()
            return
        with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"SET lock_timeout = {SCRUB_WAIT_MS}"))
            connection.execute(text(f"VACUUM FULL {', '.join(tables)}"))
            connection.invalidate()  # the next user of this connection shall not have its time-out

    def _scrub_sqlite(self) -> None:
        raw = self._engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("PRAGMA temp_store=MEMORY")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
            cursor.close()
        except sqlite3.OperationalError as error:
            raise OperationalError("VACUUM", None, error) from error
        finally:
            raw.close()
        if row is not None and row[0]:
            raise OperationalError("wal_checkpoint", None, sqlite3.OperationalError("the log is in use"))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _nothing_more(_: Session) -> None: ...


def alembic_config(connection: Connection) -> Config:
    """Alembic over the migrations of this package, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"), **_POOL, connect_args={"connect_timeout": 5}
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_ping_after_a_rest, engine.dialect))
        return engine
    if parsed.drivername != "sqlite":
        raise ValueError(f"database_url must begin with sqlite:/// or postgresql://, not {parsed.drivername}://")
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, **_POOL) if parsed.database else create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _note_use(_: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - psycopg's, wrapped by the pool
    record.info[_USED] = monotonic()


def _ping_after_a_rest(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401
    """The pool's own ``pre_ping`` asks each time: a busy gateway would wait for that as long as for its queries."""
    if monotonic() - record.info.get(_USED, monotonic()) < REST_S:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 - sqlite3's, wrapped by the pool
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver's guess
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


@contextmanager
def _references_unchecked(connection: Connection) -> Generator[None]:
    """SQLite heeds this between transactions only, so that it is said to the driver."""
    if connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
