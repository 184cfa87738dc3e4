"""Read the people of a portal, filtered, sorted, grouped, and page by page."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.calendar.working_hours import DAY, Span
from dashboard.core.database import Database
from dashboard.models import Person, Portal
from dashboard.people.company_hours import company_hours, stored_hours
from dashboard.people.connection_state import state_expression
from dashboard.portals import deletion
from dashboard.team.ordered_ids import count, ids_of_all, ids_of_page
from dashboard.team.team_filter import TeamFilter, TeamReader, matching
from dashboard.team.team_order import BY_START, Arrangement, Grouping, find_traits, group_parts, sort_parts

PAGE_SIZE = 50
BATCH_ROWS = 500  # of an export, so that a large team does not fill the memory


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
    previous_zone: str  # the profile's, before it changed
    zone_changed_at: datetime | None
    span: Span | None
    hours_source: str  # "person" or "account"
    departments: Sequence[int] = ()  # empty while the portal's departments are unknown

    @property
    def is_assumed(self) -> bool:
        """Tell whether no settings of the person were read, or another zone than their calendar's is used."""
        return self.as_of is None or self.zone_source != "calendar"


@dataclass(frozen=True)
class RowGroup:
    """People of one group on a page, and how many the group has on all pages."""

    key: str
    people: int
    rows: Sequence[TeamRow]


@dataclass(frozen=True)
class TeamPage:
    """One page of the list; the number is never past the last page."""

    groups: Sequence[RowGroup]
    arrangement: Arrangement
    total: int
    number: int
    pages: int

    @property
    def is_by_department(self) -> bool:
        """Tell whether the groups are departments."""
        return self.arrangement.group == Grouping.DEPARTMENT

    @property
    def rows(self) -> list[TeamRow]:
        """Return the rows of all groups."""
        return [row for group in self.groups for row in group.rows]


def team_page(
    session: Session,
    portal: Portal,
    conditions: Sequence[ColumnElement[bool]],
    arrangement: Arrangement,
    reader: TeamReader,
    *,
    total: int,
    zone_sizes: Mapping[str, int] | None = None,
    number: int = 1,
) -> TeamPage:
    """Return one page of the people who meet the conditions, the last one if the number is too high.

    :param zone_sizes: how many of them each time zone has, to save a query.
    """
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    traits = find_traits(session, portal)
    arrangement = arrangement.with_defaults(total, has_departments=traits.has_departments)
    groups = group_parts(session, portal, conditions, arrangement, reader, total=total, zone_sizes=zone_sizes)
    parts = sort_parts(session, portal, conditions, arrangement, reader, has_unnamed=traits.has_unnamed)
    ids = ids_of_page(session, conditions, groups, parts, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    rows = _rows(
        session,
        portal,
        [Person.id.in_([person_id for person_id, _key in ids])],
        reader.now,
        with_departments=traits.has_departments,
    )
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group.key] = sizes.get(group.key, 0) + group.size
    # Whoever was deleted between two of these statements is left out.
    row_groups = [
        RowGroup(
            key,
            sizes[key],
            _by_start([rows[person_id] for person_id, _key in group if person_id in rows], arrangement, reader),
        )
        for key, group in groupby(ids, key=lambda pair: pair[1])
    ]
    return TeamPage(row_groups, arrangement, total, number, pages)


def all_rows(
    database: Database,
    portal: Portal,
    team_filter: TeamFilter,
    arrangement: Arrangement,
    reader: TeamReader,
    *,
    visible: Sequence[ColumnElement[bool]] = (),
) -> Iterator[Sequence[TeamRow]]:
    """Return all rows of the ``visible`` people in batches, each read in a short transaction when it is needed.

    The order is fixed at the call. People who no longer match when their batch is read are left out. The end of the
    rows raises ``InstallationEnded`` too.

    :raise InstallationEnded: the portal's data was deleted, or the application uninstalled.
    """
    is_current = exists().where(Portal.id == portal.id, Portal.generation == portal.generation)
    with database.read_session() as session:
        conditions = [*matching(session, portal, team_filter, reader), *visible, is_current]
        traits = find_traits(session, portal)
        total = count(session, conditions)
        arrangement = arrangement.with_defaults(total, has_departments=traits.has_departments)
        groups = group_parts(session, portal, conditions, arrangement, reader, total=total)
        parts = sort_parts(session, portal, conditions, arrangement, reader, has_unnamed=traits.has_unnamed)
        ids, places = array("q"), array("i")
        place_by_key = {group.key: place for place, group in enumerate(groups)}
        for person_id, key in ids_of_all(session, conditions, groups, parts):
            ids.append(person_id)
            places.append(place_by_key[key])
    deletion.check_current(database, portal)

    def read(start: int) -> list[TeamRow]:
        batch = ids[start : start + BATCH_ROWS]
        with database.read_session() as session:
            rows = _rows(
                session,
                portal,
                [*conditions, Person.id.in_(batch)],
                reader.now,
                with_departments=traits.has_departments,
            )
        # Only short lists are sorted by the start of the day, so all of their people are in the first batch.
        in_groups = groupby(zip(batch, places[start:], strict=False), key=lambda pair: pair[1])
        sorted_groups = (
            _by_start([rows[person_id] for person_id, _ in group if person_id in rows], arrangement, reader)
            for _place, group in in_groups
        )
        return list(chain.from_iterable(sorted_groups))

    def batches() -> Iterator[list[TeamRow]]:
        yield from filter(None, map(read, range(0, len(ids), BATCH_ROWS)))
        deletion.check_current(database, portal)

    return batches()


def find_row(
    session: Session, portal: Portal, conditions: Sequence[ColumnElement[bool]], now: datetime
) -> TeamRow | None:
    """Return the one person who meets the conditions, without their departments."""
    return next(iter(_rows(session, portal, conditions, now, with_departments=False).values()), None)


def _by_start(rows: list[TeamRow], arrangement: Arrangement, reader: TeamReader) -> list[TeamRow]:
    """Return the rows by the start of each person's work on the reader's day, if that is the order."""

    def start(row: TeamRow) -> int:
        if not row.zone or row.span is None:
            return DAY
        ahead = offset_at(reader.now, zone_info(row.zone)) - offset_at(reader.now, reader.zone)
        return (row.span.start - ahead // 60) % DAY

    return sorted(rows, key=start) if arrangement.sort == BY_START else rows


def _rows(
    session: Session,
    portal: Portal,
    conditions: Sequence[ColumnElement[bool]],
    now: datetime,
    *,
    with_departments: bool,
) -> dict[int, TeamRow]:
    columns = (Person.user_id, Person.name, Person.position, Person.photo, state_expression(now), Person.view)
    more_columns = (Person.zone, Person.zone_source, Person.calendar_zone, Person.reminders, Person.settings_at)
    zone_columns = (Person.problem, Person.previous_time_zone, Person.time_zone_changed_at)
    last_columns = (Person.departments, Person.work_start, Person.work_end)
    query = select(Person.id, *columns, *more_columns, *zone_columns, *last_columns).where(*conditions)
    company = company_hours(portal)
    return {
        person_id: _row(row, company, with_departments=with_departments) for person_id, *row in session.execute(query)
    }


def _row(values: Sequence[Any], company: Span | None, *, with_departments: bool) -> TeamRow:
    *fields, departments, start, end = values
    hours = stored_hours(start, end, company)
    fields += [hours.span, hours.source if hours.span else "", (with_departments and departments) or ()]
    return TeamRow(*fields)
