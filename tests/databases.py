"""Make, empty and drop databases of the tests' Postgres server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psycopg
import pytest
from sqlalchemy import Connection, NullPool, create_engine, text

# For a test of `each_world` whose SQL another test runs on both databases.
on_sqlite = pytest.mark.parametrize("each_world", ["sqlite_url"], ids=["sqlite"], indirect=True)


def on_both_databases(fixture: str) -> pytest.MarkDecorator:
    """Run a test twice, with a fixture on SQLite and on Postgres; without this mark the fixture is on SQLite."""
    return pytest.mark.parametrize(
        fixture, ["sqlite_url", "migrated_postgres_url"], ids=["sqlite", "postgres"], indirect=True
    )


def url_for(request: pytest.FixtureRequest) -> str:
    """Return the address of the empty database that `on_both_databases` asks for, or of one on SQLite."""
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@contextmanager
def new_database(postgres: str, name: str) -> Iterator[str]:
    """Yield the address of an empty database, and drop it afterwards."""
    with connected(postgres) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield address_of(postgres, name)
    with connected(postgres) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def address_of(postgres: str, name: str) -> str:
    return re.sub(r"/postgres\?", f"/{name}?", postgres)


# What a test may change of a database besides its rows. Postgres gives numbers from 16384 to what is not its own.
SCHEMA = """
SELECT coalesce((SELECT version_num FROM alembic_version), ''),
    (SELECT array_agg(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
        WHERE d.datname = current_database()),
    (SELECT array_agg((oid, relname, relnamespace, relkind, relpersistence, reloptions) ORDER BY oid) FROM pg_class
        WHERE oid >= 16384)::text,
    (SELECT array_agg((attrelid, attname, atttypid, atttypmod, attnotnull, attisdropped) ORDER BY attrelid, attnum)
        FROM pg_attribute WHERE attrelid >= 16384)::text,
    (SELECT array_agg(oid ORDER BY oid) FROM pg_attrdef)::text,
    (SELECT array_agg(oid ORDER BY oid) FROM pg_namespace WHERE oid >= 16384 AND nspname NOT LIKE 'pg_temp%')::text,
    (SELECT array_agg(oid ORDER BY oid) FROM pg_proc WHERE oid >= 16384)::text,
    (SELECT array_agg(oid ORDER BY oid) FROM pg_trigger)::text,
    (SELECT array_agg((oid, conname, convalidated) ORDER BY oid) FROM pg_constraint WHERE oid >= 16384)::text,
    (SELECT array_agg((indexrelid, indisvalid) ORDER BY indexrelid) FROM pg_index WHERE indexrelid >= 16384)::text
"""


TERMINATE_OTHERS = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


# Truncating writes new files for every table and index; deleting the few rows of most tests takes a tenth of that time.
MAX_DELETED_BYTES = 256 * 1024
TABLE_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""
RESTART_IDS = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"


class CopiedDatabase:
    """A copy of a database whose tables are empty, for one test after another.

    Making a database costs several times what emptying one does, so it is copied anew only when its schema changed.
    """

    def __init__(self, postgres: str, name: str, *, original: str) -> None:
        self.address = address_of(postgres, name)
        self._postgres, self._name, self._original = postgres, name, original

    def __enter__(self) -> Self:
        self._copy()
        # Nobody connects to the original: it could not be copied meanwhile.
        with psycopg.connect(self.address, autocommit=True) as connection:
            self._schema = connection.execute(SCHEMA).fetchone()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def empty(self) -> None:
        """End what still uses the database, and bring it back to what it was."""
        if not self._empty_tables():
            self._drop()
            self._copy()

    def _empty_tables(self) -> bool:
        try:
            with psycopg.connect(self.address, autocommit=True) as connection:
                connection.execute(TERMINATE_OTHERS)
                if connection.execute(SCHEMA).fetchone() != self._schema:
                    return False
                sizes: dict[str, int] = dict(connection.execute(TABLE_SIZES).fetchall())
                if sum(sizes.values()) > MAX_DELETED_BYTES:
                    connection.execute(f"TRUNCATE {', '.join(sizes)} RESTART IDENTITY".encode())
                    return True
                # As a replica applies changes: without checking the references between tables.
                connection.execute("SET session_replication_role = replica")
                deletions = "; ".join(f"DELETE FROM {table}" for table, size in sizes.items() if size)
                connection.execute(f"BEGIN; {deletions}; COMMIT".encode())
                connection.execute(RESTART_IDS)
        except psycopg.Error:
            # The test has left a database that cannot be connected or written to.
            return False
        return True

    def _copy(self) -> None:
        with connected(self._postgres) as connection:
            connection.execute(text(f"CREATE DATABASE {self._name} TEMPLATE {self._original}"))

    def _drop(self) -> None:
        with connected(self._postgres) as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)"))


@contextmanager
def connected(postgres: str) -> Iterator[Connection]:
    engine = create_engine(
        postgres.replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection
