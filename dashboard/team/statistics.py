"""Count the people of a team: states, views, time zones, and groups with the same hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from dashboard.calendar.time_zones import canonical_name
from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal
from dashboard.people.company_hours import company_hours, stored_hours
from dashboard.people.connection_state import colleague_conditions, state_conditions
from dashboard.team.availability import HoursGroup
from dashboard.team.frequency import MAX_VALUES, most_frequent
from dashboard.team.team_filter import have_zones, zone_pairs

MAX_VIEWS = 100  # options of the filter


@dataclass(frozen=True)
class TeamStats:
    """The numbers of a team. Zones, groups and views are limited to the most frequent ones."""

    total: int
    states: dict[str, int]
    with_hours: int
    with_settings: int
    zones_differ: int  # people whose calendar and profile have different clocks
    zone_pairs: tuple[tuple[str, str], ...]  # their time zones: the profile's and the calendar's
    views: tuple[str, ...]
    zones: tuple[str, ...]
    zone_sizes: Mapping[str, int] | None  # people by their zones; None if they have too many different hours
    groups: tuple[HoursGroup, ...]


class UncountedPeople(NamedTuple):
    """People who are not in the list of employees: guests, and those who may be guests."""

    guests: int
    unlisted: int  # whom the list, which is read every day, will name or not


def count_uncounted(session: Session, portal: Portal) -> UncountedPeople:
    """Count those who have opened the application and are in no other number."""
    people = func.count()
    columns = (people.filter(Person.listed.is_(False)), people.filter(Person.listed.is_(None)))
    return UncountedPeople(*session.execute(select(*columns).where(Person.portal_id == portal.id)).one())


def team_stats(
    session: Session,
    portal: Portal,
    now: datetime,
    *conditions: ColumnElement[bool],
    whole_team: TeamStats | None = None,
) -> TeamStats:
    """Return the numbers of the people who meet the conditions; indexes cover these queries for the whole team.

    :param whole_team: the numbers of the whole team; the views and the pairs of zones are copied from there.
    """
    team = (*colleague_conditions(portal), *conditions)
    states = state_conditions(now)
    company = company_hours(portal)
    columns = (Person.zone, Person.work_start, Person.work_end, Person.calendar_zone)
    own_hours = and_(Person.work_start <= DAY, Person.work_end <= DAY)
    have_hours = and_(Person.zone != "", or_(own_hours, Person.work_start.is_(None)) if company else own_hours)
    pairs = zone_pairs(session, team, now=now) if whole_team is None else whole_team.zone_pairs
    filters = (have_hours, Person.settings_at.is_not(None), have_zones(pairs))
    people = func.count()
    # Each row has the totals of all groups, even of those beyond the limit.
    numbers = (people, *(people.filter(condition) for condition in (*filters, *states.values())))
    query = select(*columns, people, func.count(Person.settings_at), *(func.sum(number).over() for number in numbers))
    query = query.where(*team).group_by(*columns).order_by(people.desc(), *columns)
    rows: Sequence[Any] = session.execute(query.limit(MAX_VALUES)).all()
    totals = map(int, rows[0][6:] if rows else [0] * len(numbers))
    total, with_hours, with_settings, zones_differ, *counts = totals
    return TeamStats(
        total=total,
        states={"connected": total - sum(counts)} | dict(zip(states, counts, strict=True)),
        with_hours=with_hours,
        with_settings=with_settings,
        zones_differ=zones_differ,
        zone_pairs=tuple(pairs),
        views=_views(session, team) if whole_team is None else whole_team.views,
        zones=tuple(sorted({row[0] for row in rows if row[0]})),
        zone_sizes=_zone_sizes(rows) if len(rows) < MAX_VALUES else None,
        groups=_groups(rows, company),
    )


def _zone_sizes(rows: Sequence[Any]) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for zone, _start, _end, _calendar_zone, people, *_ in rows:
        sizes[zone] += people
    return dict(sizes)


def _views(session: Session, conditions: Sequence[ColumnElement[bool]]) -> tuple[str, ...]:
    rows = most_frequent(session, [Person.view], *conditions, Person.view != "", limit=MAX_VIEWS).rows
    return tuple(sorted(view for view, _people in rows))


def groups_of_departments(
    session: Session, portal: Portal, conditions: Sequence[ColumnElement[bool]], department_ids: Sequence[int]
) -> dict[int, tuple[HoursGroup, ...]]:
    """Return the people of each main department whose zone and hours are known, in groups with the same hours."""
    columns = (Person.main_department, Person.zone, Person.work_start, Person.work_end, Person.calendar_zone)
    query = select(*columns, func.count(), func.count(Person.settings_at))
    query = query.where(*conditions, Person.main_department.in_(department_ids)).group_by(*columns)
    rows: Sequence[Any] = session.execute(query.order_by(*columns).limit(MAX_VALUES)).all()
    by_department = groupby(rows, key=lambda row: row[0])
    return {number: _groups([row[1:] for row in group], company_hours(portal)) for number, group in by_department}


def _groups(rows: Sequence[Any], company: Span | None) -> tuple[HoursGroup, ...]:
    """Return the groups of people whose zone and hours are known.

    The hours of people are assumed if their settings are unknown, or if another zone than their calendar's is believed.
    """
    groups: dict[tuple[str, Span], HoursGroup] = {}
    for zone, start, end, calendar_zone, people, with_settings, *_ in rows:
        span = stored_hours(start, end, company).span
        if zone and span:
            group = groups.get((zone, span), HoursGroup(zone, span, 0))
            confirmed = with_settings if canonical_name(calendar_zone) == zone else 0
            assumed = group.assumed + people - confirmed
            groups[zone, span] = HoursGroup(zone, span, group.people + people, assumed)
    return tuple(groups.values())
