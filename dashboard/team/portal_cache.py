"""Cache a portal's statistics for a few seconds, and compute them once for simultaneous requests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.core.single_flight import SingleFlight
from dashboard.core.waiting_threads import WaitQuota
from dashboard.models import Person, Portal

# Sorting and filtering the table repeats the request, and the queries may read ten thousand people.
MAX_AGE = timedelta(seconds=5)
MAX_RESULTS = 32  # a result may take two megabytes

T = TypeVar("T")


class PortalCache(Generic[T]):
    """Keep each portal's result for MAX_AGE, or until new settings, users or recommended settings are stored.

    A revoked token or a removed person appears only after MAX_AGE. When two threads miss the cache at once, the
    second one waits for the first one's result.
    """

    def __init__(self, compute: Callable[[Session, Portal, datetime], T], waiting: WaitQuota) -> None:
        """Let as many threads wait for the results of others as ``waiting`` allows; further ones wait only briefly."""
        self._compute = compute
        self._lock = Lock()
        self._cache: OrderedDict[tuple[int, Hashable], tuple[object, datetime, T]] = OrderedDict()
        self._running = SingleFlight[T](waiting)

    def get(
        self,
        session: Session,
        portal: Portal,
        *,
        now: datetime,
        part: Hashable = None,
        compute: Callable[[Session, Portal, datetime], T] | None = None,
    ) -> T:
        """Return the result for the portal, or for a part of its people, which has its own ``compute``.

        :raise SlotRefused: another thread is still computing the result, and too many threads wait.
        """
        version = (portal.generation, _settings_at(session, portal), portal.directory_at, portal.recommended_at)
        with self._lock:
            cached = self._cache.get((portal.id, part))
        if cached and cached[0] == version and _is_recent(cached[1], now):
            return cached[2]

        def compute_and_store() -> T:
            result = (compute or self._compute)(session, portal, now)
            self._store((portal.id, part), (version, now, result), now)
            return result

        return self._running.run((portal.id, part, version), compute_and_store)

    def _store(self, key: tuple[int, Hashable], entry: tuple[object, datetime, T], now: datetime) -> None:
        with self._lock:
            self._cache[key] = entry
            self._cache.move_to_end(key)
            # The oldest come first. Expired results would only take memory.
            while len(self._cache) > MAX_RESULTS or not _is_recent(next(iter(self._cache.values()))[1], now):
                self._cache.popitem(last=False)


def _settings_at(session: Session, portal: Portal) -> datetime | None:
    """Return when the last settings were stored, as the session has first read it."""
    known: dict[int, datetime | None] = session.info.setdefault("settings_at", {})
    if portal.id not in known:
        query = select(func.max(Person.settings_at)).where(Person.portal_id == portal.id)
        known[portal.id] = session.scalar(query)
    return known[portal.id]


def _is_recent(moment: datetime, now: datetime) -> bool:
    return timedelta() <= now - moment < MAX_AGE
