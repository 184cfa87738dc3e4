"""Decide who may see the team, and name whom to ask for it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from dashboard.models import Person, Portal
from dashboard.people import departments
from dashboard.people.connection_state import colleague_conditions


class TeamAccess(StrEnum):
    """Who may see the team: administrators always, and whom one of them has allowed it."""

    ADMINISTRATORS = "administrators"
    HEADS = "heads"  # of departments, each the people in and below their departments
    EVERYONE = "everyone"


def team_access(portal: Portal) -> TeamAccess:
    """Return who may see the portal's team. What the previous version has stored since counts."""
    if portal.team_open:
        return TeamAccess.EVERYONE
    is_for_heads = portal.heads_allowed_at is not None and portal.heads_allowed_at == portal.team_switched_at
    return TeamAccess.HEADS if is_for_heads else TeamAccess.ADMINISTRATORS


def allow(portal: Portal, choice: TeamAccess, *, by: Person, at: datetime) -> None:
    """Store who may see the team, and who decided it."""
    portal.team_open = choice == TeamAccess.EVERYONE
    portal.heads_allowed_at = at if choice == TeamAccess.HEADS else None
    portal.team_switched_by, portal.team_switched_at = by.user_id, at


def can_see_team(session: Session, portal: Portal, person: Person) -> bool:
    """Tell whether the person may see the team, or a part of it.

    Administrators may, and employees or heads if an administrator has allowed it. A guest of the portal never may.
    ``listed`` is None for somebody who is not yet in the stored list of users; they may be a guest.
    """
    if can_see_whole_team(portal, person):
        return True
    # Without the permission, Bitrix24 cannot confirm who heads the stored departments.
    is_for_heads = team_access(portal) == TeamAccess.HEADS and departments.may_be_read(portal)
    return is_for_heads and person.listed is True and departments.is_head(session, portal, person)


def may_be_head(portal: Portal, person: Person) -> bool:
    """Tell whether it matters for the person's access which departments they head."""
    is_for_heads = team_access(portal) == TeamAccess.HEADS and departments.may_be_read(portal)
    return is_for_heads and not person.is_admin and person.listed is True


def can_see_whole_team(portal: Portal, person: Person) -> bool:
    """Tell whether the person may see all people of the team."""
    return person.is_admin or (team_access(portal) == TeamAccess.EVERYONE and person.listed is True)


def visibility_conditions(session: Session, portal: Portal, person: Person) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the people whom a viewer of the team may see; none if they may see everyone."""
    return () if can_see_whole_team(portal, person) else (departments.is_led_by(session, portal, person),)


def whom_to_ask(session: Session, portal: Portal) -> tuple[int, str] | None:
    """Return the id and name of the administrator to ask for access, None if none has opened the application.

    That is who decided who may see the team, or else who opened the application last.
    """
    query = (
        select(Person.user_id, Person.name)
        .where(*colleague_conditions(portal), Person.is_admin, Person.opened_at.is_not(None))
        .order_by((Person.user_id == portal.team_switched_by).is_not(True), Person.opened_at.desc(), Person.id)
        .limit(1)
    )
    row = session.execute(query).first()
    return (row.user_id, row.name) if row else None


def find_visible_colleague(session: Session, portal: Portal, viewer: Person, user_id: int) -> Person | None:
    """Return the member of the team with this id, if the viewer may see them."""
    is_visible = (*colleague_conditions(portal), *visibility_conditions(session, portal, viewer))
    return session.scalar(select(Person).where(*is_visible, Person.user_id == user_id))
