"""Filter, sort and paginate the people of a portal."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, not_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import false

from dashboard.calendar.working_hours import Span
from dashboard.core.database import Database
from dashboard.core.search_text import contains, fold
from dashboard.models import Person, Portal
from dashboard.people.connection_state import STATES, colleagues, state_expression

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
    reminders: str  # as `calendar/encoding.py` encodes them
    as_of: datetime | None
    problem: str | None
    span: Span | None


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
) -> TeamPage:
    """Return one page, the last one if the number is too high; pass ``total`` if it is known, to save a query."""
    conditions = _conditions(portal, team_filter, now)
    if total is None:
        total = _count(session, conditions)
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    ids = _page_ids(session, conditions, sort, now, offset=(number - 1) * PAGE_SIZE)
    return TeamPage(_rows(session, [Person.id.in_(ids)], now, sort), total, number, pages)


def all_rows(
    database: Database, portal: Portal, team_filter: TeamFilter, *, now: datetime, sort: str = "name"
) -> Iterator[Sequence[TeamRow]]:
    """Return the rows of all pages in batches, each read in a short transaction when it is needed.

    The order is fixed at the call. People who no longer match when their batch is read are left out, and everybody
    once a deletion has begun.
    """
    is_current = exists().where(Portal.id == portal.id, Portal.generation == portal.generation)
    conditions = [*_conditions(portal, team_filter, now), is_current]
    with database.read_session() as session:
        ids = array("q", session.scalars(select(Person.id).where(*conditions).order_by(*_order(sort, now))))

    def read(batch: Sequence[int]) -> list[TeamRow]:
        with database.read_session() as session:
            return _rows(session, [*conditions, Person.id.in_(batch)], now, sort)

    batches = (read(ids[at : at + BATCH_ROWS]) for at in range(0, len(ids), BATCH_ROWS))
    return filter(None, batches)


def _conditions(portal: Portal, team_filter: TeamFilter, now: datetime) -> list[ColumnElement[bool]]:
    count = Person.reminder_count
    reminders = {"none": count == 0, "one": count == 1, "many": count > 1, "unknown": count.is_(None)}
    state = state_expression(now) == team_filter.state if team_filter.state in STATES else false()
    needle = fold(team_filter.q.strip())
    conditions = (
        (needle, contains(Person.search, needle)),
        (team_filter.view, Person.view == team_filter.view),
        (team_filter.timezone, Person.calendar_zone == team_filter.timezone),
        (team_filter.reminders, reminders.get(team_filter.reminders, false())),
        (team_filter.state, state),
    )
    return [*colleagues(portal), *(condition for value, condition in conditions if value)]


def _count(session: Session, conditions: Iterable[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count()).select_from(Person).where(*conditions)) or 0


def _rows(session: Session, conditions: list[ColumnElement[bool]], now: datetime, sort: str) -> list[TeamRow]:
    columns = (Person.user_id, Person.name, Person.position, Person.photo, state_expression(now), Person.view)
    more_columns = (Person.calendar_zone, Person.reminders, Person.settings_at, Person.problem)
    query = select(*columns, *more_columns, Person.work_start, Person.work_end).where(*conditions)
    return [_row(*row) for row in session.execute(query.order_by(*_order(sort, now)))]


def _row(*values: Any) -> TeamRow:
    *fields, start, end = values
    fields.append(Span(start, end) if start is not None and end is not None else None)
    return TeamRow(*fields)


def _page_ids(
    session: Session, conditions: list[ColumnElement[bool]], sort: str, now: datetime, *, offset: int
) -> list[int]:
    """Return the ids on one page. An index has each part in order, so the database sorts nothing."""
    ids: list[int] = []
    for in_part, columns in _parts(sort, now):
        if len(ids) == PAGE_SIZE:
            break
        if offset:
            size = _count(session, [*conditions, in_part])
            if offset >= size:
                offset -= size
                continue
        query = select(Person.id).where(*conditions, in_part).order_by(*columns)
        ids += session.scalars(query.limit(PAGE_SIZE - len(ids)).offset(offset))
        offset = 0
    return ids


def _order(sort: str, now: datetime) -> Iterator[ColumnElement[Any]]:
    """Yield the columns by which a query over all parts is sorted."""
    parts = _parts(sort, now)
    yield case(*((in_part, place) for place, (in_part, _) in enumerate(parts)), else_=len(parts))
    has_value, columns = parts[0]
    yield from columns[:-1]
    # The last column is the id (tie-breaker). Rows without a value are always sorted by ascending id.
    is_descending = sort.startswith("-") and len(parts) < len(STATES)
    yield case((has_value, -Person.id), else_=Person.id) if is_descending else Person.id.asc()


def _parts(sort: str, now: datetime) -> list[tuple[ColumnElement[bool], list[ColumnElement[Any]]]]:
    """Return the parts of the list, each with its condition and order; people without a value come last."""
    name, is_descending = sort.removeprefix("-"), sort.startswith("-")
    if name == "state":
        states = reversed(STATES) if is_descending else STATES
        return [(state_expression(now) == state, [Person.id.asc()]) for state in states]
    by_name: dict[str, tuple[ColumnElement[bool], list[Any]]] = {
        "view": (Person.view != "", [Person.view]),
        "hours": (Person.work_start.is_not(None), [Person.work_start, Person.work_end]),
        "timezone": (Person.calendar_zone != "", [Person.calendar_zone]),
        "reminders": (Person.reminder_count.is_not(None), [Person.reminder_count]),
        "as_of": (Person.settings_at.is_not(None), [Person.settings_at]),
    }
    has_value, columns = by_name.get(name, (true(), [Person.search]))
    # All columns have one direction, so that the database can read an index forwards or backwards.
    order = [column.desc() if is_descending else column.asc() for column in (*columns, Person.id)]
    without_value = (not_(has_value), [column.asc() for column in (*columns, Person.id)])
    return [(has_value, order), without_value] if name in by_name else [(has_value, order)]
