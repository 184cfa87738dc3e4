"""Limit attempts per key with leaky buckets that all processes share in the database."""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import SecretStr
from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import OwnLimit
from dashboard.core.database import Database, delete_in_batches, insert_or_ignore
from dashboard.core.stored_times import is_ahead
from dashboard.models import ThrottleCount

RETENTION = timedelta(days=1)
ENFORCED_SECONDS = 60.0
MAX_PROCESS_KEYS = 10_000  # of each ProcessThrottle; the key that was unused for the longest time is dropped
# Counted when a request came through a proxy while TRUSTED_PROXIES is 0; see `Throttle.last`.
UNTRUSTED_PROXY = "untrusted proxy"
_FIND = select(ThrottleCount.level, ThrottleCount.at).where(ThrottleCount.key == bindparam("hashed"))


class Limit(NamedTuple):
    """``depth`` attempts at once, and then one every so many seconds."""

    depth: int
    seconds: float


class TooManyFailures(Exception):
    """The key has reached its limit; ``seconds`` is how long to wait."""

    def __init__(self, seconds: int, code: str = "too_many_failed_proofs") -> None:
        super().__init__(code)
        self.seconds, self.code = seconds, code


@dataclass(frozen=True)
class Throttle:
    """Counts by key. Keys are stored as keyed hashes, because some contain addresses of visitors."""

    database: Database
    key: SecretStr
    now: Callable[[], datetime]

    def hash_key(self, key: str) -> str:
        """Return the keyed hash that stands for a key in the database and in the log."""
        secret = hashlib.sha256(b"refusals " + self.key.get_secret_value().encode()).digest()
        return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()

    def last(self, key: str) -> datetime | None:
        """Return when the key was last counted, or None if that is more than a day ago."""
        row = self._find(key)
        return row.at if row else None

    def check(self, key: str, limit: Limit) -> bool:
        """Tell whether failures are counted against the key.

        :raise TooManyFailures: the limit is reached.
        """
        row = self._find(key)
        level = self._level(row.level, row.at, limit) if row else 0.0
        if seconds := _seconds_until_allowed(level, limit):
            raise TooManyFailures(seconds)
        return level > 0

    def record_failure(self, key: str, limit: Limit) -> None:
        """Count one failure. The level stays at the depth, so a flood is not punished for longer."""
        self._change(key, limit, by=1)

    def credit(self, key: str, limit: Limit) -> None:
        """Take back one failure for one success, so an office behind one address is not slowed by a few failures."""
        self._change(key, limit, by=-1)

    def _change(self, key: str, limit: Limit, *, by: int) -> None:
        with self.database.write_session() as session:
            row = self._lock(session, key)
            level = self._level(row.level, row.at, limit) + by
            row.level, row.at = min(max(level, 0.0), float(limit.depth)), self.now()

    def take(self, key: str, limit: Limit, *, code: str, session: Session | None = None) -> None:
        """Count one attempt. With a ``session`` it is part of that transaction.

        :raise OwnLimit: the limit is reached, with ``code``; nothing is counted.
        """
        if session is None:
            with self.database.write_session() as own_session:
                self.take(key, limit, code=code, session=own_session)
            return
        row = self._lock(session, key)
        level, now = self._level(row.level, row.at, limit), self.now()
        if seconds := _seconds_until_allowed(level, limit):
            raise OwnLimit(code, resets_at=now.timestamp() + seconds)
        row.level, row.at = level + 1, now

    def _find(self, key: str) -> Row[float, datetime] | None:
        with self.database.read_session() as session:
            return session.connection().execute(_FIND, {"hashed": self.hash_key(key)}).one_or_none()

    def _level(self, level: float, at: datetime, limit: Limit) -> float:
        """Return the level now. One that was stored by a clock that was ahead would last too long: drop it."""
        now = self.now()
        if is_ahead(at, now):
            return 0.0
        elapsed = max((now - at).total_seconds(), 0.0)
        return max(level - elapsed / limit.seconds, 0.0)

    def _lock(self, session: Session, key: str) -> ThrottleCount:
        new = {"key": self.hash_key(key), "level": 0.0, "at": self.now()}
        insert_or_ignore(session, ThrottleCount, [new])
        row = session.scalar(select(ThrottleCount).where(ThrottleCount.key == new["key"]).with_for_update())
        # A purge may have deleted an old row between the two statements; it does not delete the new one.
        return row or self._lock(session, key)


class ProcessThrottle:
    """Limit attempts per key in the memory of this process, for groups of keys that have to be protected at present.

    Each process counts for itself: several together allow as many times the limit.
    """

    def __init__(self, limit: Limit, *, code: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._code, self._clock = limit, code, clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # levels and when they were so
        self._enforced_until: dict[str, float] = {}

    def enforce(self, group: str) -> None:
        """Enforce the limit for the keys of a group from now on, for ``ENFORCED_SECONDS``."""
        with self._lock:
            now = self._clock()
            current = {name: until for name, until in self._enforced_until.items() if until > now}
            self._enforced_until = current | {group: now + ENFORCED_SECONDS}

    def take(self, key: str, *, group: str) -> None:
        """Count one attempt.

        :raise TooManyFailures: the limit is reached, and enforced for the group.
        """
        with self._lock:
            now = self._clock()
            level, at = self._levels.pop(key, (0.0, now))
            level = max(level - (now - at) / self._limit.seconds, 0.0)
            seconds = _seconds_until_allowed(level, self._limit)
            self._levels[key] = (level if seconds else level + 1, now)
            if len(self._levels) > MAX_PROCESS_KEYS:
                self._levels.popitem(last=False)
            is_enforced = self._enforced_until.get(group, now) > now
        if seconds and is_enforced:
            raise TooManyFailures(seconds, self._code)


def _seconds_until_allowed(level: float, limit: Limit) -> int:
    excess = level - (limit.depth - 1)
    return math.ceil(excess * limit.seconds) if excess > 0 else 0


def purge(database: Database, *, now: datetime, max_seconds: float = math.inf) -> int:
    """Delete the counts that have been empty for long; return how many."""
    return delete_in_batches(database, ThrottleCount, ThrottleCount.at < now - RETENTION, max_seconds=max_seconds)
