"""Decide who may see the team, and name those who can change that."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.models import Person, Portal
from dashboard.people.connection_state import colleagues

MAX_ADMINISTRATORS = 5  # names in one sentence


def can_see_team(portal: Portal, person: Person) -> bool:
    """Tell whether the person may see the team.

    Administrators may, and employees if an administrator has allowed it. A guest of the portal never may.
    ``listed`` is None for somebody who is not yet in the stored list of users; they may be a guest.
    """
    return person.is_admin or (portal.team_open and person.listed is True)


def administrators(session: Session, portal: Portal) -> list[str]:
    """Return the names of administrators who have opened the application, the most recent first."""
    query = (
        select(Person.name)
        .where(*colleagues(portal), Person.is_admin, Person.opened_at.is_not(None))
        .order_by(Person.opened_at.desc(), Person.id)
        .limit(MAX_ADMINISTRATORS)
    )
    return list(session.scalars(query))


def name_of(session: Session, portal: Portal, user_id: int | None) -> str | None:
    """Return a colleague's name, or None if this person is not stored."""
    query = select(Person.name).where(Person.portal_id == portal.id, Person.user_id == user_id)
    return session.scalar(query)
