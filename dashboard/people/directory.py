"""The list of employees in the store: who is new, who is called otherwise, who has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24 import users
from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import Unreadable
from dashboard.bitrix24.masking import RecordCall
from dashboard.bitrix24.users import Employee, EmployeeList
from dashboard.core.database import Database, insert_or_ignore
from dashboard.core.search_text import searchable
from dashboard.models import Person, Portal, TokenState
from dashboard.portals import vacuum
from dashboard.portals.portal_lock import lock_portal
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

# What `Portal.directory_error` says where the list named some people and certainly not all.
INCOMPLETE = "directory_incomplete"

CHUNK_ROWS = 500
MAX_READERS = 3


@dataclass(frozen=True)
class _DirectoryChange:
    """What a reading of the list means for those already stored."""

    changed: Mapping[int, Mapping[str, Any]]  # by our number: the columns
    joined: Sequence[Employee]
    guests: Sequence[int]  # our numbers
    missing: Mapping[int, int]  # Bitrix24's number → ours; left, if asking once more says so


class Directory:
    """Reads the employees with the chain of somebody who is one, and keeps the store in step."""

    def __init__(self, *, database: Database, token_refresher: TokenRefresher, now: Callable[[], datetime]) -> None:
        self._database = database
        self._token_refresher = token_refresher
        self._now = now

    def readers(self, portal: Portal) -> Sequence[Person]:
        """Return whose chain may read the list, best first: administrators, then whoever came last."""
        found = (
            select(Person)
            .where(Person.portal_id == portal.id, Person.chain_state == TokenState.VALID)
            .where(Person.listed.is_not(False))
            .order_by(Person.is_admin.desc(), Person.opened_at.desc())
            .limit(MAX_READERS)
        )
        with self._database.read_session() as session:
            return session.scalars(found).all()

    def read(self, portal: Portal, reader: Person, *, record: RecordCall) -> bool:
        """Read the list and store it; return whether it was complete.

        People who left are deleted with their chains, and guests are marked, on the word of a complete list
        alone: of an incomplete one only those it names are taken.

        :raise Bitrix24Error: it could not be read; the list stands as it was.
        """
        began = self._now()
        with self._database.read_session() as session:
            known = session.scalar(select(func.count()).where(Person.portal_id == portal.id)) or 0

        def listed(client: Client, token: str) -> EmployeeList:
            return users.list_employees(client, token, expected=known)

        found = self._token_refresher.call_with_token(portal, reader, listed, record=record)
        if found.complete and reader.user_id not in found.employees:
            # A guest is shown a part of the list alone; believing it would delete everybody else.
            raise Unreadable("directory_without_reader")
        with self._database.read_session() as session:
            change = _compare(session, portal, found.employees, began=began)
        if not found.complete:
            change = replace(change, guests=(), missing={})
        here = self._still_here(portal, reader, change.missing, record=record)
        left = [number for user_id, number in change.missing.items() if user_id not in here]
        self._store(portal, change, left=left)
        return found.complete

    def _still_here(
        self, portal: Portal, reader: Person, missing: Mapping[int, int], *, record: RecordCall
    ) -> set[int]:
        if not missing:
            return set()

        def asked(client: Client, token: str) -> set[int]:
            return users.find_still_employed(client, token, missing)

        return self._token_refresher.call_with_token(portal, reader, asked, record=record)

    def _store(self, portal: Portal, change: _DirectoryChange, *, left: Sequence[int]) -> None:
        """Store the change in short transactions; each looks whether the installation is still there."""
        for some in _chunks(change.joined):
            self._in_portal(portal, partial(_add, portal=portal, joined=some))
        for some in _chunks(change.changed.items()):
            self._in_portal(portal, partial(_change, changed=some))
        for some in _chunks(change.guests):
            self._in_portal(portal, partial(_mark_guests, numbers=some))
        for some in _chunks(left):
            self._in_portal(portal, partial(_delete, numbers=some))
        if left:
            self._database.checkpoint_wal()
        log.info(
            "directory_read",
            portal=portal.id,
            joined=len(change.joined),
            changed=len(change.changed),
            left=len(left),
        )

    def _in_portal(self, portal: Portal, work: Callable[[Session], None]) -> None:
        """Do it unless the application was uninstalled meanwhile; the lock makes openings wait their turn."""

        def locked(session: Session) -> None:
            if lock_portal(session, portal):
                work(session)

        self._database.write(locked)


def _compare(session: Session, portal: Portal, found: Mapping[int, Employee], *, began: datetime) -> _DirectoryChange:
    columns = (
        *(Person.id, Person.user_id, Person.listed, Person.opened_at, Person.name),
        *(Person.position, Person.photo, Person.departments, Person.time_zone),
    )
    stored = session.execute(select(*columns).where(Person.portal_id == portal.id)).all()
    guests, missing, changed = [], {}, {}
    for row in stored:
        employee = found.get(row.user_id)
        if employee is not None:
            told = _columns(employee, time_zone=row.time_zone)
            if not row.listed or any(getattr(row, name) != told[name] for name in _COMPARED_COLUMNS):
                changed[row.id] = told
        elif row.listed:
            missing[row.user_id] = row.id
        elif row.listed is None and row.opened_at is not None and row.opened_at < began:
            guests.append(row.id)
    known = {row.user_id for row in stored}
    joined = [employee for user_id, employee in found.items() if user_id not in known]
    return _DirectoryChange(changed, joined, guests, missing)


_COMPARED_COLUMNS = ("name", "position", "photo", "departments", "time_zone")


def _columns(employee: Employee, *, time_zone: str = "") -> dict[str, Any]:
    """Return the columns; an older portal's list has no zones, and the profile's stays then."""
    return {
        "name": employee.full_name,
        "position": employee.WORK_POSITION,
        "search": searchable(employee.full_name, employee.WORK_POSITION),
        "photo": employee.PERSONAL_PHOTO,
        "departments": list(employee.UF_DEPARTMENT),
        "time_zone": employee.TIME_ZONE or time_zone,
        "listed": True,
    }


def _add(session: Session, *, portal: Portal, joined: Sequence[Employee]) -> None:
    """Insert people; one who opened the application meanwhile is there already, and stays as told then."""
    rows = [
        {
            "portal_id": portal.id,
            "user_id": employee.ID,
            "is_admin": False,
            "language": "",
            **_columns(employee),
        }
        for employee in joined
    ]
    insert_or_ignore(session, Person, rows)


def _change(session: Session, *, changed: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    session.execute(update(Person), [{"id": number, **columns} for number, columns in changed])


def _mark_guests(session: Session, *, numbers: Sequence[int]) -> None:
    session.execute(update(Person).where(Person.id.in_(numbers)).values(listed=False))


def _delete(session: Session, *, numbers: Sequence[int]) -> None:
    session.execute(delete(Person).where(Person.id.in_(numbers)))
    vacuum.request(session)


def _chunks(things: Iterable[Any]) -> Iterable[list[Any]]:
    left = iter(things)
    while some := list(islice(left, CHUNK_ROWS)):
        yield some
