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
from dashboard.core.waiting_threads import Share
from dashboard.models import OAuthToken, Person

# Longer than the requests of a change usually take; a killed process leaves its lease to expire.
LEASE_DURATION = timedelta(minutes=1)
MAX_WAIT_SECONDS = 15.0
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.2
RETRY_AFTER_SECONDS = 5
BUSY_CODE = "settings_change_under_way"


@dataclass(frozen=True, kw_only=True)
class SettingsLease:
    """Leases a person's settings. Whoever comes second waits, and then reads what the first has written."""

    database: Database
    now: Callable[[], datetime]
    waiting: Share
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def hold(self, person: Person) -> Iterator[None]:
        """Hold the lease.

        :raise OwnLimit: another change did not end in time, so nothing was sent.
        :raise GrantRejected: the person has no token.
        """
        until = self._wait(person)
        try:
            yield
        finally:
            with suppress(*UNAVAILABLE):  # then the lease expires
                self._release(person, until)

    def _wait(self, person: Person) -> datetime:
        if until := self._acquire(person):
            return until
        with self.waiting.hold() as may_wait:
            waited = 0.0
            # Whoever may not wait is refused at once, so that slow portals leave threads to others.
            while may_wait and waited < MAX_WAIT_SECONDS:
                pause = random.uniform(MIN_POLL_SECONDS, MAX_POLL_SECONDS)  # noqa: S311  # jitter, not a secret
                self.sleep(pause)
                waited += pause
                if until := self._acquire(person):
                    return until
        raise OwnLimit(BUSY_CODE, resets_at=self.now().timestamp() + RETRY_AFTER_SECONDS)

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

    def _release(self, person: Person, until: datetime) -> None:
        """Give the lease back, unless it has expired and another process has it."""
        is_own = (OAuthToken.person_id == person.id, OAuthToken.settings_lease_until == until)
        with self.database.write_session(durable=False) as session:
            session.execute(update(OAuthToken).where(*is_own).values(settings_lease_until=None))
