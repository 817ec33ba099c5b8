"""Empty databases on a PostgreSQL server of the tests."""

import uuid

import psycopg
from psycopg import sql


class Databases:
    """A server on loopback that trusts its clients."""

    def __init__(self, port: int) -> None:
        self.port = port

    def new_database(self) -> str:
        """URL of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        """URL of a database by name."""
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, on the port it had before; returns when it answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop at once; clients lose their connections."""
        raise NotImplementedError
