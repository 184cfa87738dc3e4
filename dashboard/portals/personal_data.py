"""Everything stored about a portal's people: counted, handed out, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dashboard.core.database import Base, Database, rows_changed
from dashboard.models import ApiCall, OAuthToken, Person, Portal, PortalState, Run, Snapshot
from dashboard.portals import vacuum

log = structlog.get_logger()

BATCH_ROWS = 200  # people at a time: no portal is so large that its export fills the memory

# What is told of each row: named, so that a column added later is kept back until somebody names it.
_PORTAL = (
    *("origin", "state", "installed_at", "team_open", "team_switched_by", "team_switched_at"),
    *("directory_at", "next_run_at", "scopes"),
)
_PERSON = (
    *("user_id", "name", "position", "photo", "departments", "language", "time_zone", "is_admin"),
    *("listed", "opened_at", "chain_state", "problem"),
)
_SNAPSHOT = ("settings", "account", "sections", "errors", "taken_at", "settings_taken_at")
_RUN = ("asked_by", "state", "error", "total", "done", "failed", "created_at", "started_at", "finished_at")

# What goes with the people of a portal: what was learned by their chains, and what they decided.
LEARNED_COLUMNS = {
    "directory_at": None,
    "directory_error": None,
    "next_run_at": None,
    "team_switched_by": None,
}
DECIDED_COLUMNS = {"team_open": False, "team_switched_at": None}


@dataclass(frozen=True)
class StoredCounts:
    """How much is stored of a portal."""

    people: int
    tokens: int
    snapshots: int
    runs: int
    calls: int


def count_stored(session: Session, portal: Portal) -> StoredCounts:
    """Return how much is stored."""

    def count(table: type[Person | Run | ApiCall]) -> int:
        return session.scalar(select(func.count()).where(table.portal_id == portal.id)) or 0

    def of_people(table: type[OAuthToken | Snapshot]) -> int:
        joined = select(func.count()).select_from(table).join(Person, Person.id == table.person_id)
        return session.scalar(joined.where(Person.portal_id == portal.id)) or 0

    return StoredCounts(
        people=count(Person),
        tokens=of_people(OAuthToken),
        snapshots=of_people(Snapshot),
        runs=count(Run),
        calls=count(ApiCall),
    )


def export_portal(portal: Portal) -> dict[str, Any]:
    """Return what is stored of the portal itself, its choices among it; no token."""
    return _columns(portal, _PORTAL)


def export_runs(database: Database, portal: Portal) -> Iterator[dict[str, Any]]:
    """Yield the runs; they are purged after thirty days, so there are never many."""
    found = select(Run).where(Run.portal_id == portal.id, Run.generation == portal.generation)
    with database.read_session() as session:
        rows = session.scalars(found.order_by(Run.id)).all()
    for run in rows:
        yield _columns(run, _RUN)


def export_people(database: Database, portal: Portal) -> Iterator[dict[str, Any]]:
    """Yield everybody with their last snapshot, in short transactions: whoever downloads may be slow.

    It ends where the installation does, also when that happens meanwhile.
    """
    last = 0
    while rows := _export_batch(database, portal, after=last):
        for person, snapshot in rows:
            calendar = _columns(snapshot, _SNAPSHOT) if snapshot else None
            yield {**_columns(person, _PERSON), "calendar": calendar}
        last = rows[-1][0].id


def _export_batch(database: Database, portal: Portal, *, after: int) -> list[tuple[Person, Snapshot | None]]:
    found = (
        select(Person, Snapshot)
        .join(Portal, Portal.id == Person.portal_id)
        .outerjoin(Snapshot, Snapshot.person_id == Person.id)
        .where(Person.portal_id == portal.id, Person.id > after, Portal.generation == portal.generation)
        .order_by(Person.id)
        .limit(BATCH_ROWS)
    )
    with database.read_session() as session:
        return [(person, snapshot) for person, snapshot in session.execute(found)]


def _columns(row: Base, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _to_json(getattr(row, name)) for name in names}


def _to_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def delete_all(database: Database, portal: Portal) -> bool:
    """Delete all of it at once; the installation stays, as new. False: somebody else just did.

    It begins a new generation: sessions, readings and runs of the one before find nothing they could add to.
    The address, the sealed token and the bindings stay, so that the next opening and Bitrix24's messages are
    recognised, and so does the bucket: the portal's limit knows nothing of people.
    """
    same = (Portal.id == portal.id, Portal.generation == portal.generation)
    active = Portal.state != PortalState.UNINSTALLED
    values = {**LEARNED_COLUMNS, **DECIDED_COLUMNS, "generation": Portal.generation + 1}

    def delete_all(session: Session) -> bool:
        # The portal's row first, as everywhere (see locks.py).
        if rows_changed(session, update(Portal).where(*same, active).values(values)) != 1:
            return False
        for table in (Person, Run, ApiCall):
            session.execute(delete(table).where(table.portal_id == portal.id))
        vacuum.request(session)
        return True

    if not database.write(delete_all):
        return False
    database.checkpoint_wal()
    log.info("data_forgotten", portal=portal.id)
    return True
