"""Whether requests can be answered and background work is done, and what is in the way if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from dashboard.core import migrations
from dashboard.core.database import Database, put_row
from dashboard.core.stored_times import is_ahead
from dashboard.models import Chore

HEARTBEAT = "heartbeat"
LOOKED = "looked"  # the row that is written to learn whether anything can be
WRITE_AGAIN = timedelta(seconds=15)  # anybody may ask; only so often is it worth a write
MISSED = timedelta(minutes=2)  # after the moment at which a worker was to show that it lives


@dataclass(frozen=True)
class Readiness:
    """What is down, by name; ``warnings`` name what people who open a page do not need."""

    down: tuple[str, ...]
    warnings: tuple[str, ...]


class Probe:
    """Looks at database, migrations and worker, each time anew."""

    def __init__(self, *, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._written_at: datetime | None = None
        self._good_revision: str | None = None

    def look(self) -> Readiness:
        """Return what is down at this moment.

        A worker that is gone is a warning: pages are answered without it, and a load balancer that took
        every web process away for it would turn late readings into no pages at all.
        """
        down, warnings = [], []
        try:
            if not self._is_schema_good():
                down.append("migrations")
            else:
                self._write()
                if not self._is_worker_alive():
                    warnings.append("worker")
        except SQLAlchemyError as error:
            self._database.outages.failed(error)
            down.append("database")
        return Readiness(tuple(down), tuple(warnings))

    def _is_schema_good(self) -> bool:
        """Look at the revision each time, and at the columns once a revision: anybody may ask."""
        present = migrations.revision(self._database)
        if present is None or present != self._good_revision:
            self._good_revision = present if migrations.suffices(self._database) else None
        return self._good_revision is not None

    def _write(self) -> None:
        """Store something: a full disk and a read-only server answer every question, and keep nothing.

        :raise SQLAlchemyError: nothing can be stored.
        """
        now = self._now()
        if self._written_at is not None and timedelta() <= now - self._written_at < WRITE_AGAIN:
            return
        with self._database.writing() as session:
            put_row(session, Chore, {"name": LOOKED, "next_at": now})
        self._written_at = now

    def _is_worker_alive(self) -> bool:
        with self._database.reading() as session:
            due = session.scalar(select(Chore.next_at).where(Chore.name == HEARTBEAT))
        if due is None:
            return False
        now = self._now()
        return now < due + MISSED and not is_ahead(due, now, max_wait=MISSED)
