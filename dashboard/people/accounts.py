"""A person's life: let in, remembered, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy import ColumnElement, bindparam, or_, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import OwnLimit
from dashboard.bitrix24.schemas import Profile
from dashboard.core.database import Database
from dashboard.core.search_text import searchable
from dashboard.models import Person, Portal
from dashboard.portals.throttle import Limit, Throttle, TooManyFailures
from dashboard.tokens.store import TokenStore

log = structlog.get_logger()

# Of one portal. Its list of employees is read within minutes of the first opening; who comes before that, or
# is a guest, is new. A hundred people may come at once; of more, some wait for the list.
NEW_PEOPLE_LIMIT = Limit(depth=100, seconds=15)
_FIND = select(Person).where(Person.portal_id == bindparam("portal"), Person.user_id == bindparam("user"))


class Accounts:
    """The people of all portals."""

    def __init__(
        self, *, database: Database, token_store: TokenStore, throttle: Throttle, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._token_store = token_store
        self._throttle = throttle
        self._now = now

    def upsert_from_opening(
        self,
        session: Session,
        portal: Portal,
        profile: Profile,
        *,
        language: str,
        access: SecretStr,
        refresh: SecretStr | None,
        expires_in: int,
    ) -> tuple[Person, datetime | None]:
        """Store who opened the application and their pair; the portal's row is locked by the caller.

        Return the person and when they were here before, None for never. That lock makes two openings
        of one person go one after another; the later pair stays.
        """
        person = session.scalar(_FIND, {"portal": portal.id, "user": profile.ID})
        if person is None:
            self._limit_new_people(session, portal)
            person = Person(portal_id=portal.id, user_id=profile.ID)
            session.add(person)
        person.problem = None
        person.name = profile.full_name
        person.search = searchable(profile.full_name, person.position or "")
        person.is_admin = profile.ADMIN
        person.time_zone = profile.TIME_ZONE
        person.language = language[:8]
        here_before = person.opened_at
        person.opened_at = self._now()
        if person.id is None:
            session.flush()  # the chain is stored under the number this gives
        self._token_store.save(session, portal, person, access=access, refresh=refresh, expires_in=expires_in)
        return person, here_before

    def _limit_new_people(self, session: Session, portal: Portal) -> None:
        """Bound how many people a portal may name that are in no list of employees we have read.

        :raise OwnLimit: too many; the caller's transaction is rolled back.
        """
        try:
            self._throttle.record_or_raise(f"new people {portal.id}", NEW_PEOPLE_LIMIT, session=session)
        except TooManyFailures as full:
            until = self._now().timestamp() + full.seconds
            raise OwnLimit("too_many_new_people", resets_at=until) from None

    def set_admin(self, person: Person, *, admin: bool) -> None:
        """Store whether Bitrix24 calls them an administrator now; an open page is worth no more than that."""
        log.info("rights_changed", person=person.id, is_admin=admin)
        self._change(person, is_admin=admin)

    def confirm(self, person: Person, *, admin: bool, asked_at: datetime) -> None:
        """Store what Bitrix24 answered when it was asked, unless a later answer is stored already."""
        if person.is_admin != admin:
            log.info("rights_changed", person=person.id, is_admin=admin)
        self._change(person, _not_confirmed_since(asked_at), is_admin=admin, confirmed_at=asked_at)

    def revoke_access(self, person: Person, *, dismissed: bool, asked_at: datetime) -> None:
        """Show somebody nothing but their own until Bitrix24 confirms them again; an opening does.

        Whoever was dismissed is in no list of employees either, until that list says more.
        """
        log.info("rights_changed", person=person.id, confirmed=False, dismissed=dismissed)
        gone = {"is_admin": False, "listed": None} if dismissed else {}
        self._change(person, _not_confirmed_since(asked_at), confirmed_at=None, **gone)

    def _change(self, person: Person, *conditions: ColumnElement[bool], **values: Any) -> None:
        with self._database.write_session() as session:
            session.execute(update(Person).where(Person.id == person.id, *conditions).values(**values))
        for name, value in values.items():
            setattr(person, name, value)


def _not_confirmed_since(asked_at: datetime) -> ColumnElement[bool]:
    return or_(Person.confirmed_at.is_(None), Person.confirmed_at <= asked_at)
