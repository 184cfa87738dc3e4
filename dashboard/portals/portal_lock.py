"""Lock a portal's row before anything else of the portal is changed.

Two transactions that lock the same rows in different orders wait for each other until Postgres ends one of
them. So a transaction that changes more than one row of a portal (people, tokens, snapshots, runs, rate limit,
calls) begins with ``lock_portal``, or with another statement that locks the portal's row. A transaction that
changes one row needs no other lock. Claiming runs locks rows of many portals and waits for none of them
(``SKIP LOCKED``).
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from dashboard.models import Portal, PortalState

# Built once, because every person of a run uses it.
_LOCK = (
    select(Portal.id)
    .where(Portal.id == bindparam("portal"), Portal.generation == bindparam("generation"))
    .where(Portal.state != PortalState.UNINSTALLED)
    .with_for_update()
)


def lock_portal(session: Session, portal: Portal) -> bool:
    """Lock the portal's row until the transaction ends; return False if this installation has ended.

    Then the caller must store nothing: it would stay forever, or become part of the next installation.
    """
    locked = session.info.setdefault("locked_portals", set())
    # A portal that this session has loaded itself was locked when it was loaded.
    if portal in session or portal.id in locked:
        return True
    key = {"portal": portal.id, "generation": portal.generation}
    if session.connection().execute(_LOCK, key).one_or_none() is None:
        return False
    locked.add(portal.id)
    return True
