"""Store a change of a person's settings: what is about to be sent, and then what was read before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import Bitrix24Error, NotAnswered
from dashboard.calendar.parser import CalendarSettings, SettingsResponse
from dashboard.core.json_values import Json
from dashboard.models import Person, Portal
from dashboard.people.history import OwnChanges, PendingChange
from dashboard.people.snapshot_store import find_current, mark_pending, parse_settings, save_settings
from dashboard.portals.call_log import CallRecords
from dashboard.portals.portal_lock import lock_portal


@dataclass(frozen=True)
class ChangeResult:
    """The result of a change. Keys that had their new value already are not listed, because they were not attempted."""

    settings: CalendarSettings  # as they are now, and stored
    changed: tuple[str, ...] = ()  # keys that were written and have their new value
    unchanged: tuple[str, ...] = ()  # keys that were asked for and do not
    error: Bitrix24Error | None = None  # why nothing was written


@dataclass(frozen=True)
class Reading:
    """Settings as they were read, without the other parts of a snapshot."""

    settings: dict[str, Json]
    taken_at: datetime


@dataclass(frozen=True, kw_only=True)
class ChangeAttempt:
    """How far a change came: what was written, and the settings after it."""

    after: Reading
    pending: PendingChange | None = None  # None: nothing was sent
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    error: Bitrix24Error | None = None


def save_pending(
    session: Session, *, portal: Portal, person: Person, before: Reading | None, pending: PendingChange
) -> None:
    """Store the settings before, so that earlier changes in Bitrix24 are recorded apart, and what will be sent."""
    current = find_current(session, portal, person) if lock_portal(session, portal) else None
    if current is None:
        return
    if before is not None and (current.settings_at is None or current.settings_at <= before.taken_at):
        save_settings(session, current, before.settings, taken_at=before.taken_at)
    mark_pending(session, current, pending)


def save_result(
    session: Session, *, portal: Portal, person: Person, attempt: ChangeAttempt, calls: CallRecords
) -> ChangeResult:
    """Store the settings after a change, and who has changed them."""
    is_installed = lock_portal(session, portal)
    calls.write(session)
    after, pending = attempt.after, attempt.pending
    if current := find_current(session, portal, person) if is_installed else None:
        own = OwnChanges(pending.source, frozenset(attempt.changed), pending.change_set) if pending else None
        settings = save_settings(session, current, after.settings, taken_at=after.taken_at, own=own)
        if isinstance(attempt.error, NotAnswered):
            mark_pending(session, current, pending)  # a slow portal may still write it
    else:
        settings = parse_settings(person, SettingsResponse(after.settings, None, None, {}, after.taken_at))
    return ChangeResult(settings, attempt.changed, tuple(dict.fromkeys(attempt.unchanged)), attempt.error)
