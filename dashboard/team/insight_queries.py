"""Query the database for *Insights*: numbers of people by their settings, and the names of some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.calendar.working_hours import DAY, Span
from dashboard.core.search_text import folded
from dashboard.models import Person, Portal
from dashboard.people.connection_state import colleagues
from dashboard.team.insights import PeopleFilter
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours

Key = TypeVar("Key", bound=Hashable)

MAX_NAMES = 6  # in one line


def settings_counts(session: Session, portal: Portal) -> SettingsCounts:
    """Return numbers of people by their settings; two indexes cover all of these queries."""
    team = colleagues(portal)
    totals = select(func.count(), func.count(Person.settings_at), func.max(Person.settings_at))
    total, people, read_at = session.execute(totals.where(*team)).one()
    with_settings = (*team, Person.settings_at.is_not(None))
    places = _count_by(session, (Person.calendar_zone, Person.work_start, Person.work_end), *with_settings)
    views = _count_by(session, (Person.view, Person.reminder_count), *with_settings)
    # People without settings have no such text.
    habits = _count_by(session, (Person.habits,), *team, Person.habits != "")
    differ = (Person.time_zone != "", Person.calendar_zone != "", Person.time_zone != Person.calendar_zone)
    pairs = _count_by(session, (Person.time_zone, Person.calendar_zone), *team, *differ)
    return SettingsCounts(
        total=total,
        people=people,
        read_at=read_at,
        zones_and_hours=_sum((_zone_and_hours(zone, start, end), number) for zone, start, end, number in places),
        views=_sum((view, number) for view, _reminders, number in views),
        reminder_counts=_sum((reminders, number) for _view, reminders, number in views),
        habits=_sum((text, number) for text, number in habits),
        zone_pairs=_sum(((profile, calendar), number) for profile, calendar, number in pairs),
    )


def people_names(
    session: Session, portal: Portal, people: PeopleFilter, *, offset: int = 0, limit: int = MAX_NAMES
) -> list[str]:
    """Return the names of some of the people, in alphabetical order."""
    columns = [getattr(Person, name) for name in people.columns]
    # No row is without people, so the names come from no more rows than there are names.
    rows = sorted(people.rows)[: offset + limit]
    with_settings = (*colleagues(portal), Person.settings_at.is_not(None))
    # In the order of an index: any other would make the database sort everyone.
    query = select(Person.name).where(*with_settings, tuple_(*columns).in_(rows)).order_by(*columns, Person.id)
    return sorted(session.scalars(query.offset(offset).limit(limit)), key=folded)


def _count_by(
    session: Session, columns: tuple[InstrumentedAttribute[Any], ...], *conditions: ColumnElement[bool]
) -> list[Any]:
    return list(session.execute(select(*columns, func.count()).where(*conditions).group_by(*columns)))


def _sum(rows: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    counts: Counter[Key] = Counter()
    for key, people in rows:
        counts[key] += people
    return dict(counts)


def _zone_and_hours(zone: str, start: int | None, end: int | None) -> ZoneAndHours:
    """Return the zone and hours; hours past the end of the day are unknown."""
    if start is None or end is None or max(start, end) > DAY:
        return ZoneAndHours(zone, None)
    return ZoneAndHours(zone, Span(start, end))
