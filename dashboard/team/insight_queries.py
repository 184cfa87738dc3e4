"""The people of a portal counted by their habits in the database, and who is behind a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.calendar.working_hours import DAY, Span
from dashboard.core.search_text import folded
from dashboard.models import Person, Portal
from dashboard.team.insights import ByEncoded, ByZoneAndHours, ByZonePair, PeopleFilter
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours

Key = TypeVar("Key", bound=Hashable)

NAMES = 6  # as many as a line bears


def settings_counts(session: Session, portal: Portal) -> SettingsCounts:
    """Return how many people have what; two indexes hold all that is read for it."""
    first = select(func.count(), func.count(Person.settings_at), func.max(Person.settings_at))
    total, people, read_at = session.execute(first.where(*_team(portal))).one()
    known = (*_team(portal), Person.settings_at.is_not(None))
    places = _counted(session, (Person.calendar_zone, Person.work_start, Person.work_end), *known)
    views = _counted(session, (Person.view, Person.reminder_count), *known)
    # Who has no settings has no such text either.
    texts = _counted(session, (Person.habits,), *_team(portal), Person.habits != "")
    differ = (Person.time_zone != "", Person.calendar_zone != "", Person.time_zone != Person.calendar_zone)
    zones = _counted(session, (Person.time_zone, Person.calendar_zone), *_team(portal), *differ)
    return SettingsCounts(
        total=total,
        people=people,
        read_at=read_at,
        zones_and_hours=_summed((_place(zone, start, end), number) for zone, start, end, number in places),
        views=_summed((view, number) for view, _reminders, number in views),
        reminder_counts=_summed((reminders, number) for _view, reminders, number in views),
        texts=_summed((text, number) for text, number in texts),
        disagreeing=_summed(((profile, calendar), number) for profile, calendar, number in zones),
    )


def people_names(
    session: Session, portal: Portal, who: PeopleFilter, *, first: int = 0, most: int = NAMES
) -> list[str]:
    """Return so many of the people behind a number after the first, by the alphabet among themselves."""
    columns, values = _groups(who, first + most)
    known = (*_team(portal), Person.settings_at.is_not(None))
    # In the order of the groups' index: any other would have the database sort all there are.
    found = select(Person.name).where(*known, tuple_(*columns).in_(values)).order_by(*columns, Person.id)
    return sorted(session.scalars(found.offset(first).limit(most)), key=folded)


def _team(portal: Portal) -> tuple[ColumnElement[bool], ...]:
    return (Person.portal_id == portal.id, Person.listed.is_not(False))


def _counted(
    session: Session, columns: tuple[InstrumentedAttribute[Any], ...], *conditions: ColumnElement[bool]
) -> list[Any]:
    return list(session.execute(select(*columns, func.count()).where(*conditions).group_by(*columns)))


def _groups(who: PeopleFilter, most: int) -> tuple[tuple[InstrumentedAttribute[Any], ...], list[tuple[Any, ...]]]:
    """Return the columns that tell the groups, and as many groups as names are wanted: none is empty."""
    match who:
        case ByZoneAndHours(places):
            told = [(one.zone, one.span.start, one.span.end) for one in places if one.span]
            return (Person.calendar_zone, Person.work_start, Person.work_end), sorted(told)[:most]
        case ByZonePair(zones):
            turned = [(calendar, profile) for profile, calendar in zones]
            return (Person.calendar_zone, Person.time_zone), sorted(turned)[:most]
        case ByEncoded(texts):
            return (Person.habits,), [(text,) for text in sorted(texts)[:most]]


def _summed(counted: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    counts: Counter[Key] = Counter()
    for key, people in counted:
        counts[key] += people
    return dict(counts)


def _place(zone: str, start: int | None, end: int | None) -> ZoneAndHours:
    """Return the place; hours no clock shows are none."""
    if start is None or end is None or max(start, end) > DAY:
        return ZoneAndHours(zone, None)
    return ZoneAndHours(zone, Span(start, end))
