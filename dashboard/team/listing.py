"""Filter, sort and paginate the people of a portal."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, func, not_, select, true, tuple_
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import false

from dashboard.calendar.time_zones import canonical_name, offset_at, zone_info
from dashboard.calendar.working_hours import Span
from dashboard.core.database import Database
from dashboard.core.json_values import parse_int
from dashboard.core.search_text import contains, fold
from dashboard.models import Person, Portal
from dashboard.people.connection_state import STATES, colleagues, state_expression
from dashboard.people.departments import are_known, in_department
from dashboard.people.indexed_columns import company_hours
from dashboard.team.recommendations import differs

PAGE_SIZE = 50
BATCH_ROWS = 500  # of an export, so that a large team does not fill the memory
SORTS = ("name", "view", "hours", "timezone", "reminders", "state", "as_of")


@dataclass(frozen=True)
class TeamFilter:
    """Conditions on people. An empty field is no condition; a value that nobody has matches nobody."""

    q: str = ""
    view: str = ""
    timezone: str = ""
    reminders: str = ""
    state: str = ""
    department: str = ""
    differs: str = ""  # from the recommended settings: `recommendations.ANY`, a key, or a field


NO_FILTER = TeamFilter()


@dataclass(frozen=True)
class TeamRow:
    """One person in the table; empty or None where unknown."""

    user_id: int
    name: str
    position: str
    photo: str
    state: str
    view: str
    zone: str
    zone_source: str  # "calendar" or "profile"
    calendar_zone: str
    reminders: str  # as `calendar/encoding.py` encodes them
    as_of: datetime | None
    problem: str | None
    span: Span | None
    hours_source: str  # "person" or "account"
    departments: Sequence[int] = ()  # empty while the portal's departments are unknown


@dataclass(frozen=True)
class Order:
    """The order of the table; people in zones with the same time are sorted by the names of their cities."""

    portal: Portal
    sort: str
    now: datetime
    city: Callable[[str], str]


@dataclass(frozen=True)
class TeamPage:
    """One page of the table; the number is never past the last page."""

    rows: Sequence[TeamRow]
    total: int
    number: int
    pages: int


def team_page(
    session: Session,
    portal: Portal,
    team_filter: TeamFilter,
    *,
    now: datetime,
    sort: str = "name",
    number: int = 1,
    total: int | None = None,
    city: Callable[[str], str] = str,
    visible: Sequence[ColumnElement[bool]] = (),
) -> TeamPage:
    """Return one page of the ``visible`` people, the last one if the number is too high.

    Pass ``total`` if it is known, to save a query.
    """
    conditions = [*matching(portal, team_filter, now), *visible]
    if total is None:
        total = _count(session, conditions)
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    order = Order(portal, sort, now, city)
    ids = list(_ids(session, conditions, order, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE))
    rows = _rows(session, portal, [Person.id.in_(ids)], now)
    return TeamPage([rows[person_id] for person_id in ids], total, number, pages)


def all_rows(
    database: Database,
    portal: Portal,
    team_filter: TeamFilter,
    *,
    now: datetime,
    sort: str = "name",
    city: Callable[[str], str] = str,
    visible: Sequence[ColumnElement[bool]] = (),
) -> Iterator[Sequence[TeamRow]]:
    """Return all rows of the ``visible`` people in batches, each read in a short transaction when it is needed.

    The order is fixed at the call. People who no longer match when their batch is read are left out, and everybody
    once a deletion has begun.
    """
    is_current = exists().where(Portal.id == portal.id, Portal.generation == portal.generation)
    conditions = [*matching(portal, team_filter, now), *visible, is_current]
    with database.read_session() as session:
        ids = array("q", _ids(session, conditions, Order(portal, sort, now, city)))

    def read(batch: Sequence[int]) -> list[TeamRow]:
        with database.read_session() as session:
            rows = _rows(session, portal, [*conditions, Person.id.in_(batch)], now)
        return [rows[person_id] for person_id in batch if person_id in rows]

    batches = (read(ids[at : at + BATCH_ROWS]) for at in range(0, len(ids), BATCH_ROWS))
    return filter(None, batches)


def matching(portal: Portal, team_filter: TeamFilter, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions for a colleague who matches the filter."""
    count = Person.reminder_count
    reminders = {"none": count == 0, "one": count == 1, "many": count > 1, "unknown": count.is_(None)}
    state = state_expression(now) == team_filter.state if team_filter.state in STATES else false()
    needle = fold(team_filter.q.strip())
    conditions = (
        (needle, contains(Person.search, needle)),
        (team_filter.view, Person.view == team_filter.view),
        (team_filter.timezone, Person.zone == canonical_name(team_filter.timezone)),
        (team_filter.reminders, reminders.get(team_filter.reminders, false())),
        (team_filter.state, state),
        (team_filter.department, in_department(portal, parse_int(team_filter.department) or 0)),
        (team_filter.differs, differs(portal, team_filter.differs)),
    )
    return [*colleagues(portal), *(condition for value, condition in conditions if value)]


def _count(session: Session, conditions: Iterable[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count()).select_from(Person).where(*conditions)) or 0


def _rows(session: Session, portal: Portal, conditions: list[ColumnElement[bool]], now: datetime) -> dict[int, TeamRow]:
    columns = (Person.user_id, Person.name, Person.position, Person.photo, state_expression(now), Person.view)
    more_columns = (Person.zone, Person.zone_source, Person.calendar_zone, Person.reminders, Person.settings_at)
    last_columns = (Person.problem, Person.departments, Person.work_start, Person.work_end)
    query = select(Person.id, *columns, *more_columns, *last_columns).where(*conditions)
    known = are_known(session, portal)
    return {person_id: _row(portal, *row, known=known) for person_id, *row in session.execute(query)}


def _row(portal: Portal, *values: Any, known: bool) -> TeamRow:
    *fields, departments, start, end = values
    own = Span(start, end) if start is not None and end is not None else None
    company = company_hours(portal)
    fields += [own or company, "person" if own else "account" if company else "", (known and departments) or ()]
    return TeamRow(*fields)


def _ids(
    session: Session, conditions: list[ColumnElement[bool]], order: Order, *, offset: int = 0, limit: int | None = None
) -> Iterator[int]:
    """Yield ids in order. An index has each part in order, so the database sorts nothing."""
    for in_part, columns, known_size in _parts(session, conditions, order):
        if limit is not None and limit <= 0:
            break
        if offset:
            size = _count(session, [*conditions, in_part]) if known_size is None else known_size
            if offset >= size:
                offset -= size
                continue
        query = select(Person.id).where(*conditions, in_part).order_by(*columns)
        for person_id in session.scalars(query.limit(limit).offset(offset)):
            limit = None if limit is None else limit - 1
            yield person_id
        offset = 0


class _Part(NamedTuple):
    """A part of the list, with its condition and order, and its number of people if that is known."""

    condition: ColumnElement[bool]
    columns: list[ColumnElement[Any]]
    size: int | None = None


def _parts(session: Session, conditions: list[ColumnElement[bool]], order: Order) -> list[_Part]:
    """Return the parts of the list; people without a value come last."""
    name, is_descending = order.sort.removeprefix("-"), order.sort.startswith("-")
    if name == "state":
        states = reversed(STATES) if is_descending else STATES
        return [_Part(state_expression(order.now) == state, [Person.id.asc()]) for state in states]
    if name == "timezone":
        return _zone_parts(session, conditions, order, is_descending=is_descending)
    by_name: dict[str, tuple[ColumnElement[bool], list[Any]]] = {
        "view": (Person.view != "", [Person.view]),
        "hours": (Person.work_start.is_not(None), [Person.work_start, Person.work_end]),
        "reminders": (Person.reminder_count.is_not(None), [Person.reminder_count]),
        "as_of": (Person.settings_at.is_not(None), [Person.settings_at]),
    }
    has_value, columns = by_name.get(name, (true(), [Person.search]))
    # All columns have one direction, so that the database can read an index forwards or backwards.
    by_value = [column.desc() if is_descending else column.asc() for column in (*columns, Person.id)]
    if name not in by_name:
        return [_Part(has_value, by_value)]
    without_value = _Part(not_(has_value), [column.asc() for column in (*columns, Person.id)])
    if name == "hours" and (company := company_hours(order.portal)):
        # Those without hours of their own are among those who have the company's.
        is_earlier = tuple_(Person.work_start, Person.work_end) < tuple_(company.start, company.end)
        earlier = _Part(and_(has_value, is_earlier), by_value)
        parts = [earlier, without_value, _Part(and_(has_value, not_(is_earlier)), by_value)]
        return parts[::-1] if is_descending else parts
    return [_Part(has_value, by_value), without_value]


def _zone_parts(
    session: Session, conditions: list[ColumnElement[bool]], order: Order, *, is_descending: bool
) -> list[_Part]:
    """Return a part for each zone, by the zones' offsets now and then by their cities."""
    query = select(Person.zone, func.count()).where(*conditions).group_by(Person.zone)
    sizes = {row[0]: row[1] for row in session.execute(query)}

    def offset_and_city(zone: str) -> tuple[int, str]:
        return offset_at(order.now, zone_info(zone)), order.city(zone)

    zones = sorted(filter(None, sizes), key=offset_and_city, reverse=is_descending)
    return [_Part(Person.zone == zone, [Person.id.asc()], sizes[zone]) for zone in (*zones, *sizes.keys() & {""})]
