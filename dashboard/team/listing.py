"""The table of the team: who is asked for, in which order, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, not_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import false

from dashboard.calendar.working_hours import Span
from dashboard.core.search_text import folded
from dashboard.models import Person, Portal
from dashboard.people.connection_state import STATES, colleagues, state_of

PAGE_SIZE = 50
REMINDERS = ("none", "one", "many", "unknown")
SORTS = ("name", "view", "hours", "timezone", "reminders", "state", "as_of")


@dataclass(frozen=True)
class TeamFilter:
    """Who is asked for. Empty: everybody; a value nobody has: nobody."""

    q: str = ""
    view: str = ""
    timezone: str = ""
    reminders: str = ""
    state: str = ""


NO_FILTER = TeamFilter()


@dataclass(frozen=True)
class TeamRow:
    """One row of the team."""

    user_id: int
    name: str
    position: str
    photo: str
    state: str
    view: str
    span: Span | None
    zone: str
    reminders: str
    as_of: datetime | None
    problem: str | None


@dataclass(frozen=True)
class TeamPage:
    """One page of those who were asked for; the number is never past the end."""

    rows: Sequence[TeamRow]
    total: int
    number: int
    pages: int


def team_page(
    session: Session,
    portal: Portal,
    wanted: TeamFilter,
    *,
    now: datetime,
    sort: str = "name",
    number: int = 1,
    total: int | None = None,
) -> TeamPage:
    """Return one page; a number past the end is the last page's. ``total`` spares counting where known."""
    conditions = _conditions(portal, wanted, now)
    if total is None:
        total = session.scalar(select(func.count()).select_from(Person).where(*conditions)) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    ids = _found_at(session, conditions, sort, now, offset=(number - 1) * PAGE_SIZE)
    asked = _rows([Person.id.in_(ids)], now, sort)
    return TeamPage([_row(row) for row in session.execute(asked)], total, number, pages)


def all_rows(
    session: Session, portal: Portal, wanted: TeamFilter, *, now: datetime, sort: str = "name"
) -> list[TeamRow]:
    """Return all who are asked for, on all pages."""
    return [_row(row) for row in session.execute(_rows(_conditions(portal, wanted, now), now, sort))]


def _conditions(portal: Portal, wanted: TeamFilter, now: datetime) -> list[ColumnElement[bool]]:
    conditions = list(colleagues(portal))
    if needle := folded(wanted.q.strip()):
        conditions.append(Person.search.contains(needle, autoescape=True))
    if wanted.view:
        conditions.append(Person.view == wanted.view)
    if wanted.timezone:
        conditions.append(Person.calendar_zone == wanted.timezone)
    if wanted.reminders:
        conditions.append(_reminded(wanted.reminders))
    if wanted.state:
        conditions.append(state_of(now) == wanted.state if wanted.state in STATES else false())
    return conditions


def _reminded(how: str) -> ColumnElement[bool]:
    count = Person.reminder_count
    known: dict[str, ColumnElement[bool]] = {
        "none": count == 0,
        "one": count == 1,
        "many": count > 1,
        "unknown": count.is_(None),
    }
    return known.get(how, false())


_COLUMNS = (
    Person.user_id,
    Person.name,
    Person.position,
    Person.photo,
    Person.view,
    Person.work_start,
    Person.work_end,
    Person.calendar_zone,
    Person.reminders,
    Person.settings_at,
    Person.problem,
)


def _rows(conditions: list[ColumnElement[bool]], now: datetime, sort: str) -> Select[*tuple[Any, ...]]:
    return select(state_of(now), *_COLUMNS).where(*conditions).order_by(*_order(sort, now))


def _found_at(
    session: Session, conditions: list[ColumnElement[bool]], sort: str, now: datetime, *, offset: int
) -> list[int]:
    """Return the numbers of one page's people. Each part is in an index's own order: nothing is sorted."""
    ids: list[int] = []
    for belongs, columns in _parts(sort, now):
        if len(ids) == PAGE_SIZE:
            break
        if offset:
            before = session.scalar(select(func.count()).select_from(Person).where(*conditions, belongs)) or 0
            if offset >= before:
                offset -= before
                continue
        part = select(Person.id).where(*conditions, belongs).order_by(*columns)
        ids += session.scalars(part.limit(PAGE_SIZE - len(ids)).offset(offset))
        offset = 0
    return ids


def _order(sort: str, now: datetime) -> Iterator[ColumnElement[Any]]:
    """Yield what the parts and everybody in them are sorted by, for all pages at once."""
    parts = _parts(sort, now)
    yield case(*((belongs, place) for place, (belongs, _) in enumerate(parts)), else_=len(parts))
    told, columns = parts[0]
    yield from columns[:-1]
    # The last is the number; what nobody told goes by it forwards, either way.
    backwards = sort.startswith("-") and len(parts) < len(STATES)
    yield case((told, -Person.id), else_=Person.id) if backwards else Person.id.asc()


def _parts(sort: str, now: datetime) -> list[tuple[ColumnElement[bool], list[ColumnElement[Any]]]]:
    """Return the parts of the list and what each is sorted by: what nobody told comes last either way."""
    name, backwards = sort.removeprefix("-"), sort.startswith("-")
    by: dict[str, tuple[ColumnElement[bool], list[Any]]] = {
        "view": (Person.view != "", [Person.view]),
        "hours": (Person.work_start.is_not(None), [Person.work_start, Person.work_end]),
        "timezone": (Person.calendar_zone != "", [Person.calendar_zone]),
        "reminders": (Person.reminder_count.is_not(None), [Person.reminder_count]),
        "as_of": (Person.settings_at.is_not(None), [Person.settings_at]),
    }
    if name == "state":
        states = reversed(STATES) if backwards else STATES
        return [(state_of(now) == state, [Person.id.asc()]) for state in states]
    told, columns = by.get(name, (true(), [Person.search]))
    # One direction for all of them: an index is read forwards or backwards as a whole.
    sorted_by = [column.desc() if backwards else column.asc() for column in (*columns, Person.id)]
    untold = (not_(told), [column.asc() for column in (*columns, Person.id)])
    return [(told, sorted_by), untold] if name in by else [(told, sorted_by)]


def _row(row: Row[*tuple[Any, ...]]) -> TeamRow:
    state, user_id, name, position, photo, view, start, end, zone, reminders, as_of, problem = row
    span = Span(start, end) if start is not None and end is not None else None
    return TeamRow(user_id, name, position, photo, state, view, span, zone, reminders, as_of, problem)
