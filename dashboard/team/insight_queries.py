"""Query the database for *Insights*: counts of people by their settings, and the names of some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Integer, case, func, literal, select, tuple_
from sqlalchemy.orm import Session

from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal
from dashboard.people.connection_state import colleague_conditions
from dashboard.team.frequency import MostFrequent, most_frequent
from dashboard.team.insights import PeopleFilter
from dashboard.team.settings_counts import MANY_REMINDERS, OTHER_VIEW, USUAL_VIEWS, SettingsCounts, ZoneAndHours

Key = TypeVar("Key", bound=Hashable)

MAX_NAMES = 6  # in one line


def settings_counts(session: Session, portal: Portal, _now: datetime) -> SettingsCounts:
    """Count people by their settings; two indexes cover all of these queries."""
    team = colleague_conditions(portal)
    totals = select(func.count(), func.count(Person.settings_at), func.max(Person.settings_at))
    total, people, read_at = session.execute(totals.where(*team)).one()
    with_settings = (*team, Person.settings_at.is_not(None))
    zones = most_frequent(session, [Person.zone], *team)
    hours = _hours_columns(portal)
    known = [Person.zone != "", *(column <= DAY for column in hours)]
    hours_counts = most_frequent(session, [Person.zone, *hours], *team, *known)
    confirmed_hours = most_frequent(session, hours, *with_settings, *known)
    # A portal may have any number of views and reminders, so the database groups them as the page does.
    view = case((Person.view.in_(("", *USUAL_VIEWS)), Person.view), else_=OTHER_VIEW)
    reminders = case((Person.reminder_count > MANY_REMINDERS, MANY_REMINDERS), else_=Person.reminder_count)
    shown = select(view.label("shown_view"), reminders.label("shown_reminders")).where(*with_settings).subquery()
    views = most_frequent(session, [*shown.c])
    habits = most_frequent(session, [Person.habits], *team, Person.habits != "")
    differ = (Person.time_zone != "", Person.calendar_zone != "", Person.time_zone != Person.calendar_zone)
    pairs = most_frequent(session, [Person.time_zone, Person.calendar_zone], *team, *differ)
    return SettingsCounts(
        total=total,
        people=people,
        read_at=read_at,
        zones_and_hours=_zones_and_hours(zones, hours_counts),
        hours={Span(start, end): number for start, end, number in confirmed_hours.rows},
        views=_sum((view, number) for view, _reminders, number in views.rows),
        reminder_counts=_sum((reminders, number) for _view, reminders, number in views.rows),
        habits=_sum(habits.rows),
        zone_pairs=_sum(((profile, calendar), number) for profile, calendar, number in pairs.rows),
        people_in_other_groups=hours_counts.others,
        is_complete=not (hours_counts.others or habits.others or pairs.others),
    )


def have_settings(session: Session, portal: Portal, people: int) -> bool:
    """Tell whether the settings of at least this many people are known."""
    first = (
        select(Person.id).where(*colleague_conditions(portal), Person.settings_at.is_not(None)).limit(people).subquery()
    )
    return session.scalar(select(func.count()).select_from(first)) == people


def people_names(
    session: Session, portal: Portal, people: PeopleFilter, *, offset: int = 0, limit: int = MAX_NAMES
) -> list[tuple[int, str]]:
    """Return the user ids and names of some of the people, in alphabetical order."""
    hours = dict(zip(("work_start", "work_end"), _hours_columns(portal), strict=True))
    columns = [hours.get(name, getattr(Person, name)) for name in people.columns]
    # Each row has at least one person, so these rows have enough names.
    rows = sorted(people.rows)[: offset + limit]
    conditions = [*colleague_conditions(portal), tuple_(*columns).in_(rows)]
    if people.with_settings:
        conditions.append(Person.settings_at.is_not(None))
    query = select(Person.user_id, Person.name, Person.sort_key).where(*conditions).order_by(*columns, Person.id)
    rows_of_page = session.execute(query.offset(offset).limit(limit)).all()
    return [(user_id, name) for user_id, name, _key in sorted(rows_of_page, key=lambda row: (row[2], row[0]))]


def _hours_columns(portal: Portal) -> list[ColumnElement[int | None]]:
    """Return the start and the end of a person's own working hours, else of the company's."""
    columns = ((Person.work_start, portal.work_start), (Person.work_end, portal.work_end))
    return [func.coalesce(own, literal(company, Integer, literal_execute=True)) for own, company in columns]


def _zones_and_hours(zones: MostFrequent, hours_counts: MostFrequent) -> dict[ZoneAndHours, int]:
    """Count people by zone and hours; people whose hours are unknown or rare count under the zone alone."""
    counts = {ZoneAndHours(zone, Span(start, end)): people for zone, start, end, people in hours_counts.rows}
    with_hours = _sum((place.zone, people) for place, people in counts.items())
    others = {ZoneAndHours(zone, None): people - with_hours.get(zone, 0) for zone, people in zones.rows}
    return counts | {place: people for place, people in others.items() if people}


def _sum(rows: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    counts: Counter[Key] = Counter()
    for key, people in rows:
        counts[key] += people
    return dict(counts)
