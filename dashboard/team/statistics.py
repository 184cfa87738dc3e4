"""The people of a portal side by side: found, sorted and counted in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select
from sqlalchemy.orm import Session

from dashboard.calendar.holidays import Workdays, parse_workdays
from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal, Snapshot, TokenState
from dashboard.team.availability import HoursGroup

STALE = timedelta(days=2)
ADMINISTRATORS = 5  # as many names as a sentence bears

State = Literal["connected", "stale", "reconnect", "never"]
STATES: tuple[State, ...] = ("connected", "stale", "reconnect", "never")


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


def can_see_team(portal: Portal, person: Person) -> bool:
    """Tell whether the person may see the team: administrators may, others if one of those allowed it.

    A guest of the portal, who is in no list of employees, never may. Who came after the list was read is
    taken for one until it is read again.
    """
    if person.listed is None:
        return person.is_admin or (portal.team_open and portal.directory_at is None)
    return person.is_admin or (portal.team_open and person.listed)


def administrators(session: Session, portal: Portal) -> list[str]:
    """Return the names of administrators who have opened the application, the last to come first."""
    found = (
        select(Person.name)
        .where(Person.portal_id == portal.id, Person.is_admin, Person.opened_at.is_not(None), *_IN_DIRECTORY)
        .order_by(Person.opened_at.desc(), Person.id)
        .limit(ADMINISTRATORS)
    )
    return list(session.scalars(found))


def name_of(session: Session, portal: Portal, user_id: int | None) -> str | None:
    """Return a colleague's name, None for somebody who is not known here any more."""
    found = select(Person.name).where(Person.portal_id == portal.id, Person.user_id == user_id)
    return session.scalar(found)


def workdays(session: Session, person: Person) -> Workdays:
    """Return the portal's days off, as the person's own last reading tells them."""
    return parse_workdays(session.scalar(select(Snapshot.account).where(Snapshot.person_id == person.id)))


def team_stats(session: Session, portal: Portal, *, now: datetime) -> TeamStats:
    """Return what the whole team amounts to; an index holds all that is read for it."""
    columns = (Person.calendar_zone, Person.work_start, Person.work_end)
    states = short_of_connected(now)
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


# Who came as a guest was read in the list's own words as no employee; None is from before the first list.
_IN_DIRECTORY = (Person.listed.is_not(False),)


def colleagues(portal: Portal) -> tuple[ColumnElement[bool], ...]:
    """Return what makes somebody a part of the portal's team."""
    return (Person.portal_id == portal.id, *_IN_DIRECTORY)


def short_of_connected(now: datetime) -> dict[State, ColumnElement[bool]]:
    """Return what makes each state but the best one; no person is in two."""
    live = Person.chain_state == TokenState.LIVE
    return {
        "never": Person.chain_state.is_(None),
        "reconnect": Person.chain_state == TokenState.RECONNECT,
        "stale": and_(live, or_(Person.settings_at.is_(None), Person.settings_at < now - STALE)),
    }


def state_of(now: datetime) -> ColumnElement[str]:
    """Return a person's state, as SQL."""
    return case(*((condition, name) for name, condition in short_of_connected(now).items()), else_="connected")


def _groups(found: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[HoursGroup]:
    for zone, start, end, people, *_ in found:
        if zone and start is not None and end is not None and max(start, end) <= DAY:
            yield HoursGroup(zone, Span(start, end), people)
