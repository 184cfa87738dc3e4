"""Store a portal's departments and who belongs to them, and find the people of a department."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    any_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session

from dashboard.bitrix24 import departments as bitrix24_departments
from dashboard.core.database import dialect_of, insert_or_ignore
from dashboard.models import Department, DepartmentMember, Person, Portal
from dashboard.people import storage_limit
from dashboard.people.connection_state import colleague_conditions

CHUNK_ROWS = 500  # in one statement
MAX_OPTIONS = 500  # of the filter; a page must stay small


def may_be_read(portal: Portal) -> bool:
    """Tell whether the portal grants the permission for departments, or has not said which it grants."""
    return portal.scopes is None or bitrix24_departments.SCOPE in portal.scopes


def store(session: Session, *, portal_id: int, rows: Sequence[bitrix24_departments.ListedDepartment]) -> None:
    """Replace the portal's departments; new ones are left out if there is no room for them.

    The caller has locked the portal's row.
    """
    new = {row.ID: (row.PARENT, row.NAME, row.UF_HEAD, row.SORT) for row in rows}
    columns = (Department.parent_id, Department.name, Department.head_id, Department.sort)
    stored_rows = session.execute(select(Department.department_id, *columns).where(Department.portal_id == portal_id))
    stored = {row.department_id: tuple(row[1:]) for row in stored_rows}
    outdated = [department_id for department_id, values in stored.items() if new.get(department_id) != values]
    for at in range(0, len(outdated), CHUNK_ROWS):
        chunk = Department.department_id.in_(outdated[at : at + CHUNK_ROWS])
        session.execute(delete(Department).where(Department.portal_id == portal_id, chunk))
    missing = [
        {
            **dict(zip(("parent_id", "name", "head_id", "sort"), values, strict=True)),
            "portal_id": portal_id,
            "department_id": department_id,
        }
        for department_id, values in new.items()
        if stored.get(department_id) != values
    ]
    size = (len(missing) - len(outdated)) * storage_limit.DEPARTMENT_BYTES
    if missing and storage_limit.allocate(session, portal_id, size):
        insert_or_ignore(session, Department, missing)


def store_members(session: Session, portal_id: int, department_ids: Mapping[int, Iterable[int]]) -> None:
    """Store the departments of these people, by user id. Only differences are written."""
    ids = select(Person.user_id, Person.id).where(Person.portal_id == portal_id, Person.user_id.in_(department_ids))
    people = {row.user_id: row.id for row in session.execute(ids)}
    members = select(DepartmentMember.person_id, DepartmentMember.department_id)
    stored = {
        (row.person_id, row.department_id)
        for row in session.execute(members.where(DepartmentMember.person_id.in_(people.values())))
    }
    new = {(people[user_id], number) for user_id in people for number in department_ids[user_id]}
    key = tuple_(DepartmentMember.person_id, DepartmentMember.department_id)
    former = sorted(stored - new)
    for at in range(0, len(former), CHUNK_ROWS):
        session.execute(delete(DepartmentMember).where(key.in_(former[at : at + CHUNK_ROWS])))
    missing = [
        {"portal_id": portal_id, "person_id": person_id, "department_id": number}
        for person_id, number in sorted(new - stored)
    ]
    if missing:
        insert_or_ignore(session, DepartmentMember, missing)


def in_department(session: Session, portal: Portal, department_id: int) -> ColumnElement[bool]:
    """Return the condition for the people of a department and of all departments below it."""
    return _is_member(session, _with_all_below(session, portal, Department.department_id == department_id))


def is_led_by(session: Session, portal: Portal, person: Person) -> ColumnElement[bool]:
    """Return the condition for whom a head may see: themselves, and everyone in and below their departments."""
    led = _with_all_below(session, portal, Department.head_id == person.user_id)
    return or_(Person.id == person.id, _is_member(session, led))


def _is_one_of(column: Mapped[int], ids: Select[Any]) -> ColumnElement[bool]:
    # With IS TRUE, Postgres runs the subquery once and hashes it. As a join, it runs the subquery for each row while it
    # has no statistics, such as after the first sync of a portal.
    return column.in_(ids).is_(True)


def options(session: Session, portal: Portal, visible: Sequence[ColumnElement[bool]] = ()) -> Sequence[tuple[int, str]]:
    """Return the ids and names of departments to filter by, in the order of their names, at most MAX_OPTIONS.

    If only some people are ``visible``, these are the departments of those people.
    """
    query = select(Department.department_id, Department.name).where(Department.portal_id == portal.id)
    if visible:
        people = select(DepartmentMember.department_id).join(Person, Person.id == DepartmentMember.person_id)
        people = people.where(Person.portal_id == portal.id, *visible)
        query = query.where(_is_one_of(Department.department_id, people))
    rows = session.execute(query.order_by(Department.name, Department.department_id).limit(MAX_OPTIONS))
    return [(row.department_id, row.name) for row in rows]


def name_of(session: Session, portal: Portal, department_id: int) -> str | None:
    """Return the name of a department, None if there is no such department."""
    query = select(Department.name).where(Department.portal_id == portal.id, Department.department_id == department_id)
    return session.scalar(query)


def names(session: Session, portal: Portal, department_ids: Iterable[int] | None = None) -> dict[int, str]:
    """Return the names of these departments, or of all, by id; unknown ones are left out."""
    query = select(Department.department_id, Department.name).where(Department.portal_id == portal.id)
    if department_ids is not None:
        query = query.where(Department.department_id.in_(list(department_ids)))
    return {row.department_id: row.name for row in session.execute(query)}


def are_known(session: Session, portal: Portal) -> bool:
    """Tell whether the portal has returned any departments."""
    return bool(session.scalar(select(exists().where(Department.portal_id == portal.id))))


def is_head(session: Session, portal: Portal, person: Person) -> bool:
    """Tell whether the person heads a department."""
    led = exists().where(Department.portal_id == portal.id, Department.head_id == person.user_id)
    return bool(session.scalar(select(led)))


def save_headships(session: Session, person: Person, led: bitrix24_departments.LedDepartments, *, at: datetime) -> None:
    """Store that the person heads no other departments than these. New ones come with the next list."""
    if led.is_complete:
        is_led = (Department.portal_id == person.portal_id, Department.head_id == person.user_id)
        lost = update(Department).where(*is_led, Department.department_id.not_in(led.ids))
        session.execute(lost.values(head_id=None))
    session.execute(update(Person).where(Person.id == person.id).values(headships_at=at))


def heads(session: Session, portal: Portal, *, limit: int) -> tuple[Sequence[str], int]:
    """Return the names of the first heads of departments, and how many heads there are. Only employees can be heads."""
    led = select(Department.head_id).where(Department.portal_id == portal.id, Department.head_id.is_not(None))
    conditions = (*colleague_conditions(portal), _is_one_of(Person.user_id, led))
    query = select(Person.name, func.count().over()).where(*conditions).order_by(Person.search, Person.id)
    rows = session.execute(query.limit(limit)).all()
    return [name for name, _count in rows], rows[0][1] if rows else 0


def _with_all_below(session: Session, portal: Portal, is_start: ColumnElement[bool]) -> set[int]:
    """Return the ids of some departments and of all below them. Parents may form a cycle.

    The database would search once per level, in each of a page's statements.
    """
    query = select(Department.department_id, Department.parent_id, is_start).where(Department.portal_id == portal.id)
    below = defaultdict[int | None, list[int]](list)
    unvisited = []
    for department_id, parent_id, is_first in session.execute(query):
        below[parent_id].append(department_id)
        if is_first:
            unvisited.append(department_id)
    found = set[int]()
    while unvisited:
        department_id = unvisited.pop()
        if department_id not in found:
            found.add(department_id)
            unvisited += below[department_id]
    return found


def _is_member(session: Session, department_ids: Iterable[int]) -> ColumnElement[bool]:
    """Return the condition for the people of at least one of these departments.

    It looks up each person's departments, which are few, and finds them in a hash table of these ids. There may be
    thousands, so they are one parameter.
    """
    column, ids = DepartmentMember.department_id, list(department_ids)
    if dialect_of(session) == "postgresql":
        is_one = column == any_(cast(ids, ARRAY(BigInteger)))
    else:
        is_one = column.in_(select(func.json_each(json.dumps(ids)).table_valued("value").c.value))
    # With IS TRUE, Postgres does not look up each of the ids for each person.
    memberships = select(literal(1)).where(DepartmentMember.person_id == Person.id, is_one.is_(True))
    # With IS TRUE, Postgres cannot turn it into a join, whose order it would have to guess; with an offset, not into a
    # hash table of the memberships of all portals.
    return exists(memberships.limit(1).offset(0).correlate(Person)).is_(True)
