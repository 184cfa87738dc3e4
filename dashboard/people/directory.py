"""Sync a portal's list of users: add, update and delete people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import structlog
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24 import users
from dashboard.bitrix24.departments import read_departments
from dashboard.bitrix24.errors import Bitrix24Error, PersonRefused, PortalFull, ScopeMissing
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.users import Employee, ListPosition
from dashboard.core.database import Database, insert_or_ignore
from dashboard.models import Person, Portal, Run, TokenState
from dashboard.people import departments, storage_limit
from dashboard.people.indexed_columns import profile_zone_columns
from dashboard.people.name_columns import name_columns
from dashboard.portals.portal_lock import lock_portal
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()
T = TypeVar("T")

# `Portal.directory_error` if the list is known to be incomplete.
INCOMPLETE = "directory_incomplete"

CHUNK_ROWS = 200  # people in one transaction, each in up to ten departments; the portal's row is locked meanwhile
MAX_READERS = 3
# The stored columns from which `_columns` computes the new ones, beside those.
_ZONE_COLUMNS = ("time_zone", "previous_time_zone", "time_zone_changed_at", "calendar_zone", "zone", "zone_source")
_NAME_COLUMNS = ("name", "search", "sort_key", "accented_sort_key")
_COLUMNS = (
    *("position", "photo", "departments", "main_department", "listed", "columns_version"),
    *(*_NAME_COLUMNS, *_ZONE_COLUMNS),
)


class IncompleteList(Exception):
    """The portal did not return the whole list; what it returned is stored."""


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Use an employee's token to read the list of users, and store the list part by part.

    Each part is one request, and is stored before the next one. ``Person.listed_by_run`` marks everybody in it with the
    run. So the memory does not depend on the length of a list, and the next slice of the run can continue it.
    """

    database: Database
    token_refresher: TokenRefresher
    now: Callable[[], datetime]

    def readers(self, portal: Portal, position: ListPosition) -> Sequence[Person]:
        """Return the people whose tokens may read the next part, without those who were refused.

        The reader of the previous part comes first, then administrators, then the most recent visitors.
        """
        query = (
            select(Person)
            .where(Person.portal_id == portal.id, Person.chain_state == TokenState.VALID)
            .where(Person.listed.is_not(False), Person.id.not_in(position.refused))
            .order_by((Person.id == (position.reader or 0)).desc(), Person.is_admin.desc(), Person.opened_at.desc())
            .limit(MAX_READERS - len(position.refused))
        )
        with self.database.read_session() as session:
            return session.scalars(query).all()

    def first_position(self, portal: Portal, reader: Person, *, refused: Sequence[int]) -> ListPosition:
        """Return where a reader begins; the first request has as many pages as the stored people need."""
        with self.database.read_session() as session:
            expected = session.scalar(select(func.count()).where(Person.portal_id == portal.id)) or 0
        return ListPosition.first(expected=expected, reader=reader.id, refused=refused)

    def read_part(
        self, portal: Portal, reader: Person, position: ListPosition, *, run: Run, record_call: CallRecorder
    ) -> ListPosition | None:
        """Read and store the next part; return where the list continues, None if everything is done.

        After the last part of a complete list, guests are marked, and people who have left are deleted with their
        tokens, up to MAX_CHECKED_USERS of them at each call.

        :raise IncompleteList: part of the list is missing, so nobody is marked as a guest or deleted.
        :raise PortalFull: there was no room for some new people; everything else is done.
        :raise Bitrix24Error: the part could not be read; nothing is changed.
        """
        if position.pages:
            read = partial(users.read_part, position=position)
            read_at = self.now()
            part = self.token_refresher.call_with_token(portal, reader, read, record_call=record_call)
            is_full = position.is_full
            if not position.start:
                self._write(portal, partial(storage_limit.recount, portal_ids=[portal.id]))
                self._sync_departments(portal, reader, record_call=record_call)
            for chunk in _chunks(part.employees.values()):
                store = partial(_store, portal_id=portal.id, run_id=run.id, employees=chunk, at=read_at)
                is_full = self._write(portal, store) is False or is_full
            if not part.complete:
                raise PortalFull if is_full else IncompleteList
            position = replace(part.next, is_full=is_full)
            if position.pages:
                return position
            log.info("directory_read", portal=portal.id, users=position.received)
        if self._delete_departed(portal, reader, run=run, record_call=record_call):
            return position
        if position.is_full:
            raise PortalFull
        return None

    def _sync_departments(self, portal: Portal, reader: Person, *, record_call: CallRecorder) -> None:
        """Read and store the departments. The permission for them is optional, so no error stops the run."""
        if not departments.may_be_read(portal):
            self._write(portal, partial(departments.store, portal_id=portal.id, rows=[]))
            return
        try:
            listed = self.token_refresher.call_with_token(portal, reader, read_departments, record_call=record_call)
        except ScopeMissing:
            listed = {}
        except Bitrix24Error as error:
            # The stored ones stay. If the error concerns the whole portal, the list of employees meets it too.
            log.warning("departments_not_read", portal=portal.id, code=error.code)
            return
        self._write(portal, partial(departments.store, portal_id=portal.id, rows=list(listed.values())))

    def _delete_departed(self, portal: Portal, reader: Person, *, run: Run, record_call: CallRecorder) -> bool:
        """Delete people who have left; return whether more remain to be checked."""
        unlisted = (Person.portal_id == portal.id, Person.listed_by_run.is_distinct_from(run.id))
        missing_people = select(Person.user_id, Person.id).where(*unlisted, Person.listed.is_(True))
        with self.database.read_session() as session:
            if session.scalar(select(Person.id).where(*unlisted, Person.id == reader.id)) is not None:
                # The reader is a guest, who gets only a part of the list: everybody else would be deleted.
                raise PersonRefused("directory_without_reader")
            missing = {row.user_id: row.id for row in session.execute(missing_people.limit(users.MAX_CHECKED_USERS))}
        self._write(portal, partial(_mark_guests, unlisted=unlisted, run=run))
        if not missing:
            return False
        find_employed = partial(users.find_still_employed, user_ids=missing)
        employed_ids = self.token_refresher.call_with_token(portal, reader, find_employed, record_call=record_call)
        departed_ids = [person_id for user_id, person_id in missing.items() if user_id not in employed_ids]
        for user_ids in _chunks(employed_ids & missing.keys()):
            self._write(portal, partial(_mark_listed, portal_id=portal.id, run_id=run.id, user_ids=user_ids))
        for person_ids in _chunks(departed_ids):
            self._write(portal, partial(_delete, person_ids=person_ids))
        if departed_ids:
            self._write(portal, partial(storage_limit.recount, portal_ids=[portal.id]))
            self.database.checkpoint_wal()
            log.info("people_left", portal=portal.id, count=len(departed_ids))
        return len(missing) == users.MAX_CHECKED_USERS

    def _write(self, portal: Portal, work: Callable[[Session], T]) -> T | None:
        """Run ``work`` in a short transaction; it does nothing if the application was uninstalled meanwhile."""
        return self.database.write(lambda session: work(session) if lock_portal(session, portal) else None)


def _chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield chunk


def _store(session: Session, *, portal_id: int, run_id: int, employees: Sequence[Employee], at: datetime) -> bool:
    """Insert and update these employees, and mark them as listed by this run.

    Return False if there is no room for the new ones.
    """
    columns = (Person.id, Person.user_id, *(getattr(Person, name) for name in _COLUMNS))
    user_ids = [employee.ID for employee in employees]
    in_chunk = (Person.portal_id == portal_id, Person.user_id.in_(user_ids))
    stored = {row.user_id: row for row in session.execute(select(*columns).where(*in_chunk))}
    new_rows, changed_rows = [], []
    for employee in employees:
        row = stored.get(employee.ID)
        values = _columns(employee, row, at=at)
        if row is None:
            new_rows.append(
                {"portal_id": portal_id, "user_id": employee.ID, "is_admin": False, "language": "", **values}
            )
        elif any(getattr(row, name) != value for name, value in values.items()):
            changed_rows.append({"id": row.id, **values})
    if changed_rows:
        session.execute(update(Person), changed_rows)
    has_room = storage_limit.allocate(session, portal_id, len(new_rows) * storage_limit.PERSON_BYTES)
    if new_rows and has_room:
        insert_or_ignore(session, Person, new_rows)
    _mark_listed(session, portal_id=portal_id, run_id=run_id, user_ids=user_ids)
    departments.store_members(session, portal_id, {employee.ID: employee.UF_DEPARTMENT for employee in employees})
    return has_room


def _columns(employee: Employee, stored: Any, *, at: datetime) -> dict[str, Any]:
    """Return a person's columns. Older portals list no time zones; then the stored one stays."""
    time_zone = employee.TIME_ZONE or (stored.time_zone if stored else "")
    return {
        "position": employee.WORK_POSITION,
        "photo": employee.PERSONAL_PHOTO,
        "departments": list(employee.UF_DEPARTMENT),
        "main_department": next(iter(employee.UF_DEPARTMENT), None),
        "listed": True,
        **name_columns(employee.full_name, employee.WORK_POSITION),
        **profile_zone_columns(stored, time_zone, at=at),
    }


def _mark_listed(session: Session, *, portal_id: int, run_id: int, user_ids: Sequence[int]) -> None:
    in_chunk = (Person.portal_id == portal_id, Person.user_id.in_(user_ids))
    session.execute(update(Person).where(*in_chunk).values(listed_by_run=run_id))


def _mark_guests(session: Session, *, unlisted: Iterable[ColumnElement[bool]], run: Run) -> None:
    """Mark those who opened the application before the run and are not in the list."""
    guests = (*unlisted, Person.listed.is_(None), Person.opened_at < run.started_at)
    session.execute(update(Person).where(*guests).values(listed=False))


def _delete(session: Session, *, person_ids: Sequence[int]) -> None:
    session.execute(delete(Person).where(Person.id.in_(person_ids)))
