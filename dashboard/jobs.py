"""The queue (Huey): a doorbell and nothing more. What is to be done stands in our tables.

A message says "look at portal N". Losing one, doubling one or reading one late changes nothing, and a web
process needs no queue: it writes the row, and the worker's clock sees it within a second.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from huey import Huey
from huey.consumer import Consumer
from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import PostgresStorage, RedisStorage, SqliteStorage
from itsdangerous import BadSignature, Signer
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from dashboard.chores import Chores
from dashboard.runs import LEASE, Runs
from dashboard.sync import Sync

log = structlog.get_logger()

# It tells of each message; what matters is said here, by portal.
logging.getLogger("huey").setLevel(logging.WARNING)

NAME = "dashboard"
REDIS = ("redis:", "rediss:")
TICK_SECONDS = 1.0
POLL_SECONDS = 0.05, 0.4  # of a SQLite queue, from busy to idle; Postgres and Redis wake their readers
BEAT_SECONDS = LEASE.total_seconds() / 4
SHUTDOWN_SECONDS = 25.0  # platforms kill thirty seconds after SIGTERM


class _SignedJson(Serializer):  # type: ignore[misc]  # the library has no types
    """Messages as JSON signed with SECRET_KEY: whoever can write to the queue alone can ring no bell."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        super().__init__()
        # The library signs with the last key; ours is the first.
        newest_last = [key.get_secret_value() for key in reversed(keys)]
        self._signer = Signer(newest_last, salt="queue", digest_method=hashlib.sha256)

    def _serialize(self, data: Any) -> bytes:
        return self._signer.sign(json.dumps(data))

    def _deserialize(self, data: bytes) -> Any:
        try:
            return Message(*json.loads(self._signer.unsign(bytes(data))))
        except (BadSignature, ValueError, TypeError):
            raise HueyException("a message that is not ours") from None


class Jobs:
    """The queue, and the process that reads it."""

    def __init__(
        self, url: str, keys: Sequence[SecretStr], *, sync: Sync, runs: Runs, chores: Chores
    ) -> None:
        self._sync, self._runs, self._chores = sync, runs, chores
        self._away = _errors_of(url)
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._chores_at = 0.0
        sync.stopping = self._stopping.is_set
        self._huey = _opened(url, keys, away=self._away)
        self._look = self._huey.task(name="look")(self._look_at)
        self._chore = self._huey.task(name="chore")(self._do_chore)

    def work(self, *, threads: int) -> None:
        """Work until SIGTERM or SIGINT; then finish the person each thread is at, hand back, and return."""
        consumer = Consumer(
            self._huey,
            workers=threads,
            periodic=False,
            scheduler_interval=60,
            initial_delay=POLL_SECONDS[0],
            max_delay=POLL_SECONDS[1],
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        consumer.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        log.info("worker_started", threads=threads)
        threading.Thread(target=self._beat_leases, name="beat", daemon=True).start()
        while not self._stopping.is_set():
            self._wake.wait(self.tick(threads))
            self._wake.clear()
            consumer.check_worker_health()
        # Leases are kept while the last people are being read.
        consumer.stop(graceful=True)
        self._stopped.set()
        log.info("worker_stopped")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping.set()
        self._wake.set()

    def tick(self, threads: int) -> float:
        """Ring for what is due and return for how many seconds nothing will be to ring for."""
        try:
            if time.monotonic() >= self._chores_at:
                self._chores_at = time.monotonic() + TICK_SECONDS
                for name in self._chores.due():
                    self._chore(name)
            room = 2 * threads - self._huey.pending_count()
            if room <= 0:
                # What waits in the queue is more than these threads can take. Whoever ends a slice wakes the
                # clock; to look again before that would take the processor from them.
                return TICK_SECONDS
            for portal_id in self._runs.due(limit=room):
                self._look(portal_id)
            return self._runs.seconds_to_next(at_most=TICK_SECONDS)
        except self._away as error:
            log.error("clock_stopped_short", reason=type(error).__name__)
            return TICK_SECONDS

    def _beat_leases(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            try:
                if owners := set(self._sync.leases):
                    self._runs.beat(owners)
            except SQLAlchemyError as error:
                log.error("leases_not_kept", reason=type(error).__name__)

    def _look_at(self, portal_id: int) -> None:
        try:
            self._sync.slice(portal_id)
        except SQLAlchemyError as error:
            # The lease runs out by itself, and the run goes on from its cursor.
            log.error("slice_broken_off", portal=portal_id, reason=type(error).__name__)
        self._wake.set()

    def _do_chore(self, name: str) -> None:
        try:
            self._chores.do(name)
        except SQLAlchemyError as error:
            log.error("chore_broken_off", chore=name, reason=type(error).__name__)


def _opened(url: str, keys: Sequence[SecretStr], *, away: tuple[type[Exception], ...]) -> Huey:
    """Return the queue; one that is away is waited for at the start too, as later on.

    Whatever starts a worker may give it up after a few deaths. Nothing is under way yet: who is asked to
    stop meanwhile just ends.
    """
    while True:
        try:
            return Huey(NAME, results=False, serializer=_SignedJson(keys), **_storage(url))
        except away as error:
            log.error("queue_away", reason=type(error).__name__)
            time.sleep(TICK_SECONDS)


def _errors_of(url: str) -> tuple[type[Exception], ...]:
    """Return what says that the database or the queue is away; the clock tries again at its next tick."""
    always = (SQLAlchemyError, sqlite3.Error, OSError)
    # The drivers are heavy, and only one of them is used.
    if url.startswith(REDIS):
        return (*always, importlib.import_module("redis.exceptions").RedisError)
    if url.startswith("postgresql"):
        return (*always, importlib.import_module("psycopg").Error)
    return always


def _storage(url: str) -> dict[str, Any]:
    """Return where the queue lives, in the library's terms."""
    if url.startswith(REDIS):
        return {"storage_class": RedisStorage, "url": url}
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        path = Path(address.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        return {"storage_class": SqliteStorage, "filename": str(path)}
    dsn = address.set(drivername="postgresql").render_as_string(hide_password=False)
    return {"storage_class": PostgresStorage, "dsn": dsn}
