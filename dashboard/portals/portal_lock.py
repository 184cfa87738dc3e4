"""Lock a portal's row before anything else of the portal is changed.

Two transactions that lock the same rows in different orders wait for each other, and Postgres ends one of
them. So a transaction that changes more than one row of a portal (people, chains, snapshots, runs, bucket,
calls) begins with ``lock_portal``, or with another statement that locks the portal's row. Then one
transaction at a time changes what belongs to a portal, in whatever order it likes. What changes one row
alone needs no other lock: it waits for nobody while it holds something. Claiming runs locks rows of many
portals and waits for none of them (``SKIP LOCKED``).
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from dashboard.models import Portal, PortalState

# Each person that a run reads goes through it, so it is made once.
_LOCK = (
    select(Portal.id)
    .where(Portal.id == bindparam("portal"), Portal.generation == bindparam("generation"))
    .where(Portal.state != PortalState.UNINSTALLED)
    .with_for_update()
)


def lock_portal(session: Session, portal: Portal) -> bool:
    """Lock the portal's row until the transaction ends; False when this installation of it has ended.

    An uninstallation that began earlier is waited for, a later one waits. Nothing of an installation that
    has ended may be stored: it would be left behind, or taken for the next installation's.
    """
    locked = session.info.setdefault("locked_portals", set())
    if portal in session or portal.id in locked:
        return True
    same = {"portal": portal.id, "generation": portal.generation}
    if session.connection().execute(_LOCK, same).one_or_none() is None:
        return False
    locked.add(portal.id)
    return True
