"""Sort and group the people of a portal, so that the database reads each page from an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, func, not_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.core.sort_keys import accented_sort_key, sort_key
from dashboard.models import Department, Person, Portal
from dashboard.people import departments
from dashboard.people.company_hours import company_hours
from dashboard.people.connection_state import STATES, state_expression
from dashboard.team.team_filter import NUMBER_PLACEHOLDER, TeamReader

SORTS = ("name", "view", "hours", "timezone", "reminders", "state", "as_of")
BY_START = "start"  # of the working day: the order of short lists that nobody has sorted
MAX_UNGROUPED = 25  # people on a list that nobody has grouped


class Grouping(StrEnum):
    """What the rows of the list are grouped by."""

    NONE = "none"
    TIMEZONE = "timezone"
    DEPARTMENT = "department"  # each person's first


@dataclass(frozen=True)
class Arrangement:
    """The order and the groups of the list. An empty order or group is one that the reader has not chosen."""

    sort: str = ""
    group: str = ""

    def with_defaults(self, total: int, *, has_departments: bool) -> Arrangement:
        """Fill in the default order and grouping for a list of this length."""
        is_short = total <= MAX_UNGROUPED
        group = "" if self.group == Grouping.DEPARTMENT and not has_departments else self.group
        default_group = Grouping.NONE if is_short or self.sort else Grouping.TIMEZONE
        default_sort = BY_START if is_short else "name"
        return replace(self, sort=self.sort or default_sort, group=group or default_group)


@dataclass(frozen=True)
class PortalTraits:
    """Whether the portal has departments, and people without a name."""

    has_departments: bool
    has_unnamed: bool  # people without a name


def find_traits(session: Session, portal: Portal) -> PortalTraits:
    """Look up what the order and the groups depend on besides the people who match."""
    has_departments = exists().where(Department.portal_id == portal.id)
    has_unnamed = exists().where(Person.portal_id == portal.id, Person.sort_key == "")
    return PortalTraits(*session.execute(select(has_departments, has_unnamed)).one())


class GroupPart(NamedTuple):
    """A group of the list, or a part of one: the value of its column, and its number of people."""

    key: str  # a time zone, the id of a department, or empty
    column: InstrumentedAttribute[Any] | None  # None: everyone
    value: str | int | None
    size: int

    @property
    def condition(self) -> ColumnElement[bool]:
        """Return the condition for its people."""
        if self.column is None:
            return true()
        has_value: ColumnElement[bool] = self.column == self.value
        return self.column.is_(None) if self.value is None else has_value


class SortPart(NamedTuple):
    """A part of each group, with its condition and order."""

    condition: ColumnElement[bool]
    columns: Sequence[ColumnElement[Any]]
    zone: str | None = None


def group_parts(
    session: Session,
    portal: Portal,
    conditions: Sequence[ColumnElement[bool]],
    arrangement: Arrangement,
    reader: TeamReader,
    *,
    total: int,
    zone_sizes: Mapping[str, int] | None = None,
) -> list[GroupPart]:
    """Return the groups of the list in order; whoever is in none comes last."""
    if arrangement.group == Grouping.TIMEZONE:
        sizes = zone_sizes if zone_sizes is not None else count_by(session, Person.zone, conditions)
        return _by_zone(sizes, reader, is_descending=arrangement.sort == "-timezone")
    if arrangement.group == Grouping.DEPARTMENT:
        return _by_department(session, portal, conditions, reader)
    return [GroupPart("", None, None, total)]


def _by_zone(sizes: Mapping[str, int], reader: TeamReader, *, is_descending: bool) -> list[GroupPart]:
    """Return a group for each zone, by the zones' offsets now and then by their cities."""

    def offset_and_city(zone: str) -> tuple[int, str]:
        return offset_at(reader.now, zone_info(zone)), _key(reader.city(zone), reader)

    zones = sorted(filter(None, sizes), key=offset_and_city, reverse=is_descending)
    return [GroupPart(zone, Person.zone, zone, sizes[zone]) for zone in (*zones, *sizes.keys() & {""})]


def _by_department(
    session: Session, portal: Portal, conditions: Sequence[ColumnElement[bool]], reader: TeamReader
) -> list[GroupPart]:
    column = Person.main_department
    sizes = count_by(session, column, conditions)
    names = departments.names(session, portal, filter(None, sizes))
    named = sorted(names, key=lambda number: (_key(names[number], reader), number))
    unnamed = sorted(number for number in sizes if number and number not in names)
    parts = [GroupPart(str(number), column, number, sizes[number]) for number in named]
    parts += [GroupPart("", column, number, sizes[number]) for number in unnamed]
    return parts + ([GroupPart("", column, None, sizes[None])] if None in sizes else [])


def count_by(
    session: Session, column: InstrumentedAttribute[Any], conditions: Sequence[ColumnElement[bool]]
) -> dict[Any, int]:
    """Return how many people have each value of a column."""
    query = select(column, func.count()).where(*conditions).group_by(column)
    return {row[0]: row[1] for row in session.execute(query)}


def _key(name: str, reader: TeamReader) -> str:
    return accented_sort_key(name) if reader.sorts_accents else sort_key(name)


def sort_parts(
    session: Session,
    portal: Portal,
    conditions: Sequence[ColumnElement[bool]],
    arrangement: Arrangement,
    reader: TeamReader,
    *,
    has_unnamed: bool,
) -> list[SortPart]:
    """Return the parts of each group in order; people without a value come last."""
    name, is_descending = arrangement.sort.removeprefix("-"), arrangement.sort.startswith("-")
    if name == "state":
        states = reversed(STATES) if is_descending else STATES
        return [SortPart(state_expression(reader.now) == state, [Person.id.asc()]) for state in states]
    if name == "timezone" and arrangement.group != Grouping.TIMEZONE:
        zones = _by_zone(count_by(session, Person.zone, conditions), reader, is_descending=is_descending)
        return [SortPart(zone.condition, [Person.id.asc()], zone.key) for zone in zones]
    by_name: dict[str, tuple[ColumnElement[bool], list[Any]]] = {
        "view": (Person.view != "", [Person.view]),
        "hours": (Person.work_start.is_not(None), [Person.work_start, Person.work_end]),
        "reminders": (Person.reminder_count.is_not(None), [Person.reminder_count]),
        "as_of": (Person.settings_at.is_not(None), [Person.settings_at]),
    }
    if name not in by_name:
        return _name_parts(reader, is_descending=is_descending and name == "name", has_unnamed=has_unnamed)
    has_value, columns = by_name[name]
    by_value = _ordered(*columns, is_descending=is_descending)
    without_value = SortPart(not_(has_value), _ordered(*columns))
    if name == "hours" and (company := company_hours(portal)):
        # Those without hours of their own are among those who have the company's.
        is_earlier = tuple_(Person.work_start, Person.work_end) < tuple_(company.start, company.end)
        earlier = SortPart(and_(has_value, is_earlier), by_value)
        parts = [earlier, without_value, SortPart(and_(has_value, not_(is_earlier)), by_value)]
        return parts[::-1] if is_descending else parts
    return [SortPart(has_value, by_value), without_value]


def _name_parts(reader: TeamReader, *, is_descending: bool, has_unnamed: bool) -> list[SortPart]:
    """Return people by what is shown as their name; those without one stand together, by their numbers."""
    column = Person.accented_sort_key if reader.sorts_accents else Person.sort_key
    by_key = _ordered(column, is_descending=is_descending)
    if not has_unnamed:
        return [SortPart(true(), by_key)]
    shown_key = _key(reader.unnamed.replace(NUMBER_PLACEHOLDER, ""), reader)
    parts = [
        SortPart(and_(column != "", column < shown_key), by_key),
        SortPart(column == "", _ordered(Person.user_id, is_descending=is_descending)),
        SortPart(column >= shown_key, by_key),
    ]
    return parts[::-1] if is_descending else parts


def _ordered(*columns: InstrumentedAttribute[Any], is_descending: bool = False) -> list[ColumnElement[Any]]:
    # All columns have one direction, so that the database can read an index forwards or backwards.
    return [column.desc() if is_descending else column.asc() for column in (*columns, Person.id)]
