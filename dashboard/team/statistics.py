"""Count a portal's whole team: states, views, time zones, and groups with the same hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from dashboard.calendar.holidays import DaysOff, parse_days_off
from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal, Snapshot
from dashboard.people.connection_state import colleagues, state_conditions
from dashboard.team.availability import HoursGroup
from dashboard.team.frequency import MAX_VALUES, most_frequent

MAX_VIEWS = 100  # options of the filter


@dataclass(frozen=True)
class TeamStats:
    """The numbers of a whole team. Zones, groups and views are limited to the most frequent ones."""

    total: int
    states: dict[str, int]
    without_reminders: int
    with_hours: int
    views: tuple[str, ...]
    zones: tuple[str, ...]
    groups: tuple[HoursGroup, ...]

    @property
    def opened_count(self) -> int:
        """Return how many people have opened the application."""
        return self.total - self.states["never"]

    @property
    def people_in_groups(self) -> int:
        """Return how many people are in the groups."""
        return sum(group.people for group in self.groups)


def days_off(session: Session, person: Person) -> DaysOff:
    """Return the portal's days off, from this person's snapshot."""
    return parse_days_off(session.scalar(select(Snapshot.account).where(Snapshot.person_id == person.id)))


def team_stats(session: Session, portal: Portal, now: datetime) -> TeamStats:
    """Return the numbers of the whole team; indexes cover these queries."""
    conditions = state_conditions(now)
    hours = (Person.calendar_zone, Person.work_start, Person.work_end)
    have_hours = and_(Person.calendar_zone != "", Person.work_start <= DAY, Person.work_end <= DAY)
    filters = (Person.reminder_count == 0, have_hours, *conditions.values())
    people = func.count()
    # Each row has the totals of all groups, even of those beyond the limit.
    totals = (func.sum(number).over() for number in (people, *(people.filter(condition) for condition in filters)))
    query = select(*hours, people, *totals).where(*colleagues(portal)).group_by(*hours)
    rows: Sequence[Any] = session.execute(query.order_by(people.desc(), *hours).limit(MAX_VALUES)).all()
    total, without_reminders, with_hours, *counts = map(int, rows[0][4:] if rows else [0] * (1 + len(filters)))
    views = most_frequent(session, [Person.view], *colleagues(portal), Person.view != "", limit=MAX_VIEWS)
    return TeamStats(
        total=total,
        states={"connected": total - sum(counts)} | dict(zip(conditions, counts, strict=True)),
        without_reminders=without_reminders,
        with_hours=with_hours,
        views=tuple(sorted(view for view, _people in views.rows)),
        zones=tuple(sorted({row[0] for row in rows if row[0]})),
        groups=tuple(
            HoursGroup(zone, Span(start, end), people)
            for zone, start, end, people, *_ in rows
            if zone and start is not None and end is not None and max(start, end) <= DAY
        ),
    )
