"""Record what changes in people's settings, and how: by their own click here, or seen when their settings are read.

A row has the value of one setting before and after, as JSON. Working hours and the time zone are part of it, although
they cannot be changed here: "workTime" is the name of Bitrix24's own option, as "09:00-18:00" or null without hours of
one's own; "timezoneName" is the zone that the person is believed to be in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple, cast

from sqlalchemy import Row, bindparam, delete, func, select
from sqlalchemy.orm import Session

from dashboard.calendar.changes import has_too_many_reminders, same_meaning
from dashboard.calendar.edits import EDITABLE_KEYS, REMINDERS_KEY
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.undo import Change
from dashboard.core.json_values import Json, as_object
from dashboard.models import Person, Portal, SettingChange
from dashboard.people import storage_limit
from dashboard.people.connection_state import colleague_conditions

HOURS_KEY, ZONE_KEY = "workTime", "timezoneName"

RETENTION = timedelta(days=365)
# Per person; beyond it the oldest are deleted. This also limits rows with a future date, which a purge never deletes.
MAX_CHANGES = 200
MAX_LATEST_CHANGES = 40  # of one person, which *My settings* looks through
MAX_PORTAL_CHANGES = 2_000  # newest rows of a portal that are searched for changes of colleagues
# The longest time from reading the settings until a change is sent, and from then until it is written.
MAX_READ_TIME = timedelta(minutes=5)  # longer than any request to Bitrix24 takes
MAX_WRITE_TIME = timedelta(seconds=20)
MAX_VALUE_LENGTH = 1000  # of a value as JSON; a longer one, or too many reminders, are not stored and cannot be undone


class ChangeSource(StrEnum):
    """How a change came about."""

    EDITED = "edited"  # here, by the person
    ADOPTED = "adopted"  # from the recommended settings, by the person's click
    UNDONE = "undone"  # here, by the person
    SYNCED = "synced"  # seen when the settings were read: made in Bitrix24
    REVERTED = "reverted"  # the same, and it brought back what the person's changes here replaced


# Changes made here.
OWN_SOURCES = (ChangeSource.EDITED, ChangeSource.ADOPTED, ChangeSource.UNDONE)


# Built once, because every opening uses it, and it bypasses the ORM.
_LIST = (
    select(*SettingChange.__table__.columns, func.count().over().label("total"))
    .where(SettingChange.person_id == bindparam("person"))
    .order_by(SettingChange.id.desc())
    .limit(bindparam("number"))
)


class Changes(NamedTuple):
    """A person's changes, the newest first, and how many there are altogether.

    The rows have the attributes of the model.
    """

    rows: Sequence[SettingChange]
    total: int


@dataclass(frozen=True)
class OwnChanges:
    """The keys that a person has just changed here, and what their changes have in common."""

    source: ChangeSource
    keys: frozenset[str]
    change_set: str  # changes with the same one are undone together


@dataclass(frozen=True)
class PendingChange:
    """A change that is stored before it is sent, so that whoever reads its result knows whose it is.

    That may be another tab or a run, or the next opening if our process was killed or Bitrix24 did not answer.
    """

    source: ChangeSource
    change_set: str
    values: Mapping[str, Json]  # by key, as they are sent
    at: datetime

    def encode(self) -> dict[str, Json]:
        """Return the change as JSON."""
        return {**vars(self), "values": dict(self.values), "at": self.at.isoformat()}


def find_own_changes(pending: Json, settings: CalendarSettings, *, previous_at: datetime) -> OwnChanges | None:
    """Return the settings that have the values of a pending change, None if it is unknown who set them.

    Only the first reading after the change shows it: later the same values may come from Bitrix24.

    :param pending: as stored; None if there is none.
    :param previous_at: when the settings were read before.
    """
    stored, raw = as_object(pending), as_object(settings.raw)
    if not stored:
        return None
    at = datetime.fromisoformat(str(stored["at"]))
    if not at - MAX_READ_TIME <= previous_at <= at + MAX_WRITE_TIME:
        return None
    values = as_object(stored["values"])
    keys = frozenset(key for key, value in values.items() if key in raw and same_meaning(key, raw[key], value))
    return OwnChanges(ChangeSource(str(stored["source"])), keys, str(stored["change_set"]))


def record(
    session: Session, person: Person, before: CalendarSettings, after: CalendarSettings, *, own: OwnChanges | None
) -> None:
    """Store what differs between two readings; the caller has locked the portal's row."""
    old, new = _values(before, own), _values(after, own)
    changed_keys = [key for key in new if key in old and not same_meaning(key, old[key], new[key])]
    if not changed_keys:
        return
    earlier = list_changes(session, person).rows
    rows: list[SettingChange] = []
    for key in changed_keys:
        change = Change(key, old[key], new[key])
        is_own = own is not None and key in own.keys
        rows.append(
            SettingChange(
                portal_id=person.portal_id,
                person_id=person.id,
                changed_at=after.taken_at,
                key=key,
                before=_encode(key, old[key]),
                after=_encode(key, new[key]),
                how=own.source if own and is_own else _source_in_bitrix24(change, earlier),
                change_set=own.change_set if own and is_own else None,
            )
        )
    if storage_limit.allocate(session, person.portal_id, sum(map(_size, rows))):
        session.add_all(rows)
        session.flush()
        _delete_oldest(session, person)


def list_changes(session: Session, person: Person, *, limit: int = MAX_CHANGES) -> Changes:
    """Return a person's newest changes."""
    rows = session.connection().execute(_LIST, {"person": person.id, "number": limit}).all()
    return Changes(cast("Sequence[SettingChange]", rows), rows[0].total if rows else 0)


def list_portal_changes(session: Session, portal: Portal, *, limit: int) -> Sequence[Row[SettingChange, int, str]]:
    """Return the changes of all colleagues, the newest first, each with the person's user id and name.

    They are among the portal's newest, so that thousands of changes of guests are not read each time.
    """
    newest = select(SettingChange.id).where(SettingChange.portal_id == portal.id).order_by(SettingChange.id.desc())
    query = (
        select(SettingChange, Person.user_id, Person.name)
        .join(Person, Person.id == SettingChange.person_id)
        .where(SettingChange.id.in_(newest.limit(MAX_PORTAL_CHANGES).scalar_subquery()), *colleague_conditions(portal))
        .order_by(SettingChange.id.desc())
        .limit(limit)
    )
    return session.execute(query).all()


def find_set(session: Session, person: Person, change_id: int) -> tuple[list[Change], set[str]] | None:
    """Return the changes that are undone together with one of the person's own, and the keys that changed later.

    None if the person has no such change that was made here.
    """
    rows = list_changes(session, person).rows
    change = next((row for row in rows if row.id == change_id), None)
    if change is None or change.how not in OWN_SOURCES:
        return None
    together = [row for row in reversed(rows) if row.change_set == change.change_set]
    changed_since = {row.key for row in rows if row.id > together[-1].id}
    return [to_change(row) for row in together], changed_since


def decode(text: str | None) -> Json:
    """Return a stored value; None also for one that was not known."""
    value: Json = json.loads(text) if text is not None else None
    return value


def to_change(row: SettingChange) -> Change:
    """Return a stored change with its values."""
    return Change(row.key, decode(row.before), decode(row.after))


def _values(settings: CalendarSettings, own: OwnChanges | None) -> dict[str, Json]:
    """Return the values that are compared, without those that the portal does not send."""
    raw = as_object(settings.raw)
    keys = dict.fromkeys([*EDITABLE_KEYS, *sorted(own.keys if own else ())])
    values: dict[str, Json] = {key: raw[key] for key in keys if key in raw}
    hours, zone = settings.hours, settings.zone.believed.name
    values[HOURS_KEY] = str(hours.span) if hours.span and hours.source == "person" else None
    return values | ({ZONE_KEY: zone} if zone else {})


def _source_in_bitrix24(change: Change, rows: Iterable[SettingChange]) -> ChangeSource:
    """Return REVERTED if a change made in Bitrix24 restored a value that the person had replaced here, else SYNCED.

    A calendar's tab saves all values as they were when it was loaded, which may be several changes ago.

    :param rows: the person's changes, the newest first.
    """
    same_key = (row for row in rows if row.key == change.key)
    own_changes = [to_change(row) for row in takewhile(lambda row: row.how in OWN_SOURCES, same_key)]
    if not own_changes or not same_meaning(change.key, change.before, own_changes[0].after):
        return ChangeSource.SYNCED
    is_back = any(same_meaning(change.key, change.after, own.before) for own in own_changes)
    return ChangeSource.REVERTED if is_back else ChangeSource.SYNCED


def _delete_oldest(session: Session, person: Person) -> None:
    own = SettingChange.person_id == person.id
    last_kept = select(SettingChange.id).where(own).order_by(SettingChange.id.desc()).offset(MAX_CHANGES - 1).limit(1)
    old = session.scalars(select(SettingChange).where(own, SettingChange.id < last_kept.scalar_subquery())).all()
    if old:
        storage_limit.allocate(session, person.portal_id, -sum(map(_size, old)))
        session.execute(delete(SettingChange).where(SettingChange.id.in_([row.id for row in old])))


def _size(row: SettingChange) -> int:
    return storage_limit.CHANGE_BYTES + len(row.before or "") + len(row.after or "")


def _encode(key: str, value: Json) -> str | None:
    text = json.dumps(value, separators=(",", ":"))
    is_short = len(text) <= MAX_VALUE_LENGTH and (key != REMINDERS_KEY or not has_too_many_reminders(value))
    return text if is_short else None
