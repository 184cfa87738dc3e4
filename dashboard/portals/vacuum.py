"""Clear deleted rows out of the database's files: SQLite's write-ahead log, and the tables of Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dashboard.core.database import Database, put_row
from dashboard.models import ApiCall, Bucket, Chain, Chore, Person, Portal, Run, Snapshot

TASK = "vacuum"
TABLES = tuple(table.__tablename__ for table in (Person, Chain, Snapshot, Run, ApiCall, Bucket, Portal))
# A deadline that has come on every clock.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


def request(session: Session) -> None:
    """Have a worker clear the files once this transaction, which deletes people, has ended."""
    put_row(session, Chore, {"name": TASK, "next_at": AT_ONCE})


def clear(database: Database) -> None:
    """Clear the files; what somebody still reads on SQLite follows at one of this process's next writes."""
    database.clear_files(TABLES)
