"""The whole store copied from one database into another, and both compared: SQLite to Postgres or back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, func, insert, inspect, select, text, tuple_

from dashboard.core import migrations
from dashboard.core.database import Base, Database, allow_time

BATCH_ROWS = 500
# Either side waits for the other: for the batch that is written, for a whole table that is read back.
MAX_SECONDS = 3600.0


class CannotCopy(Exception):
    """Nothing was copied; the message says why, in words for an operator."""


def copy(source: Database, target: Database, *, batch: int = BATCH_ROWS) -> dict[str, int]:
    """Copy every row and return the number of rows by table.

    One transaction on each side: what is copied is one moment of the source, and a copy that fails, or
    that does not read back the same, leaves the target empty.

    :raise CannotCopy: the source's schema is not this version's, the target holds something, or what was
        written reads back differently.
    """
    if not migrations.is_current(source):
        raise CannotCopy("The source's schema is not this version's; migrate it first.")
    _prepare(target)
    with _read_snapshot(source) as reading, _write_connection(target) as writing:
        for connection in (reading, writing):
            allow_time(connection, seconds=MAX_SECONDS)
        _refuse_rows(writing)
        return {table.name: _copy_table(table, reading, writing, batch) for table in Base.metadata.sorted_tables}


def _prepare(target: Database) -> None:
    """Make the schema where there is nothing at all."""
    target.create_file()
    tables = set(inspect(target.engine).get_table_names())
    if tables - {"alembic_version", *Base.metadata.tables}:
        raise CannotCopy("The target holds tables of something else; give it a database of its own.")
    migrations.upgrade(target)


def _read_snapshot(source: Database) -> Connection:
    if source.engine.dialect.name == "sqlite":
        return source.engine.connect()
    return source.engine.execution_options(isolation_level="REPEATABLE READ").connect()


def _write_connection(target: Database) -> Any:
    return target.engine.execution_options(sqlite_begin="IMMEDIATE").begin()


def _refuse_rows(writing: Connection) -> None:
    for table in Base.metadata.sorted_tables:
        if writing.execute(select(table).limit(1)).first() is not None:
            raise CannotCopy(f"The target is not empty: {table.name} has rows. Nothing was changed.")


def _copy_table(table: Table, reading: Connection, writing: Connection, size: int) -> int:
    copied, arrived, count = 0, 0, 0
    for batch in _batches(table, reading, size):
        writing.execute(insert(table), batch)
        count += len(batch)
        copied += _checksum(batch)
    _restart_sequences(table, reading, writing)
    for batch in _batches(table, writing, size):
        arrived += _checksum(batch)
    if copied != arrived:
        raise CannotCopy(f"{table.name} does not read back as it was written. Nothing was kept.")
    return count


def _batches(table: Table, connection: Connection, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows in the order of their key; by key, not by offset, so that each batch costs the same."""
    key = list(table.primary_key)
    ordered = select(table).order_by(*key).limit(size)
    after = ordered
    while rows := [dict(row) for row in connection.execute(after).mappings()]:
        yield rows
        last = tuple_(*(rows[-1][column.name] for column in key))
        after = ordered.where(tuple_(*key) > last)


def _checksum(batch: list[dict[str, Any]]) -> int:
    """Return the sum of the rows' hashes: the two databases may sort text differently."""
    lines = (json.dumps(row, default=_comparable, sort_keys=True) for row in batch)
    return sum(int.from_bytes(sha256(line.encode()).digest()) for line in lines)


def _comparable(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _restart_sequences(table: Table, reading: Connection, writing: Connection) -> None:
    """Give the next row the number it would have had: rows came with theirs, which moves no counter.

    A number that belonged to somebody deleted is not given again, there no more than here.
    """
    column = table.autoincrement_column
    if column is None:
        return
    highest = writing.scalar(select(func.max(column))) or 0
    last = max(highest, _counter(table, column.name, reading))
    if last == 0:
        return
    if writing.dialect.name == "sqlite":
        if table.dialect_options["sqlite"]["autoincrement"]:
            _set_sqlite_counter(table, writing, last)
    else:
        sequence = "SELECT setval(pg_get_serial_sequence(:table, :column), :last)"
        writing.execute(text(sequence), {"table": table.name, "column": column.name, "last": last})


def _counter(table: Table, column: str, reading: Connection) -> int:
    """Return the last number the source has given."""
    if reading.dialect.name == "sqlite":
        if not table.dialect_options["sqlite"]["autoincrement"]:
            return 0
        found = reading.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        return int(found or 0)
    name = reading.scalar(
        text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column}
    )
    # The name comes from the catalogue, quoted as it has to be.
    given = reading.execute(text(f"SELECT last_value, is_called FROM {name}")).one()  # noqa: S608
    return int(given.last_value) if given.is_called else 0


def _set_sqlite_counter(table: Table, writing: Connection, last: int) -> None:
    writing.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
    row = {"table": table.name, "last": last}
    writing.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), row)
