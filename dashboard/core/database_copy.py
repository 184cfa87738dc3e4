"""Copy all rows from one database into another, from SQLite to Postgres or back, and compare the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table, func, insert, inspect, select, text, tuple_

from dashboard.core import migrations
from dashboard.core.database import Base, Database, extend_time_limits

BATCH_ROWS = 500
# For each statement: one side is idle while the other writes a batch or reads a table.
MAX_SECONDS = 3600.0


class CannotCopy(Exception):
    """Nothing was copied; the message tells the operator why."""


def copy(source: Database, target: Database, *, batch: int = BATCH_ROWS) -> dict[str, int]:
    """Copy every row and return the number of rows by table.

    The source is read in one transaction, so the copy is consistent. The target is written in one transaction, so
    it stays empty if the copy fails or differs.

    :raise CannotCopy: the source's schema is not this version's, the target is not empty, or the copy differs.
    """
    if not migrations.is_current(source):
        raise CannotCopy("The source's schema is not this version's; migrate it first.")
    _migrate_target(target)
    with (
        source.engine.connect() as reader,
        target.write_connection() as writer,
    ):
        if source.engine.dialect.name == "postgresql":
            # Not the connection's isolation level: the pool's ping has begun the transaction already.
            reader.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        for connection in (reader, writer):
            extend_time_limits(connection, seconds=MAX_SECONDS)
        for table in Base.metadata.sorted_tables:
            if writer.execute(select(table).limit(1)).first() is not None:
                raise CannotCopy(f"The target is not empty: {table.name} has rows. Nothing was changed.")
        return {table.name: _copy_table(table, reader, writer, batch) for table in Base.metadata.sorted_tables}


def _migrate_target(target: Database) -> None:
    target.create_file()
    if set(inspect(target.engine).get_table_names()) - {"alembic_version", *Base.metadata.tables}:
        raise CannotCopy("The target holds tables of something else; give it a database of its own.")
    migrations.upgrade(target)


def _copy_table(table: Table, reader: Connection, writer: Connection, size: int) -> int:
    for rows in _batches(table, reader, size):
        writer.execute(insert(table), rows)
    _copy_sequence(table, reader, writer)
    count = 0
    for rows in _batches(table, reader, size):
        originals = _by_key(table, rows)
        copies = writer.execute(select(table).where(tuple_(*table.primary_key).in_(originals))).mappings()
        if _by_key(table, copies) != originals:
            raise CannotCopy(f"{table.name} differs after the copy. Nothing was kept.")
        count += len(rows)
    if writer.scalar(select(func.count()).select_from(table)) != count:
        raise CannotCopy(f"{table.name} has more rows than were written. Nothing was kept.")
    return count


def _by_key(table: Table, rows: Iterable[Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[column.name] for column in table.primary_key): dict(row) for row in rows}


def _batches(table: Table, connection: Connection, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows in the order of their key, starting each batch after the last key instead of at an offset."""
    key = list(table.primary_key)
    first = batch = select(table).order_by(*key).limit(size)
    while rows := [dict(row) for row in connection.execute(batch).mappings()]:
        yield rows
        batch = first.where(tuple_(*key) > tuple_(*(rows[-1][column.name] for column in key)))


def _copy_sequence(table: Table, reader: Connection, writer: Connection) -> None:
    """Set the counter of the target's ids to that of the source, because inserting rows with ids does not move it.

    So the id of a deleted row is never used again.
    """
    column = table.autoincrement_column
    if column is None or not (last := _last_id(column, reader)):
        return
    values = {"table": table.name, "column": column.name, "last": last}
    if writer.dialect.name == "postgresql":
        writer.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), values)
    elif table.dialect_options["sqlite"]["autoincrement"]:
        writer.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), values)
        writer.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), values)


def _last_id(column: Column[Any], reader: Connection) -> int:
    """Return the last id that the source has used, 0 for none."""
    values = {"table": column.table.name, "column": column.name}
    if reader.dialect.name == "sqlite":
        used = reader.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), values)
    else:
        sequence = reader.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), values)
        # Postgres returns the name quoted.
        used = reader.scalar(text(f"SELECT last_value FROM {sequence} WHERE is_called"))  # noqa: S608  # our own names
    return max(used or 0, reader.scalar(select(func.max(column))) or 0)
