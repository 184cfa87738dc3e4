"""Request that a worker soon removes deleted rows from the database's files; otherwise it does so hourly."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dashboard.core.database import upsert
from dashboard.models import ApiCall, OAuthToken, PeriodicTask, Person, Portal, RateLimit, Run, Snapshot

TASK = "vacuum"  # runs ``Database.purge_deleted_rows(TABLES)``
TABLES = tuple(table.__tablename__ for table in (Person, OAuthToken, Snapshot, Run, ApiCall, RateLimit, Portal))
DUE_NOW = datetime(1970, 1, 1, tzinfo=UTC)  # on any clock


def request(session: Session) -> None:
    """Have a worker purge deleted rows from the files when this transaction, which deletes people, has ended."""
    upsert(session, PeriodicTask, {"name": TASK, "next_at": DUE_NOW})
