"""Lock a portal's row before anything else of the portal is changed.

Two transactions that lock the same rows in different orders wait for each other until Postgres ends one of
them. So a transaction that changes more than one row of a portal (people, tokens, snapshots, runs, rate limit,
calls) begins with ``lock_portal``, or with another statement that locks the portal's row. A transaction that
changes one row needs no other lock. Claiming runs locks rows of many portals and waits for none of them
(``SKIP LOCKED``).

An opening that changes nothing in the portal's row takes a shared lock, so that openings of one portal do not wait for
each other. It still excludes all others. Openings lock in one order: their person, what belongs to that person, and
last what all people share, the rate limit.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from dashboard.models import Portal, PortalState

# Built once, because every opening and every person of a run uses one of them.
_CURRENT = (
    select(Portal.id)
    .where(Portal.id == bindparam("portal"), Portal.generation == bindparam("generation"))
    .where(Portal.state != PortalState.UNINSTALLED)
)
_LOCK = _CURRENT.with_for_update()
_LOCK_SHARED = _CURRENT.with_for_update(read=True, key_share=True)


class ExclusiveLockNeeded(Exception):
    """The transaction has a shared lock and must change the portal's row; it begins again with an exclusive lock.

    A transaction that only then took the exclusive lock could deadlock, because it has locked other rows already.
    """


def lock_portal(session: Session, portal: Portal, *, shared: bool = False) -> bool:
    """Lock the portal's row until the transaction ends; return False if this installation has ended.

    Then the caller must store nothing: it would stay forever, or become part of the next installation.

    :param shared: exclude all others but those that take a shared lock too.
    """
    locked = session.info.setdefault("locked_portals", {})
    # A portal that this session has loaded itself was locked when it was loaded.
    if portal in session or portal.id in locked:
        return True
    key = {"portal": portal.id, "generation": portal.generation}
    if session.connection().execute(_LOCK_SHARED if shared else _LOCK, key).one_or_none() is None:
        return False
    locked[portal.id] = shared
    return True


def require_exclusive_lock(session: Session, portal_id: int) -> None:
    """Make sure that the transaction may change the portal's row.

    :raise ExclusiveLockNeeded: its lock is a shared one.
    """
    if session.info.get("locked_portals", {}).get(portal_id):
        raise ExclusiveLockNeeded
