"""Filter the people of a portal, by what is stored about them and by the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from sqlalchemy import ColumnElement, String, and_, cast, false, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff
from dashboard.calendar.time_zones import canonical_name, clocks_differ, zone_info
from dashboard.calendar.working_hours import DAY
from dashboard.core.json_values import parse_int
from dashboard.core.search_text import contains, fold
from dashboard.models import Person, Portal
from dashboard.people.company_hours import company_hours
from dashboard.people.connection_state import colleague_conditions, is_in_state
from dashboard.people.departments import in_department
from dashboard.team.frequency import most_frequent
from dashboard.team.recommendations import differs

NUMBER_PLACEHOLDER = "%(number)s"


@dataclass(frozen=True)
class TeamFilter:
    """Conditions on people. An empty field is no condition; a value that nobody has matches nobody."""

    q: str = ""
    view: str = ""
    timezone: str = ""
    reminders: str = ""
    state: str = ""
    department: str = ""
    at_work: str = ""  # "1": only people who are at work now
    differs: str = ""  # from the recommended settings: `recommendations.ANY`, a key, or a field
    zones_differ: str = ""  # "1": only people whose calendar and profile have different clocks


NO_FILTER = TeamFilter()
FLAGS = frozenset({"at_work", "zones_differ"})


@dataclass(frozen=True)
class TeamReader:
    """The viewer's time, zone and language rules, which some filters and orders depend on."""

    now: datetime
    zone: tzinfo = UTC
    days_off: DaysOff = NO_DAYS_OFF
    city: Callable[[str], str] = str  # of a time zone
    unnamed: str = f"Employee {NUMBER_PLACEHOLDER}"  # what is shown of a person without a name
    sorts_accents: bool = False  # whether letters with accents are letters of their own


def matching(
    session: Session, portal: Portal, team_filter: TeamFilter, reader: TeamReader
) -> list[ColumnElement[bool]]:
    """Return the conditions for a colleague who matches the filter."""
    count = Person.reminder_count
    reminders = {"none": count == 0, "one": count == 1, "many": count > 1, "unknown": count.is_(None)}
    needle = fold(team_filter.q.strip())
    conditions = (
        (needle, _matches_search(needle, reader)),
        (team_filter.view, Person.view == team_filter.view),
        (team_filter.timezone, Person.zone == canonical_name(team_filter.timezone)),
        (team_filter.reminders, reminders.get(team_filter.reminders, false())),
        (team_filter.state, is_in_state(team_filter.state, reader.now)),
        (team_filter.differs, differs(portal, team_filter.differs)),
    )
    chosen = [condition for value, condition in conditions if value]
    if team_filter.department:
        chosen.append(in_department(session, portal, parse_int(team_filter.department) or 0))
    if team_filter.at_work:
        chosen.append(are_at_work(session, portal, reader))
    if team_filter.zones_differ:
        chosen.append(have_zones(zone_pairs(session, colleague_conditions(portal), now=reader.now)))
    return [*colleague_conditions(portal), *chosen]


def _matches_search(needle: str, reader: TeamReader) -> ColumnElement[bool]:
    """Return the condition for a needle in a person's name or position, or in what replaces a missing name."""
    before, after = map(fold, reader.unnamed.split(NUMBER_PLACEHOLDER, 1))
    replacement = literal(before).concat(cast(Person.user_id, String)).concat(literal(after))
    return or_(
        contains(Person.search, needle), and_(Person.sort_key == "", Person.name == "", contains(replacement, needle))
    )


def are_at_work(session: Session, portal: Portal, reader: TeamReader) -> ColumnElement[bool]:
    """Return the condition for people who are at work now, by the clocks of the team's time zones.

    It agrees with `availability.UserDay`: hours last from their start for their length, past midnight too, and those
    that begin on a day off fall away.
    """
    zones = session.scalars(select(Person.zone).where(*colleague_conditions(portal), Person.zone != "").distinct())
    zones_by_clock: dict[tuple[int, bool, bool], list[str]] = {}
    for zone in zones:
        zones_by_clock.setdefault(_clock(zone, reader), []).append(zone)
    company = company_hours(portal)
    start = func.coalesce(Person.work_start, company.start) if company else Person.work_start
    end = func.coalesce(Person.work_end, company.end) if company else Person.work_end
    length = (end - start + 2 * DAY - 1) % DAY + 1  # equal ends mean the whole day round
    at_work = []
    for (minute, works_today, worked_yesterday), names in zones_by_clock.items():
        since_start = [minute - start] * works_today + [minute + DAY - start] * worked_yesterday
        is_within = (and_(minutes >= 0, minutes < length) for minutes in since_start)
        at_work.append(and_(Person.zone.in_(names), or_(false(), *is_within)))
    return and_(start <= DAY, end <= DAY, or_(false(), *at_work))


def _clock(zone: str, reader: TeamReader) -> tuple[int, bool, bool]:
    """Return the minute of the day in a zone, and whether people work there on that day and on the one before."""
    local = reader.now.astimezone(zone_info(zone))
    today: date = local.date()
    return (
        local.hour * 60 + local.minute,
        not reader.days_off.is_off(today),
        not reader.days_off.is_off(today - timedelta(days=1)),
    )


def zone_pairs(session: Session, conditions: Iterable[ColumnElement[bool]], *, now: datetime) -> list[tuple[str, str]]:
    """Return the pairs of different clocks that the people have, the profile's and the calendar's."""
    differ = (Person.time_zone != "", Person.calendar_zone != "", Person.time_zone != Person.calendar_zone)
    pairs = most_frequent(session, [Person.time_zone, Person.calendar_zone], *conditions, *differ)
    return [(profile, calendar) for profile, calendar, _number in pairs.rows if clocks_differ(profile, calendar, now)]


def have_zones(pairs: Iterable[tuple[str, str]]) -> ColumnElement[bool]:
    """Return the condition for the people who have one of the pairs of time zones."""
    names = list(pairs)
    return tuple_(Person.time_zone, Person.calendar_zone).in_(names) if names else false()
