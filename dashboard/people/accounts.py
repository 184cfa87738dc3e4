"""Store users of a portal, their administrator rights and their access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import ColumnElement, bindparam, or_, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.departments import LedDepartments
from dashboard.bitrix24.errors import PersonDismissed, PortalFull
from dashboard.bitrix24.inbound import OpeningRequest
from dashboard.bitrix24.schemas import Profile
from dashboard.core.database import Database, execute_and_count
from dashboard.core.stored_times import ahead
from dashboard.models import Person, Portal
from dashboard.people import departments, storage_limit
from dashboard.people.indexed_columns import profile_zone_columns
from dashboard.people.name_columns import name_columns
from dashboard.portals.portal_lock import require_exclusive_lock
from dashboard.portals.throttle import Limit, Throttle
from dashboard.tokens.store import TokenStore

log = structlog.get_logger()

# People of one portal who are not in its stored user list: guests, and whoever opens the application before the list
# is first read. That happens minutes after the first opening; until then, more people are refused.
NEW_PEOPLE_LIMIT = Limit(depth=100, seconds=15)
# People of one portal who open the application for the first time, listed or not. Each gets a snapshot, and a
# self-hosted portal can invent any number of people.
FIRST_OPENING_LIMIT = Limit(depth=500, seconds=1)
_SELECT_FOR_UPDATE = (
    select(Person)
    .where(Person.portal_id == bindparam("portal"), Person.user_id == bindparam("user"))
    .with_for_update(key_share=True)
)


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The people of all portals."""

    database: Database
    token_store: TokenStore
    throttle: Throttle
    now: Callable[[], datetime]

    def upsert_from_opening(
        self,
        session: Session,
        portal: Portal,
        profile: Profile,
        request: OpeningRequest,
        *,
        taken_at: datetime,
        is_employee: bool,
        is_guest: bool,
    ) -> tuple[Person, datetime | None]:
        """Store who opened the application and their token pair; the caller has locked the portal's row.

        That lock, or the lock on the person's row, orders simultaneous openings of one person; the later pair stays.

        :param taken_at: when the profile was read.
        :param is_employee: whether the response proves it; used until the list of employees has been read.
        :param is_guest: whether the response proves it; they see nothing of the team until a list says otherwise.
        :return: the person, and when they opened the application before; None for never.
        :raise ExclusiveLockNeeded: the person is new, and the portal's row has a shared lock.
        :raise OwnLimit: too many new people at once.
        :raise PortalFull: too many people altogether.
        """
        person = session.scalar(_SELECT_FOR_UPDATE, {"portal": portal.id, "user": profile.ID})
        if person is None or person.chain_state is None:
            require_exclusive_lock(session, portal.id)
        if person is None:
            person = self._add(session, portal, profile.ID)
        if person.chain_state is None:
            self._take(session, f"first openings {portal.member_id}", FIRST_OPENING_LIMIT)
        previously_opened_at, person.opened_at = person.opened_at, self.now()
        person.problem = None
        # A profile has no patronymic, which is the name of some people in the list of employees.
        names = name_columns(profile.full_name or person.name or "", person.position or "")
        for name, value in (names | profile_zone_columns(person, profile.TIME_ZONE, at=taken_at)).items():
            setattr(person, name, value)
        person.is_admin = profile.ADMIN
        if profile.ADMIN and (portal.directory_at is None or person.listed is None):
            person.listed = True
        elif portal.directory_at is None:
            person.listed = True if is_employee else None
        elif is_guest and person.listed:
            # An employee has become a guest since the list was read.
            person.listed = None
        person.language = request.language[:8]
        if person.id is None:
            session.flush()  # the token pair needs the id
        self.token_store.save(
            session,
            portal,
            person,
            access=request.access_token,
            refresh=request.refresh_token,
            expires_in=request.expires_in,
        )
        return person, previously_opened_at

    def _add(self, session: Session, portal: Portal, user_id: int) -> Person:
        self._take(session, f"new people {portal.member_id}", NEW_PEOPLE_LIMIT)
        if not storage_limit.allocate(session, portal.id, storage_limit.PERSON_BYTES):
            raise PortalFull
        person = Person(portal_id=portal.id, user_id=user_id, snapshot_bytes=0, time_zone="")
        session.add(person)
        return person

    def _take(self, session: Session, key: str, limit: Limit) -> None:
        self.throttle.take(key, limit, code="too_many_new_people", session=session)

    def set_admin(self, person: Person, *, admin: bool) -> None:
        """Store whether the person is an administrator."""
        log.info("permissions_changed", person=person.id, is_admin=admin)
        self._update(person, is_admin=admin, **_listed_as_employee(person, is_proven=admin))

    def set_time_zone(self, person: Person, time_zone: str, *, at: datetime) -> None:
        """Store the time zone in the person's profile, which was read at that time."""
        self._update(person, **profile_zone_columns(person, time_zone, at=at))

    def save_confirmation(
        self, person: Person, *, admin: bool, asked_at: datetime, led: LedDepartments | None = None
    ) -> None:
        """Store Bitrix24's answer about the person's rights, unless a newer answer is stored.

        :param led: the departments that the person heads, if Bitrix24 was asked for them.
        """
        if led is not None:
            self.database.write(partial(departments.save_headships, person=person, led=led, at=asked_at))
            person.headships_at = asked_at
        was_admin = person.is_admin
        values = {"is_admin": admin, "confirmed_at": asked_at, **_listed_as_employee(person, is_proven=admin)}
        self._update(person, self._is_newest_answer(person, asked_at), **values)
        if person.is_admin != was_admin:
            log.info("permissions_changed", person=person.id, is_admin=person.is_admin)

    def reload_rights(self, person: Person) -> None:
        """Set on ``person`` what is stored about their rights by now."""
        columns = (Person.is_admin, Person.listed, Person.confirmed_at, Person.headships_at)
        with self.database.read_session() as session:
            stored = session.execute(select(*columns).where(Person.id == person.id)).one_or_none()
        for name, value in stored._asdict().items() if stored else ():
            setattr(person, name, value)

    def revoke_access(self, person: Person, denial: Exception, *, asked_at: datetime) -> None:
        """Remove team access from a user until Bitrix24 confirms them again, as an opening does.

        A dismissed user also loses admin rights and, until the next sync of the user list, the right to see the
        team as an employee.
        """
        dismissed = isinstance(denial, PersonDismissed)
        log.info("access_revoked", person=person.id, dismissed=dismissed)
        values = {"is_admin": False, "listed": None} if dismissed else {}
        self._update(person, self._is_newest_answer(person, asked_at), confirmed_at=None, **values)

    def _update(self, person: Person, *conditions: ColumnElement[bool], **values: Any) -> None:
        """Store the values if the conditions hold, and set on ``person`` what is stored then."""
        with self.database.write_session() as session:
            is_person = Person.id == person.id
            if not execute_and_count(session, update(Person).where(is_person, *conditions).values(**values)):
                columns = [getattr(Person, name) for name in values]
                stored = session.execute(select(*columns).where(is_person)).one_or_none()
                values = stored._asdict() if stored else values
        for name, value in values.items():
            setattr(person, name, value)

    def _is_newest_answer(self, person: Person, asked_at: datetime) -> ColumnElement[bool]:
        """Return the SQL condition that no newer answer is stored.

        The one that ``person`` has came before the question, even if another machine's clock says otherwise. Stored
        times in the future are ignored.
        """
        column = Person.confirmed_at
        return or_(column.is_(None), column == person.confirmed_at, column <= asked_at, ahead(column, self.now()))


def find_name(session: Session, portal: Portal, user_id: int | None) -> str | None:
    """Return a user's name, which may be empty, or None if they are not stored."""
    if user_id is None:
        return None  # the database would look through everyone
    query = select(Person.name).where(Person.portal_id == portal.id, Person.user_id == user_id)
    return session.scalar(query)


def _listed_as_employee(person: Person, *, is_proven: bool) -> dict[str, bool]:
    """Return the column that marks a proven employee before the list of employees names them."""
    return {"listed": True} if is_proven and person.listed is None else {}
