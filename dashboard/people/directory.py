"""Sync a portal's list of users: add, update and delete people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from threading import Semaphore
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24 import users
from dashboard.bitrix24.errors import PersonRefused
from dashboard.bitrix24.masking import RecordCall
from dashboard.bitrix24.users import Employee
from dashboard.core.database import Database, insert_or_ignore
from dashboard.core.search_text import searchable
from dashboard.models import Person, Portal, TokenState
from dashboard.people import storage_limit
from dashboard.portals import vacuum
from dashboard.portals.portal_lock import lock_portal
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

# `Portal.directory_error` if the list is known to be incomplete.
INCOMPLETE = "directory_incomplete"

CHUNK_ROWS = 500
MAX_READERS = 3
MAX_LARGE_LISTS = 1  # in the memory of a process at once
MAX_TURN_WAIT = 600.0  # seconds
_COMPARED_COLUMNS = ("name", "position", "photo", "departments", "time_zone")


@dataclass(frozen=True)
class _DirectoryChange:
    """What the list changes for the people that are stored."""

    changed: Mapping[int, Mapping[str, Any]]  # Person.id → columns
    joined: Sequence[Employee]
    guests: Sequence[int]  # Person.id
    missing: Mapping[int, int]  # Bitrix24's user id → Person.id; has left, unless the portal still returns them


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Use an employee's token to read the list of users, and store the list."""

    database: Database
    token_refresher: TokenRefresher
    now: Callable[[], datetime]
    large_lists: Semaphore = field(default_factory=partial(Semaphore, MAX_LARGE_LISTS))

    def readers(self, portal: Portal) -> Sequence[Person]:
        """Return whose token may read the list: administrators first, then the most recent visitors."""
        query = (
            select(Person)
            .where(Person.portal_id == portal.id, Person.chain_state == TokenState.VALID)
            .where(Person.listed.is_not(False))
            .order_by(Person.is_admin.desc(), Person.opened_at.desc())
            .limit(MAX_READERS)
        )
        with self.database.read_session() as session:
            return session.scalars(query).all()

    def read(self, portal: Portal, reader: Person, *, record: RecordCall) -> bool:
        """Read the list and store it; return whether it was complete.

        People who have left are deleted, with their tokens, and guests are marked only if the list was complete.

        :raise PortalFull: the list was stored, but some new people found no room.
        :raise Bitrix24Error: the list could not be read; nothing is changed.
        """
        with self._turn() as wait_for_turn:
            return self._read(portal, reader, record=record, wait_for_turn=wait_for_turn)

    @contextmanager
    def _turn(self) -> Iterator[Callable[[], bool]]:
        """Yield a function that waits for the turn of a large list, which ends with the context.

        A portal whose turn does not come in time, because others are slow, has an incomplete list this time.
        """
        has_turn = False

        def wait() -> bool:
            nonlocal has_turn
            has_turn = has_turn or self.large_lists.acquire(timeout=MAX_TURN_WAIT)
            return has_turn

        try:
            yield wait
        finally:
            if has_turn:
                self.large_lists.release()

    def _read(self, portal: Portal, reader: Person, *, record: RecordCall, wait_for_turn: Callable[[], bool]) -> bool:
        started_at = self.now()
        with self.database.read_session() as session:
            expected = session.scalar(select(func.count()).where(Person.portal_id == portal.id)) or 0
        list_employees = partial(users.list_employees, expected=expected, wait_for_turn=wait_for_turn)
        listing = self.token_refresher.call_with_token(portal, reader, list_employees, record=record)
        if listing.complete and reader.user_id not in listing.employees:
            # A guest gets a part of the list only; everybody else would be deleted.
            raise PersonRefused("directory_without_reader")
        with self.database.read_session() as session:
            change = _compare(session, portal, listing.employees, started_at=started_at)
        if not listing.complete:
            change = replace(change, guests=(), missing={})
        employed: set[int] = set()
        if change.missing:
            find_employed = partial(users.find_still_employed, user_ids=change.missing)
            employed = self.token_refresher.call_with_token(portal, reader, find_employed, record=record)
        departed = [person_id for user_id, person_id in change.missing.items() if user_id not in employed]
        self._store(portal, change, departed=departed)
        return listing.complete

    def _store(self, portal: Portal, change: _DirectoryChange, *, departed: Sequence[int]) -> None:
        """Store the change in short transactions; each stops if the application was uninstalled meanwhile."""
        steps: tuple[tuple[Callable[[Session, list[Any]], None], Iterable[Any]], ...] = (
            (_update, change.changed.items()),
            (_mark_guests, change.guests),
            (_delete, departed),
            (storage_limit.recount, [portal.id]),
            (partial(_add, portal), change.joined),  # last, because the others need no room
        )
        try:
            for step, rows in steps:
                for chunk in _chunks(rows):
                    self.database.write(partial(_run_locked, portal=portal, step=step, rows=chunk))
        finally:
            if departed:
                self.database.checkpoint_wal()
        counts = {"joined": len(change.joined), "changed": len(change.changed), "left": len(departed)}
        log.info("directory_synced", portal=portal.id, **counts)


def _compare(
    session: Session, portal: Portal, employees: Mapping[int, Employee], *, started_at: datetime
) -> _DirectoryChange:
    columns = (
        *(Person.id, Person.user_id, Person.listed, Person.opened_at, Person.name),
        *(Person.position, Person.photo, Person.departments, Person.time_zone),
    )
    stored = session.execute(select(*columns).where(Person.portal_id == portal.id)).all()
    guests, missing, changed = [], {}, {}
    for row in stored:
        employee = employees.get(row.user_id)
        if employee is not None:
            values = _columns(employee, time_zone=row.time_zone)
            if not row.listed or any(getattr(row, name) != values[name] for name in _COMPARED_COLUMNS):
                changed[row.id] = values
        elif row.listed:
            missing[row.user_id] = row.id
        elif row.listed is None and row.opened_at is not None and row.opened_at < started_at:
            guests.append(row.id)
    stored_ids = {row.user_id for row in stored}
    joined = [employee for user_id, employee in employees.items() if user_id not in stored_ids]
    return _DirectoryChange(changed, joined, guests, missing)


def _columns(employee: Employee, *, time_zone: str = "") -> dict[str, Any]:
    """Return a person's columns. Older portals list no time zones; then the profile's stays."""
    return {
        "name": employee.full_name,
        "position": employee.WORK_POSITION,
        "search": searchable(employee.full_name, employee.WORK_POSITION),
        "photo": employee.PERSONAL_PHOTO,
        "departments": list(employee.UF_DEPARTMENT),
        "time_zone": employee.TIME_ZONE or time_zone,
        "listed": True,
    }


def _chunks(rows: Iterable[Any]) -> Iterable[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield chunk


def _run_locked(
    session: Session, *, portal: Portal, step: Callable[[Session, list[Any]], None], rows: list[Any]
) -> None:
    if lock_portal(session, portal):
        step(session, rows)


def _add(portal: Portal, session: Session, employees: list[Employee]) -> None:
    """Insert people, except those who have opened the application meanwhile.

    :raise PortalFull: there is no room for them.
    """
    storage_limit.allocate_people(session, portal.id, count=len(employees))
    new = {"portal_id": portal.id, "is_admin": False, "language": ""}
    rows = [{**new, "user_id": employee.ID, **_columns(employee)} for employee in employees]
    insert_or_ignore(session, Person, rows)


def _update(session: Session, changed: list[tuple[int, Mapping[str, Any]]]) -> None:
    session.execute(update(Person), [{"id": person_id, **columns} for person_id, columns in changed])


def _mark_guests(session: Session, person_ids: list[int]) -> None:
    session.execute(update(Person).where(Person.id.in_(person_ids)).values(listed=False))


def _delete(session: Session, person_ids: list[int]) -> None:
    session.execute(delete(Person).where(Person.id.in_(person_ids)))
    vacuum.request(session)
