"""A person's life: let in, remembered, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import SecretStr
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from dashboard import facts
from dashboard.bitrix24.answers import Profile
from dashboard.chains import Chains
from dashboard.db import Database
from dashboard.models import Person, Portal

log = structlog.get_logger()

_FIND = select(Person).where(Person.portal_id == bindparam("portal"), Person.user_id == bindparam("user"))


class People:
    """The people of all portals."""

    def __init__(self, *, database: Database, chains: Chains, now: Callable[[], datetime]) -> None:
        self._database = database
        self._chains = chains
        self._now = now

    def admit(
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
            person = Person(portal_id=portal.id, user_id=profile.ID)
            session.add(person)
        person.problem = None
        person.name = profile.full_name
        person.search = facts.searchable(profile.full_name, person.position or "")
        person.is_admin = profile.ADMIN
        person.time_zone = profile.TIME_ZONE
        person.language = language[:8]
        here_before = person.opened_at
        person.opened_at = self._now()
        if person.id is None:
            session.flush()  # the chain is stored under the number this gives
        self._chains.put(
            session, portal, person, access=access, refresh=refresh, expires_in=expires_in, now=self._now()
        )
        return person, here_before

    def note_rights(self, person: Person, *, admin: bool) -> None:
        """Store whether Bitrix24 calls them an administrator now; an open page is worth no more than that."""
        self._change(person, is_admin=admin)

    def shut_out(self, person: Person) -> None:
        """Show somebody who was dismissed nothing but their own, until the list of employees says more."""
        self._change(person, is_admin=False, listed=None)

    def _change(self, person: Person, **values: bool | None) -> None:
        log.info("rights_changed", person=person.id, **values)
        with self._database.writing() as session:
            session.execute(update(Person).where(Person.id == person.id).values(**values))
        for name, value in values.items():
            setattr(person, name, value)
