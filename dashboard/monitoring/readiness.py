"""Check whether requests can be answered and a worker is alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.core import migrations
from dashboard.core.database import Database, dialect_of, upsert
from dashboard.core.stored_times import is_ahead
from dashboard.models import PeriodicTask, Person, Portal

HEARTBEAT = "heartbeat"
WRITE_CHECK = "looked"  # the row that is written to find out whether the database can be written to
WRITE_INTERVAL = timedelta(seconds=15)  # `/readyz` is public, so not every request causes a write
HEARTBEAT_TIMEOUT = timedelta(minutes=2)

# Postgres keeps what does not fit into `work_mem` in a temporary file beside the tables, here 140 KB. That writes no
# WAL and leaves no dead rows, and no table's free space can take it. `temp_tablespaces` may name another disk.
WRITE_TEMPORARY_FILE = """
SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''; SELECT count(*) FROM generate_series(1, 10000)
"""
# SQLite's file and write-ahead log may have room for a row, but not for an opening, which writes ten pages. A long
# name takes pages in the table and in its index; SQLite does not limit its length.
LONG_NAME = "x" * 40_000


@dataclass(frozen=True)
class Readiness:
    """Names of what is down; ``warnings`` name what pages do not need."""

    down: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class ReadinessProbe:
    """Checks the database, its migrations and the worker."""

    def __init__(self, *, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._written_at: datetime | None = None
        self._compatible_revision: str | None = None

    def check(self) -> Readiness:
        """Return what is down now.

        A missing worker is only a warning, because pages work without it and a load balancer would otherwise
        remove every web process.
        """
        try:
            if not self._is_schema_compatible():
                return Readiness(down=("migrations",))
            if not self._can_write():
                return Readiness(down=("database",))
            return Readiness() if self._is_worker_alive() else Readiness(warnings=("worker",))
        except SQLAlchemyError as error:
            self._database.outages.record_failure(error)
            return Readiness(down=("database",))

    def _is_schema_compatible(self) -> bool:
        """Read the revision each time, but compare the columns only once per revision."""
        revision = migrations.revision(self._database)
        if revision is None or revision != self._compatible_revision:
            self._compatible_revision = revision if migrations.is_compatible(self._database) else None
        return self._compatible_revision is not None

    def _can_write(self) -> bool:
        """Write a row and take new space: a database with a full disk, or a read-only one, still answers every query.

        The main tables are read too, because another session may have locked them.

        :return: False if the role lacks a right on another table.
        :raise SQLAlchemyError: nothing can be written.
        """
        now = self._now()
        if self._written_at is not None and timedelta() <= now - self._written_at < WRITE_INTERVAL:
            return True
        with self._database.write_session() as session:
            session.execute(select(Portal.id, Person.id).join_from(Portal, Person).limit(1))
            upsert(session, PeriodicTask, {"name": WRITE_CHECK, "next_at": now})
            _take_space(session, now)
        if migrations.missing_privileges(self._database):
            return False
        self._written_at = now
        return True

    def _is_worker_alive(self) -> bool:
        with self._database.read_session() as session:
            due_at = session.scalar(select(PeriodicTask.next_at).where(PeriodicTask.name == HEARTBEAT))
        if due_at is None:
            return False
        now = self._now()
        return now < due_at + HEARTBEAT_TIMEOUT and not is_ahead(due_at, now, max_wait=HEARTBEAT_TIMEOUT)


def _take_space(session: Session, now: datetime) -> None:
    """Take more space on the disk than an opening does, and give it back.

    On a full disk a row can still be written where an older one was, but nobody can open the application.

    :raise SQLAlchemyError: there is no space.
    """
    if dialect_of(session) == "postgresql":
        session.execute(text(WRITE_TEMPORARY_FILE))
    else:
        session.execute(insert(PeriodicTask).values(name=LONG_NAME, next_at=now))
        session.execute(delete(PeriodicTask).where(PeriodicTask.name == LONG_NAME))
