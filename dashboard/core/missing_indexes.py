"""Build the indexes that the models define and the database lacks, on Postgres while others write."""

from __future__ import annotations

import time

import structlog
from sqlalchemy import Index, text
from sqlalchemy.schema import CreateIndex

from dashboard.core.database import Base, Database, extend_time_limits

log = structlog.get_logger()

# A separate lock: a process that waits for the migrations' lock holds a snapshot, and a concurrent build waits until
# every older snapshot ends.
ADVISORY_LOCK = 5_201_315
MAX_SECONDS = 3600.0  # for all indexes; a build waits for transactions that began before it, such as pg_dump's
LOCK_POLL_SECONDS = 1.0
# An interrupted build leaves an index that is not valid.
_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index'",
    "postgresql": "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
    " WHERE indisvalid AND pg_table_is_visible(indrelid)",
}


def build_missing_indexes(database: Database) -> None:
    """Build each missing index. The caller has imported the models and migrated to them.

    A migration locks the table while it builds an index, and nobody can open the application meanwhile. On Postgres
    an index is built concurrently here. Of two processes, the second one waits and finds nothing to do.

    :raise DBAPIError: an index could not be built; the next call tries again.
    """
    if not missing_indexes(database):
        return
    if database.engine.dialect.name == "sqlite":
        with database.write_connection() as connection:
            extend_time_limits(connection, seconds=MAX_SECONDS)
            for index in missing_indexes(database):
                index.create(connection, checkfirst=True)
        return
    with database.engine.begin() as lock_connection:
        extend_time_limits(lock_connection, seconds=MAX_SECONDS)
        # A statement with parameters would keep its snapshot, and the build would wait until that ends.
        while not lock_connection.scalar(text(f"SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK})")):
            time.sleep(LOCK_POLL_SECONDS)
        for index in missing_indexes(database):
            log.info("index_build_started", index=index.name)
            create = str(CreateIndex(index).compile(dialect=database.engine.dialect))
            database.execute_outside_transaction(
                f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}",
                create.replace(" INDEX ", " INDEX CONCURRENTLY ", 1),
                seconds=MAX_SECONDS,
            )


def missing_indexes(database: Database) -> list[Index]:
    """Return the indexes that the models define and the database lacks, or has not built completely.

    Without unique ones: a migration builds those, and the models do not say of which rows.
    """
    with database.engine.connect() as connection:
        present = set(connection.scalars(text(_PRESENT[connection.dialect.name])))
    indexes = (index for table in Base.metadata.sorted_tables for index in table.indexes if not index.unique)
    return sorted((index for index in indexes if index.name not in present), key=lambda index: str(index.name))
