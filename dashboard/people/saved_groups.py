"""Store groups of people that a person has saved under a name, to find times with them again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import PortalFull
from dashboard.core.database import execute_and_count
from dashboard.models import Person, Portal, SavedGroup
from dashboard.people import storage_limit
from dashboard.people.snapshot_store import find_current
from dashboard.portals.portal_lock import lock_portal

MAX_GROUPS = 20  # of one person
MAX_GROUP_PEOPLE = 200
MAX_NAME_LENGTH = 100


class TooManyGroups(Exception):
    """The person has saved as many groups as they may."""


def groups_of(session: Session, person: Person) -> Sequence[SavedGroup]:
    """Return the person's groups by name."""
    return session.scalars(select(SavedGroup).where(SavedGroup.person_id == person.id).order_by(SavedGroup.name)).all()


def save(
    session: Session, portal: Portal, person: Person, *, name: str, user_ids: Sequence[int], now: datetime
) -> bool:
    """Save a group, or replace the person's group of this name; return False if the person is no longer stored.

    Of two requests at once the second one waits for the portal's row. It replaces the first one's group if the
    names are equal.

    :raise TooManyGroups: the person has MAX_GROUPS already.
    :raise PortalFull: the portal has no room for more.
    """
    if not lock_portal(session, portal) or find_current(session, portal, person) is None:
        return False
    ids = sorted(set(user_ids))[:MAX_GROUP_PEOPLE]
    is_named = (SavedGroup.person_id == person.id, SavedGroup.name == name)
    if group := session.scalar(select(SavedGroup).where(*is_named)):
        group.user_ids = ids
        return True
    count = session.scalar(select(func.count()).where(SavedGroup.person_id == person.id)) or 0
    if count >= MAX_GROUPS:
        raise TooManyGroups
    if not storage_limit.allocate(session, portal.id, storage_limit.GROUP_BYTES):
        raise PortalFull
    session.add(SavedGroup(person_id=person.id, name=name, user_ids=ids, created_at=now))
    return True


def remove(session: Session, portal: Portal, person: Person, group_id: int) -> bool:
    """Delete one of the person's groups; return False if the installation has ended. A second click changes nothing."""
    if not lock_portal(session, portal):
        return False
    statement = delete(SavedGroup).where(SavedGroup.id == group_id, SavedGroup.person_id == person.id)
    if execute_and_count(session, statement):
        storage_limit.allocate(session, portal.id, -storage_limit.GROUP_BYTES)
    return True
