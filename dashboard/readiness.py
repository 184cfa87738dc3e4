"""Whether requests can be answered and background work is done, and what is in the way if not."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from dashboard import schema
from dashboard.db import Database, put_row
from dashboard.models import Chore

HEARTBEAT = "heartbeat"
LOOKED = "looked"  # the row that is written to learn whether anything can be
WRITE_AGAIN = timedelta(seconds=15)  # anybody may ask; only so often is it worth a write
MISSED = timedelta(minutes=2)  # after the moment at which a worker was to show that it lives
QUEUE_SECONDS = 3


@dataclass(frozen=True)
class Readiness:
    """What is down, by name; ``warnings`` name what people who open a page do not need."""

    down: tuple[str, ...]
    warnings: tuple[str, ...]


class Probe:
    """Looks at database, migrations, queue and worker, each time anew."""

    def __init__(self, *, database: Database, queue_url: SecretStr, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._written_at: datetime | None = None
        self._queue_answers = _queue_check(queue_url.get_secret_value(), database)

    def look(self) -> Readiness:
        """Return what is down at this moment.

        A worker that is gone is a warning: pages are answered without it, and a load balancer that took
        every web process away for it would turn late readings into no pages at all.
        """
        down, warnings = [], []
        try:
            if not schema.suffices(self._database):
                down.append("migrations")
            else:
                self._write()
                if not self._is_worker_alive():
                    warnings.append("worker")
        except SQLAlchemyError:
            down.append("database")
        if not self._queue_answers():
            down.append("queue")
        return Readiness(tuple(down), tuple(warnings))

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
        return due is not None and self._now() < due + MISSED


def _queue_check(url: str, database: Database) -> Callable[[], bool]:
    backend = url.partition(":")[0]
    if backend in ("redis", "rediss"):
        return lambda: _redis_answers(url)
    if backend == "sqlite":
        return lambda: _file_is_writable(make_url(url).database)
    if make_url(url) == database.engine.url:
        return lambda: _postgres_answers(database.engine)
    # Asked now and then by a load balancer: not worth a connection of its own in between.
    queue = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": QUEUE_SECONDS})
    return lambda: _postgres_answers(queue)


def _file_is_writable(path: str | None) -> bool:
    """Tell whether a SQLite file can be written, or made: its folder too, for the log beside it."""
    if not path or path == ":memory:":
        return True
    file = Path(path)
    return os.access(file.parent, os.W_OK | os.X_OK) and (not file.exists() or os.access(file, os.W_OK))


def _postgres_answers(queue: Engine) -> bool:
    try:
        with queue.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _redis_answers(url: str) -> bool:
    # For whoever waits there; the others' processes do without it.
    redis = importlib.import_module("redis")
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=QUEUE_SECONDS, socket_timeout=QUEUE_SECONDS
        ) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False
