"""Clear deleted rows out of the database's files: SQLite's write-ahead log, and the tables of Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dashboard.core.database import Database, upsert
from dashboard.models import ApiCall, OAuthToken, PeriodicTask, Person, Portal, RateLimit, Run, Snapshot

TASK = "vacuum"
TABLES = tuple(table.__tablename__ for table in (Person, OAuthToken, Snapshot, Run, ApiCall, RateLimit, Portal))
# A deadline that has come on every clock.
MAX_TABLES = datetime(1970, 1, 1, tzinfo=UTC)


def request(session: Session) -> None:
    """Have a worker clear the files once this transaction, which deletes people, has ended."""
    upsert(session, PeriodicTask, {"name": TASK, "next_at": MAX_TABLES})


def vacuum_if_requested(database: Database) -> None:
    """Clear the files; what somebody still reads on SQLite follows at one of this process's next writes."""
    database.clear_files(TABLES)
