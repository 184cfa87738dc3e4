"""The team's numbers, counted once for all who look at about the same time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dashboard.models import Portal
from dashboard.team import statistics
from dashboard.team.statistics import TeamStats

# Whoever sorts and filters asks again and again for what counts ten thousand people.
MAX_AGE_SECONDS = timedelta(seconds=5)
MAX_PORTALS = 256


@dataclass(frozen=True)
class _CacheKey:
    """What tells that nothing was read in between: of the people, of the list of them."""

    generation: int
    settings_at: datetime | None
    directory_at: datetime | None


class TeamStatsCache:
    """Remembers each portal's numbers until somebody's settings are read, at most for LONGEST.

    Only a chain that ends, or a person who leaves, is seen so much later. Two threads that count at once
    count the same; the later one's is kept.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[_CacheKey, datetime, TeamStats]] = OrderedDict()

    def get(self, session: Session, portal: Portal, *, now: datetime) -> TeamStats:
        """Return the numbers of the portal's team."""
        mark = _CacheKey(portal.generation, statistics.last_change(session, portal), portal.directory_at)
        known = self._known.get(portal.id)
        if known is not None and known[0] == mark and timedelta() <= now - known[1] < MAX_AGE_SECONDS:
            return known[2]
        counted = statistics.team_stats(session, portal, now=now)
        self._known[portal.id] = (mark, now, counted)
        if len(self._known) > MAX_PORTALS:
            self._known.popitem(last=False)
        return counted
