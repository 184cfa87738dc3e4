"""Remove deleted rows from the database's files: SQLite's write-ahead log, or the tables of Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dashboard.core.database import Database, upsert
from dashboard.models import ApiCall, OAuthToken, PeriodicTask, Person, Portal, RateLimit, Run, Snapshot

TASK = "vacuum"
TABLES = tuple(table.__tablename__ for table in (Person, OAuthToken, Snapshot, Run, ApiCall, RateLimit, Portal))
DUE_NOW = datetime(1970, 1, 1, tzinfo=UTC)  # on any clock


def request(session: Session) -> None:
    """Have a worker purge deleted rows from the files when this transaction, which deletes people, has ended."""
    upsert(session, PeriodicTask, {"name": TASK, "next_at": DUE_NOW})


def vacuum_deleted_rows(database: Database) -> None:
    """Purge deleted rows from the files: hourly, and soon after a request.

    On SQLite, rows that others are still reading are purged at a later write of this process.
    """
    database.purge_deleted_rows(TABLES)
