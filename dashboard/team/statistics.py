"""Count a portal's whole team, and cache the result for a few seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.calendar.holidays import DaysOff, parse_days_off
from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal, Snapshot
from dashboard.people.connection_state import colleagues, state_conditions
from dashboard.team.availability import HoursGroup

# Anyone who sorts or filters the table requests it repeatedly, and these queries read ten thousand people.
MAX_AGE = timedelta(seconds=5)
MAX_PORTALS = 256


@dataclass(frozen=True)
class TeamStats:
    """The numbers of a whole team; ``groups`` holds the people whose hours and zone are known."""

    total: int
    states: dict[str, int]
    without_reminders: int
    views: tuple[str, ...]
    zones: tuple[str, ...]
    groups: tuple[HoursGroup, ...]

    @property
    def opened(self) -> int:
        """Return how many people have opened the application."""
        return self.total - self.states["never"]

    @property
    def with_hours(self) -> int:
        """Return how many people are in the groups."""
        return sum(group.people for group in self.groups)


def days_off(session: Session, person: Person) -> DaysOff:
    """Return the portal's days off, from this person's snapshot."""
    return parse_days_off(session.scalar(select(Snapshot.account).where(Snapshot.person_id == person.id)))


def team_stats(session: Session, portal: Portal, *, now: datetime) -> TeamStats:
    """Return the numbers of the whole team; one index covers these queries."""
    columns = (Person.calendar_zone, Person.work_start, Person.work_end)
    conditions = state_conditions(now)
    numbers = (func.count(), func.count().filter(Person.reminder_count == 0))
    by_state = (func.count().filter(condition) for condition in conditions.values())
    query = select(*columns, *numbers, *by_state).where(*colleagues(portal)).group_by(*columns)
    rows: Sequence[Any] = session.execute(query).all()
    total, without_reminders, *counts = (sum(row[place] for row in rows) for place in range(3, 5 + len(conditions)))
    views = select(Person.view).where(*colleagues(portal), Person.view != "").distinct()
    return TeamStats(
        total=total,
        states={"connected": total - sum(counts)} | dict(zip(conditions, counts, strict=True)),
        without_reminders=without_reminders,
        views=tuple(sorted(session.scalars(views))),
        zones=tuple(sorted({row[0] for row in rows if row[0]})),
        groups=tuple(
            HoursGroup(zone, Span(start, end), people)
            for zone, start, end, people, *_ in rows
            if zone and start is not None and end is not None and max(start, end) <= DAY
        ),
    )


class TeamStatsCache:
    """Keep each portal's numbers for MAX_AGE, or until somebody's settings or the user list are read.

    A revoked token or a removed person appears only after MAX_AGE. When two threads miss the cache at once,
    both run the queries.
    """

    def __init__(self) -> None:
        self._cache: OrderedDict[int, tuple[object, datetime, TeamStats]] = OrderedDict()

    def get(self, session: Session, portal: Portal, *, now: datetime) -> TeamStats:
        """Return the numbers of the portal's team."""
        settings_at = session.scalar(select(func.max(Person.settings_at)).where(Person.portal_id == portal.id))
        version = (portal.generation, settings_at, portal.directory_at)
        cached = self._cache.get(portal.id)
        if cached and cached[0] == version and timedelta() <= now - cached[1] < MAX_AGE:
            return cached[2]
        stats = team_stats(session, portal, now=now)
        self._cache[portal.id] = (version, now, stats)
        if len(self._cache) > MAX_PORTALS:
            self._cache.popitem(last=False)
        return stats
