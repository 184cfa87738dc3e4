"""The people of a portal side by side: found, sorted and counted in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from dashboard.calendar.holidays import Workdays, parse_workdays
from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal, Snapshot
from dashboard.people.connection_state import colleagues, state_conditions
from dashboard.team.availability import HoursGroup


@dataclass(frozen=True)
class TeamStats:
    """What the whole team amounts to; ``groups`` holds those whose hours and zone are known."""

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
    def placed(self) -> int:
        """Return how many people stand in the groups."""
        return sum(group.people for group in self.groups)


def workdays(session: Session, person: Person) -> Workdays:
    """Return the portal's days off, as the person's own last reading tells them."""
    return parse_workdays(session.scalar(select(Snapshot.account).where(Snapshot.person_id == person.id)))


def team_stats(session: Session, portal: Portal, *, now: datetime) -> TeamStats:
    """Return what the whole team amounts to; an index holds all that is read for it."""
    columns = (Person.calendar_zone, Person.work_start, Person.work_end)
    states = state_conditions(now)
    counts = [func.count().filter(condition) for condition in states.values()]
    found: Sequence[Any] = session.execute(
        select(*columns, func.count(), func.count().filter(Person.reminder_count == 0), *counts)
        .where(*colleagues(portal))
        .group_by(*columns)
    ).all()
    views = select(Person.view).where(*colleagues(portal), Person.view != "").distinct()
    told: dict[str, int] = {name: sum(row[5 + place] for row in found) for place, name in enumerate(states)}
    total = sum(row[3] for row in found)
    return TeamStats(
        total=total,
        states={"connected": total - sum(told.values())} | told,
        without_reminders=sum(row[4] for row in found),
        views=tuple(sorted(session.scalars(views))),
        zones=tuple(sorted({row[0] for row in found if row[0]})),
        groups=tuple(_groups(found)),
    )


def last_change(session: Session, portal: Portal) -> datetime | None:
    """Return when somebody's settings were last read."""
    return session.scalar(select(func.max(Person.settings_at)).where(Person.portal_id == portal.id))


def _groups(found: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[HoursGroup]:
    for zone, start, end, people, *_ in found:
        if zone and start is not None and end is not None and max(start, end) <= DAY:
            yield HoursGroup(zone, Span(start, end), people)
