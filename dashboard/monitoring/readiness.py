"""Whether requests can be answered and background work is done, and what is in the way if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from dashboard.core import migrations
from dashboard.core.database import Database, upsert
from dashboard.core.stored_times import is_ahead
from dashboard.models import PeriodicTask

HEARTBEAT = "heartbeat"
WRITE_CHECK = "looked"  # the row that is written to learn whether anything can be
WRITE_INTERVAL = timedelta(seconds=15)  # anybody may ask; only so often is it worth a write
HEARTBEAT_TIMEOUT = timedelta(minutes=2)  # after the moment at which a worker was to show that it lives


@dataclass(frozen=True)
class Readiness:
    """What is down, by name; ``warnings`` name what people who open a page do not need."""

    down: tuple[str, ...]
    warnings: tuple[str, ...]


class ReadinessProbe:
    """Looks at database, migrations and worker, each time anew."""

    def __init__(self, *, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._written_at: datetime | None = None
        self._good_revision: str | None = None

    def check(self) -> Readiness:
        """Return what is down at this moment.

        A worker that is gone is a warning: pages are answered without it, and a load balancer that took
        every web process away for it would turn late readings into no pages at all.
        """
        down, warnings = [], []
        try:
            if not self._is_schema_good():
                down.append("migrations")
            else:
                self._check_write()
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
            self._good_revision = present if migrations.is_compatible(self._database) else None
        return self._good_revision is not None

    def _check_write(self) -> None:
        """Store something: a full disk and a read-only server answer every question, and keep nothing.

        :raise SQLAlchemyError: nothing can be stored.
        """
        now = self._now()
        if self._written_at is not None and timedelta() <= now - self._written_at < WRITE_INTERVAL:
            return
        with self._database.write_session() as session:
            upsert(session, PeriodicTask, {"name": WRITE_CHECK, "next_at": now})
        self._written_at = now

    def _is_worker_alive(self) -> bool:
        with self._database.read_session() as session:
            due = session.scalar(select(PeriodicTask.next_at).where(PeriodicTask.name == HEARTBEAT))
        if due is None:
            return False
        now = self._now()
        return now < due + HEARTBEAT_TIMEOUT and not is_ahead(due, now, max_wait=HEARTBEAT_TIMEOUT)
