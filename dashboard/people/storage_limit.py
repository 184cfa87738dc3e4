"""Limit the space that the people of one portal take up in the database.

A self-hosted portal can invent any number of people and settings, and all portals share one disk. So the portal's row
counts bytes, and a transaction that stores people or settings locks that row first.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import BigInteger, bindparam, func, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import PortalFull
from dashboard.core.database import execute_and_count
from dashboard.models import Department, Person, Portal, SavedGroup, SettingChange
from dashboard.portals.portal_lock import require_exclusive_lock

log = structlog.get_logger()

MAX_PORTAL_BYTES = 2**30  # sixty thousand people with the usual settings
# For a person's row, its index entries and the token pair: the largest possible. The number is fixed, so that later
# updates of names and tokens never fail. It also limits the number of people: queries about four times as many took
# seconds, and a few at once took all connections of a small pooler.
PERSON_BYTES = 16 * 1024
DEPARTMENT_BYTES = 1024  # a name of 255 characters takes up most of it
GROUP_BYTES = 4 * 1024  # that a person has saved; two hundred ids of any length
CHANGE_BYTES = 300  # of a row of the history and its index entries, without its values
_ID = bindparam("id_", type_=BigInteger)
_ADD = update(Portal).where(Portal.id == _ID).values(stored_bytes=Portal.stored_bytes + bindparam("size"))
_ADD_IF_ROOM = _ADD.where(Portal.stored_bytes + bindparam("size") <= bindparam("max_bytes"))


def allocate(session: Session, portal_id: int, size: int) -> bool:
    """Count ``size`` bytes more, or fewer; return False, and count nothing, if there is no room for more.

    The caller has locked the portal's row.

    :raise ExclusiveLockNeeded: the lock is a shared one, and there is something to count.
    """
    if not size:
        return True
    require_exclusive_lock(session, portal_id)
    if size < 0:
        session.connection().execute(_ADD, {"id_": portal_id, "size": size})
        return True
    values = {"id_": portal_id, "size": size, "max_bytes": MAX_PORTAL_BYTES}
    if session.connection().execute(_ADD_IF_ROOM, values).rowcount:
        return True
    log.warning(PortalFull.CODE, portal=portal_id)
    return False


def recount(session: Session, portal_ids: Sequence[int]) -> None:
    """Count the stored bytes again, because the previous version and some deletions do not update the number."""
    sizes = func.count() * PERSON_BYTES + func.coalesce(func.sum(Person.snapshot_bytes), 0)
    people = select(sizes).where(Person.portal_id == Portal.id).scalar_subquery()
    departments = select(func.count() * DEPARTMENT_BYTES).where(Department.portal_id == Portal.id).scalar_subquery()
    groups = (
        select(func.count() * GROUP_BYTES)
        .select_from(SavedGroup)
        .join(Person, Person.id == SavedGroup.person_id)
        .where(Person.portal_id == Portal.id)
        .scalar_subquery()
    )
    size = CHANGE_BYTES + func.length(func.coalesce(SettingChange.before, ""))
    size += func.length(func.coalesce(SettingChange.after, ""))
    changes = select(func.coalesce(func.sum(size), 0)).where(SettingChange.portal_id == Portal.id).scalar_subquery()
    stored = people + departments + groups + changes
    execute_and_count(session, update(Portal).where(Portal.id.in_(portal_ids)).values(stored_bytes=stored))
