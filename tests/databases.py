"""Make, empty and drop databases of the tests' Postgres server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError


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


def emptied(address: str, *, schema: object) -> bool:
    """Empty all tables of a database, or return False: it cannot be written to, or its schema is another."""
    try:
        with connected(address) as connection:
            if connection.execute(text(SCHEMA)).one() != schema:
                return False
            tables = connection.scalars(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
            )
            connection.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"))
    except DBAPIError:
        return False
    return True


@contextmanager
def connected(postgres: str) -> Iterator[Connection]:
    engine = create_engine(
        postgres.replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection
