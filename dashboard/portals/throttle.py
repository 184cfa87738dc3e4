"""Limit attempts per subject with leaky buckets that all processes share in the database.

A subject is a text that names who or what the attempts come from: a portal by its member id, and a person also by
the user id of Bitrix24. The ids of rows change when a portal's data is deleted, which must not reset its counts.
"""

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
from dashboard.core.database import Database, insert_or_ignore
from dashboard.core.stored_times import is_ahead
from dashboard.models import ThrottleCount

RETENTION = timedelta(days=1)  # of the counts
ENFORCED_SECONDS = 60.0
MAX_PROCESS_SUBJECTS = 10_000  # of each ProcessThrottle; the subject that was unused for the longest time is dropped
ADDRESS_GROUPS = 2**16  # addresses of one group share their limits
# Counted when a request came through a proxy while TRUSTED_PROXIES is 0; see `Throttle.last_counted_at`.
UNTRUSTED_PROXY = "untrusted proxy"
_FIND = select(ThrottleCount.level, ThrottleCount.at).where(ThrottleCount.key == bindparam("hashed"))


class Limit(NamedTuple):
    """``depth`` attempts at once, and then one every so many seconds."""

    depth: int
    seconds: float

    def drain(self, level: float, elapsed: float) -> float:
        """Return a level after ``elapsed`` seconds; a clock that went back drains nothing."""
        return max(level - max(elapsed, 0.0) / self.seconds, 0.0)

    def seconds_until_allowed(self, level: float) -> int:
        """Return the seconds until one more attempt is allowed, 0 if it is now."""
        excess = level - (self.depth - 1)
        return math.ceil(excess * self.seconds) if excess > 0 else 0


class TooManyAttempts(Exception):
    """The subject has reached its limit."""

    def __init__(self, retry_after_seconds: int, code: str = "too_many_failed_proofs") -> None:
        super().__init__(code)
        self.retry_after_seconds, self.code = retry_after_seconds, code


@dataclass(frozen=True)
class Throttle:
    """Counts by subject. Subjects are stored as keyed hashes, because some contain IP addresses of visitors."""

    database: Database
    hash_secret: SecretStr
    now: Callable[[], datetime]

    def hash_subject(self, subject: str) -> str:
        """Return the keyed hash that stands for a subject in the database and in the log."""
        secret = hashlib.sha256(b"refusals " + self.hash_secret.get_secret_value().encode()).digest()
        return hmac.digest(secret, subject.encode(), "sha256").hex()

    def group_of(self, address: str) -> str:
        """Return one of ``ADDRESS_GROUPS`` texts that stands for an IP address in a subject.

        Anonymous visitors can use any number of IPv6 networks, so counting each address would fill the database.
        """
        return str(int(self.hash_subject(f"address {address}"), 16) % ADDRESS_GROUPS)

    def last_counted_at(self, subject: str) -> datetime | None:
        """Return when the subject was last counted, or None if that is more than a day ago."""
        row = self._find(subject)
        return row.at if row else None

    def check(self, subject: str, limit: Limit, session: Session | None = None) -> bool:
        """Return True if any failures are on record.

        :raise TooManyAttempts: the limit is reached.
        """
        row = self._find(subject, session)
        level = self._level(row.level, row.at, limit) if row else 0.0
        if seconds := limit.seconds_until_allowed(level):
            raise TooManyAttempts(seconds)
        return level > 0

    def record_failure(self, subject: str, limit: Limit) -> None:
        """Count one failure. The level never exceeds the depth, so a flood of failures does not extend the wait."""
        self._change(subject, limit, by=1)

    def credit(self, subject: str, limit: Limit) -> None:
        """Subtract one failure after a success, so a few failures do not slow an office behind one IP address."""
        self._change(subject, limit, by=-1)

    def _change(self, subject: str, limit: Limit, *, by: int) -> None:
        with self.database.write_session() as session:
            row = self._lock(session, subject)
            level = self._level(row.level, row.at, limit) + by
            row.level, row.at = min(max(level, 0.0), float(limit.depth)), self.now()

    def take(self, subject: str, limit: Limit, *, code: str, session: Session | None = None) -> None:
        """Count one attempt. With a ``session`` it is part of that transaction.

        :raise OwnLimit: the limit is reached, with ``code``; nothing is counted.
        """
        if session is None:
            with self.database.write_session() as own_session:
                self.take(subject, limit, code=code, session=own_session)
            return
        row = self._lock(session, subject)
        level, now = self._level(row.level, row.at, limit), self.now()
        if seconds := limit.seconds_until_allowed(level):
            raise OwnLimit(code, resets_at=now.timestamp() + seconds)
        row.level, row.at = level + 1, now

    def _find(self, subject: str, session: Session | None = None) -> Row[float, datetime] | None:
        if session is None:
            with self.database.read_session() as own_session:
                return self._find(subject, own_session)
        return session.connection().execute(_FIND, {"hashed": self.hash_subject(subject)}).one_or_none()

    def _level(self, level: float, at: datetime, limit: Limit) -> float:
        """Return the level now; 0 if a clock that was ahead stored it, because it would last too long."""
        now = self.now()
        return 0.0 if is_ahead(at, now) else limit.drain(level, (now - at).total_seconds())

    def _lock(self, session: Session, subject: str) -> ThrottleCount:
        new = {"key": self.hash_subject(subject), "level": 0.0, "at": self.now()}
        insert_or_ignore(session, ThrottleCount, [new])
        row = session.scalar(select(ThrottleCount).where(ThrottleCount.key == new["key"]).with_for_update())
        # A purge may have deleted an old row between the two statements; it does not delete the new one.
        return row or self._lock(session, subject)


class ProcessThrottle:
    """Limit attempts per subject in this process's memory, for those groups of subjects that ``enforce`` names.

    Each process counts for itself: several together allow as many times the limit.
    """

    def __init__(self, limit: Limit, *, code: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._code, self._clock = limit, code, clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # subject → level, and its time
        self._enforced_until: dict[str, float] = {}

    def enforce(self, group: str) -> None:
        """Enforce the limit for the subjects of a group from now on, for ``ENFORCED_SECONDS``."""
        with self._lock:
            now = self._clock()
            current = {name: until for name, until in self._enforced_until.items() if until > now}
            self._enforced_until = current | {group: now + ENFORCED_SECONDS}

    def take(self, subject: str, *, group: str) -> None:
        """Count one attempt.

        :raise TooManyAttempts: the limit is reached, and enforced for the group.
        """
        with self._lock:
            now = self._clock()
            level, at = self._levels.pop(subject, (0.0, now))
            level = self._limit.drain(level, now - at)
            seconds = self._limit.seconds_until_allowed(level)
            self._levels[subject] = (level if seconds else level + 1, now)
            if len(self._levels) > MAX_PROCESS_SUBJECTS:
                self._levels.popitem(last=False)
            is_enforced = self._enforced_until.get(group, now) > now
        if seconds and is_enforced:
            raise TooManyAttempts(seconds, self._code)
