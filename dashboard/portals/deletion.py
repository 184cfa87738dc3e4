"""Delete everything about a portal's people: hide it at once in a short transaction, then delete it in batches.

Deleting a large portal's rows in one transaction would lock the portal's row for too long. So the portal gets a new
row, and the people stay with the former one, which no session, opening or run finds anymore. The new row can be used
at once, for a reinstallation too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import delete, exists, inspect, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from dashboard.core.database import UNAVAILABLE, Database, delete_in_batches, execute_and_count, time_limit
from dashboard.core.database_errors import is_conflict
from dashboard.models import ApiCall, Person, Portal, PortalState, RateLimit, Run, SettingChange

log = structlog.get_logger()

TASK = "deletion"
MAX_REQUEST_SECONDS = 2.0  # of a request; then the worker continues
# These mark former rows: no request can contain such a member id, and no installation has this generation.
FORMER_MEMBER_ID = "deleted:{}"
FORMER_GENERATION = 0
# Changes come before their people, who would take any number of them along in one transaction.
_TABLES = (Run, ApiCall, SettingChange, Person)


class InstallationEnded(Exception):
    """The portal's data was deleted, or the application uninstalled, while something read it."""


def check_current(database: Database, portal: Portal) -> None:
    """Check that no deletion and no uninstallation has begun since the portal was read.

    Rows that were read before this are complete: a deletion first replaces the portal's row.

    :raise InstallationEnded: one has begun.
    """
    query = select(exists().where(Portal.id == portal.id, Portal.generation == portal.generation))
    with database.read_session() as session:
        if not session.scalar(query):
            raise InstallationEnded


def replace_portal_row(session: Session, portal: Portal, **changes: Any) -> int | None:
    """Give the portal a new row without people; return the id of its former row, for ``delete_former_portal``.

    Return None if the portal is uninstalled, or another deletion or installation came first: nothing is changed then.
    The caller's transaction must not have locked anything before.
    """
    is_current = (
        Portal.id == portal.id,
        Portal.generation == portal.generation,
        Portal.state != PortalState.UNINSTALLED,
    )
    former = session.scalar(select(Portal).where(*is_current).with_for_update())
    if former is None:
        return None
    copied = {name: getattr(former, name) for name in inspect(Portal).columns.keys() if name != "id"}  # noqa: SIM118
    former.member_id, former.generation = FORMER_MEMBER_ID.format(former.id), FORMER_GENERATION
    former.state, former.application_token, former.previous_token = PortalState.UNINSTALLED, None, None
    session.flush()  # two rows cannot have the member id
    new = Portal(**{**copied, **changes})
    session.add(new)
    session.flush()
    if new.state != PortalState.UNINSTALLED:
        session.execute(update(RateLimit).where(RateLimit.portal_id == former.id).values(portal_id=new.id))
    log.info("portal_row_replaced", portal=former.id, new_portal=new.id)
    return former.id


def delete_former_portal(
    database: Database, former_id: int, *, should_stop: Callable[[], bool] = lambda: False
) -> bool:
    """Delete a former row and everything that belongs to it, in short transactions; return whether all is deleted.

    What remains, because ``should_stop`` returned True or the process ended, is deleted by the periodic task. Several
    processes may do this at once: one of them deletes the portal's row, and the others return False.
    """
    for table in _TABLES:
        delete_in_batches(database, table, table.portal_id == former_id, should_stop=should_stop)
    none_remain = (~exists().where(table.portal_id == Portal.id) for table in _TABLES)
    last = delete(Portal).where(Portal.id == former_id, Portal.generation == FORMER_GENERATION, *none_remain)
    if not database.write(lambda session: execute_and_count(session, last)):
        return False
    database.checkpoint_wal()
    log.info("data_deleted", portal=former_id)
    return True


def delete_now(database: Database, former_id: int, *, should_stop: Callable[[], bool] | None = None) -> bool:
    """Delete a former row as ``delete_former_portal`` does; leave the rest to the worker after a moment or an error.

    An error is not raised: the portal already has its new row, so the caller has nothing to repeat.
    """
    try:
        return delete_former_portal(database, former_id, should_stop=should_stop or time_limit(MAX_REQUEST_SECONDS))
    except UNAVAILABLE:
        return False  # logged as an outage


def delete_all_former_portals(database: Database, *, should_stop: Callable[[], bool]) -> None:
    """Delete the former rows that requests and ended processes have left; those with locked rows the next time."""
    with database.read_session() as session:
        former_ids = session.scalars(select(Portal.id).where(Portal.generation == FORMER_GENERATION)).all()
    for former_id in former_ids:
        if should_stop():
            return
        try:
            delete_former_portal(database, former_id, should_stop=should_stop)
        except OperationalError as error:
            if not is_conflict(error):
                raise
