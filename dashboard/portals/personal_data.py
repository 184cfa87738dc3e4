"""Count, export and delete everything stored about a portal's people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.core.database import Base, Database
from dashboard.models import ApiCall, Department, OAuthToken, Person, Portal, Run, SavedGroup, SettingChange, Snapshot
from dashboard.portals import deletion

BATCH_ROWS = 200
# Limits the memory of an export: a snapshot's values may take twenty times as much as its JSON.
BATCH_BYTES = 512 * 1024

# The exported columns are listed, so that a new column is not exported by accident.
_PORTAL_COLUMNS = (
    *("origin", "state", "installed_at", "team_open", "heads_allowed_at", "team_switched_by", "team_switched_at"),
    *("recommended", "recommended_by", "recommended_at", "steps_hidden_at"),
    *("directory_at", "next_run_at", "scopes", "work_start", "work_end"),
)
_PERSON_COLUMNS = (
    *("user_id", "name", "position", "photo", "departments", "language", "time_zone", "is_admin"),
    *("listed", "opened_at", "chain_state", "problem"),
    *("previous_time_zone", "time_zone_changed_at", "zone", "zone_source"),
)
_SNAPSHOT_COLUMNS = ("settings", "account", "sections", "errors", "taken_at", "settings_taken_at")
_COLUMNS = {
    "departments": ("department_id", "parent_id", "name", "head_id", "sort"),
    "saved_groups": ("name", "user_ids", "created_at"),
    "setting_changes": ("key", "before", "after", "how", "changed_at"),
    "runs": ("asked_by", "state", "error", "total", "done", "failed", "created_at", "started_at", "finished_at"),
}

# The portal's columns that are reset when its people are deleted; a person's id must never stay.
ALWAYS_RESET_COLUMNS = {
    "directory_at": None,
    "directory_error": None,
    "next_run_at": None,
    "team_switched_by": None,
    "recommended_by": None,
    "stored_bytes": 0,
    "work_start": None,
    "work_end": None,
}
ADMIN_CHOICE_COLUMNS = {
    "team_open": False,
    "heads_allowed_at": None,
    "team_switched_at": None,
    "recommended": None,
    "recommended_at": None,
    "steps_hidden_at": None,
}


@dataclass(frozen=True)
class StoredCounts:
    """How many rows are stored about a portal."""

    people: int
    tokens: int
    snapshots: int
    runs: int
    calls: int


def count_stored(session: Session, portal: Portal) -> StoredCounts:
    """Count the rows stored about a portal."""

    def count(table: type[Person | Run | ApiCall]) -> int:
        return session.scalar(select(func.count()).where(table.portal_id == portal.id)) or 0

    def count_of_people(table: type[OAuthToken | Snapshot]) -> int:
        joined = select(func.count()).select_from(table).join(Person, Person.id == table.person_id)
        return session.scalar(joined.where(Person.portal_id == portal.id)) or 0

    return StoredCounts(
        people=count(Person),
        tokens=count_of_people(OAuthToken),
        snapshots=count_of_people(Snapshot),
        runs=count(Run),
        calls=count(ApiCall),
    )


def export_portal(portal: Portal) -> dict[str, Any]:
    """Return the portal's own row without its tokens."""
    return _columns(portal, _PORTAL_COLUMNS)


def export_lists(database: Database, portal: Portal) -> dict[str, Iterator[dict[str, Any]]]:
    """Return everything else that is stored about the portal and its people, as lists by their names.

    They are read in short transactions, because the download may be slow. Their ends raise ``InstallationEnded`` too.

    :raise InstallationEnded: the portal's data was deleted, or the application uninstalled.
    """
    deletion.check_current(database, portal)
    groups = select(SavedGroup, Person.user_id).join(Person, Person.id == SavedGroup.person_id)
    changes = select(SettingChange, Person.user_id).join(Person, Person.id == SettingChange.person_id)
    queries = {
        "departments": (select(Department).where(Department.portal_id == portal.id), Department.department_id),
        "saved_groups": (groups.where(Person.portal_id == portal.id), SavedGroup.id),
        "setting_changes": (changes.where(SettingChange.portal_id == portal.id), SettingChange.id),
        "runs": (select(Run).where(Run.portal_id == portal.id, Run.generation == portal.generation), Run.id),
    }
    lists = {name: _rows(database, portal, query, key, _COLUMNS[name]) for name, (query, key) in queries.items()}
    return {**lists, "people": _people(database, portal)}


def _rows(
    database: Database,
    portal: Portal,
    query: Select[*tuple[Any, ...]],
    key: InstrumentedAttribute[int],
    names: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield the columns of each row in the order of the key, with the user id that the query adds to some of them."""
    last_key, is_current = 0, exists().where(Portal.id == portal.id, Portal.generation == portal.generation)
    while True:
        with database.read_session() as session:
            following = query.where(key > last_key, is_current).order_by(key)
            rows = session.execute(following.limit(BATCH_ROWS)).all()
        for row, *user_id in rows:
            last_key = getattr(row, key.key)
            yield {**dict(zip(["user_id"], user_id, strict=False)), **_columns(row, names)}
        if not rows:
            deletion.check_current(database, portal)
            return


def _people(database: Database, portal: Portal) -> Iterator[dict[str, Any]]:
    """Yield everybody with their snapshot."""
    last_id: int | None = 0
    while last_id is not None:
        last_id, rows = _people_after(database, portal, last_id)
        while rows:  # each is released before the next batch is read
            person, snapshot = rows.pop()
            calendar = _columns(snapshot, _SNAPSHOT_COLUMNS) if snapshot else None
            yield {**_columns(person, _PERSON_COLUMNS), "calendar": calendar}
    deletion.check_current(database, portal)


def _people_after(
    database: Database, portal: Portal, last_id: int
) -> tuple[int | None, list[tuple[Person, Snapshot | None]]]:
    """Return the last id of the next batch, None after all, and its people, the last one first.

    A batch has at most BATCH_ROWS people, and BATCH_BYTES unless one has more. Those who are deleted between the two
    statements are missing, even if they are all of the batch.
    """
    following = (Person.portal_id == portal.id, Person.id > last_id, Portal.generation == portal.generation)
    sizes = select(Person.id, Person.snapshot_bytes).join(Portal, Portal.id == Person.portal_id).where(*following)
    with database.read_session() as session:
        next_people = session.execute(sizes.order_by(Person.id).limit(BATCH_ROWS)).all()
        ends = accumulate(size for _id, size in next_people)
        ids = [
            person_id for (person_id, size), end in zip(next_people, ends, strict=True) if end <= max(BATCH_BYTES, size)
        ]
        people = select(Person, Snapshot).outerjoin(Snapshot, Snapshot.person_id == Person.id)
        rows = session.execute(people.where(Person.id.in_(ids)).order_by(Person.id.desc()))
        return ids[-1] if ids else None, [(person, snapshot) for person, snapshot in rows]


def _columns(row: Base, names: Sequence[str]) -> dict[str, Any]:
    values = ((name, getattr(row, name)) for name in names)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}


class DeletionResult(StrEnum):
    """The result of a request to delete everything."""

    DONE = "done"
    IN_PROGRESS = "under_way"  # the data is hidden, and the worker deletes the remaining rows
    ALREADY_DONE = "overtaken"  # by a simultaneous request


def delete_all(database: Database, portal: Portal) -> DeletionResult:
    """Delete everything about the portal's people; in a large portal, leave the rest to the worker.

    The installation stays as a new generation, so that sessions, requests and runs of the previous one store
    nothing more. The address, the encrypted application token, the bindings and the rate limit stay: openings
    and events must still work, and none of these is about people.
    """
    values = {**ALWAYS_RESET_COLUMNS, **ADMIN_CHOICE_COLUMNS, "generation": portal.generation + 1}
    former_id = database.write(lambda session: deletion.replace_portal_row(session, portal, **values))
    if former_id is None:
        return DeletionResult.ALREADY_DONE
    is_done = deletion.delete_now(database, former_id)
    return DeletionResult.DONE if is_done else DeletionResult.IN_PROGRESS
