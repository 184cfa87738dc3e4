"""Let one process at a time change a person's settings.

Bitrix24 reads, merges and stores a person's settings without a lock, so that of two writers at once one may be lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from dashboard.bitrix24.errors import GrantRejected, OwnLimit
from dashboard.core.database import UNAVAILABLE, Database, execute_and_count
from dashboard.core.stored_times import due
from dashboard.core.waiting_threads import WaitQuota
from dashboard.models import OAuthToken, Person

# A killed process leaves its lease to expire, so it is short, and renewed before something is written.
LEASE_DURATION = timedelta(seconds=20)
MIN_LEASE_LEFT = timedelta(seconds=15)
MAX_WAIT_SECONDS = 15.0
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.2
RETRY_AFTER_SECONDS = 5
BUSY_CODE = "settings_change_under_way"


@dataclass(frozen=True, kw_only=True)
class SettingsLease:
    """Leases a person's settings. Whoever comes second waits, and then reads what the first has written."""

    database: Database
    now: Callable[[], datetime]
    waiting: WaitQuota
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    @contextmanager
    def hold(self, person: Person) -> Iterator[HeldLease]:
        """Hold the lease.

        :raise OwnLimit: another change did not end in time, so nothing was sent.
        :raise GrantRejected: the person has no token.
        """
        lease = HeldLease(self.database, self.now, person.id, self._acquire_or_wait(person))
        try:
            yield lease
        finally:
            with suppress(*UNAVAILABLE):  # then the lease expires
                lease.release()

    def _acquire_or_wait(self, person: Person) -> datetime:
        """Acquire the lease, waiting for another holder; return when it ends."""
        if until := self._acquire(person):
            return until
        with self.waiting.try_acquire() as may_wait:
            ends_at = self.monotonic() + MAX_WAIT_SECONDS
            # Whoever may not wait is refused at once, so that slow portals leave threads to others.
            while may_wait and self.monotonic() < ends_at:
                self.sleep(random.uniform(MIN_POLL_SECONDS, MAX_POLL_SECONDS))  # noqa: S311  # jitter, not a secret
                if until := self._acquire(person):
                    return until
        raise _busy(self.now())

    def _acquire(self, person: Person) -> datetime | None:
        """Return when the lease ends, None if another process has it."""
        now = self.now()
        until, column = now + LEASE_DURATION, OAuthToken.settings_lease_until
        is_free = or_(column.is_(None), due(column, now, max_wait=LEASE_DURATION))
        own = OAuthToken.person_id == person.id
        with self.database.write_session(durable=False) as session:
            if execute_and_count(session, update(OAuthToken).where(own, is_free).values(settings_lease_until=until)):
                return until
            if session.scalar(select(OAuthToken.person_id).where(own)) is None:
                raise GrantRejected("reconnect")
        return None


@dataclass
class HeldLease:
    """The lease of one change."""

    database: Database
    now: Callable[[], datetime]
    person_id: int
    until: datetime

    def renew(self) -> None:
        """Renew the lease if it ends soon.

        :raise OwnLimit: it has ended, and another process has it.
        """
        now = self.now()
        if self.until - now >= MIN_LEASE_LEFT:
            return
        until = now + LEASE_DURATION
        if not self._set(until):
            raise _busy(now)
        self.until = until

    def release(self) -> None:
        """Give the lease back, unless it has ended and another process has it."""
        self._set(None)

    def _set(self, until: datetime | None) -> bool:
        is_own = (OAuthToken.person_id == self.person_id, OAuthToken.settings_lease_until == self.until)
        with self.database.write_session(durable=False) as session:
            return execute_and_count(session, update(OAuthToken).where(*is_own).values(settings_lease_until=until)) > 0


def _busy(now: datetime) -> OwnLimit:
    return OwnLimit(BUSY_CODE, resets_at=now.timestamp() + RETRY_AFTER_SECONDS)
