"""Store what was read of a person's settings as their snapshot, and parse stored snapshots."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import PortalFull
from dashboard.calendar import parser
from dashboard.calendar.holidays import DaysOff, parse_days_off
from dashboard.calendar.parser import (
    NOT_AN_OBJECT,
    PORTAL_SETTINGS_METHOD,
    SECTIONS_METHOD,
    USER_SETTINGS_METHOD,
    CalendarSettings,
    SettingsResponse,
)
from dashboard.core.database import upsert
from dashboard.core.json_values import Json
from dashboard.models import Person, Portal, Snapshot
from dashboard.people import history, storage_limit
from dashboard.people.company_hours import update_company_hours
from dashboard.people.history import MAX_READ_TIME, OwnChanges, PendingChange
from dashboard.people.indexed_columns import may_have_changed, update_indexed_columns


def save_snapshot(session: Session, portal: Portal, person: Person, response: SettingsResponse) -> CalendarSettings:
    """Store the response as the person's snapshot and return the settings that are stored now.

    A part that failed, or for which there is no room, keeps its previous value; ``errors`` names the method. A response
    to a request that began before the stored settings were read is dropped. The caller has locked the portal's row.
    """
    if _is_outdated(person, response) and (stored := _stored(session, person)):
        return parse_snapshot(person, stored)
    merged = replace(response, settings_taken_at=response.taken_at)
    if response.errors or not _is_object_or_empty_list(response.settings):
        merged = _keep_previous(session, person, response)
    size = _size(merged)
    if storage_limit.allocate(session, person.portal_id, size - person.snapshot_bytes):
        person.snapshot_bytes = size
    else:
        errors = dict.fromkeys((USER_SETTINGS_METHOD, PORTAL_SETTINGS_METHOD, SECTIONS_METHOD), PortalFull.CODE)
        merged = _keep_previous(session, person, replace(response, errors={**response.errors, **errors}))
    settings = _store(session, person, merged, own=None)
    if PORTAL_SETTINGS_METHOD not in merged.errors:
        update_company_hours(session, portal, person, settings)
    person.confirmed_at = response.taken_at  # the batch also returned the user's profile
    return settings


def save_settings(
    session: Session, person: Person, settings: Json, *, taken_at: datetime, own: OwnChanges | None = None
) -> CalendarSettings:
    """Store the settings alone, and keep the other parts of the snapshot; the caller has locked the portal's row.

    Unlike a whole snapshot they are stored whether there is room for them or not: the person changes them. No
    change is pending afterwards.

    :param own: what the person has changed; all other differences were made in Bitrix24.
    """
    previous = _stored(session, person) or Snapshot(errors={})
    response = SettingsResponse(
        settings=settings,
        portal_settings=previous.account,
        sections=previous.sections,
        errors={method: code for method, code in previous.errors.items() if method != USER_SETTINGS_METHOD},
        taken_at=taken_at,
        settings_taken_at=taken_at,
    )
    size = _size(response)
    if storage_limit.allocate(session, person.portal_id, size - person.snapshot_bytes):
        person.snapshot_bytes = size
    stored = _store(session, person, response, own=own)
    mark_pending(session, person, None)
    return stored


def mark_pending(session: Session, person: Person, pending: PendingChange | None) -> None:
    """Store a change that is about to be sent, or that there is none."""
    if snapshot := _stored(session, person):
        snapshot.pending_change = pending.encode() if pending else None


def is_corrupted_code(code: str) -> bool:
    """Tell whether Bitrix24 can neither return nor change the settings, because a stored one is corrupted."""
    return code.upper() == "ERROR_ARGUMENT"


def mark_unreadable(session: Session, person: Person, code: str) -> None:
    """Store why the settings could not be read; the previous ones stay."""
    if snapshot := _stored(session, person):
        snapshot.errors = {**snapshot.errors, USER_SETTINGS_METHOD: code}


def _store(session: Session, person: Person, response: SettingsResponse, *, own: OwnChanges | None) -> CalendarSettings:
    """Store a snapshot, what has changed since the previous one, and the copies in the person's columns."""
    settings = parse_settings(person, response)
    if settings.error is None and (own is not None or may_have_changed(person, settings)):
        previous = _stored(session, person)
        if previous is not None and isinstance(previous.settings, dict):
            previous_at = previous.settings_taken_at or previous.taken_at
            own = own or history.find_own_changes(previous.pending_change, settings, previous_at=previous_at)
            history.record(session, person, _parse_previous(person, previous), settings, own=own)
    columns = {"person_id": person.id, **vars(response)}
    columns["account"] = columns.pop("portal_settings")
    upsert(session, Snapshot, columns)
    update_indexed_columns(person, settings)
    person.problem = settings.error[:64] if settings.error else None
    return settings


def _stored(session: Session, person: Person) -> Snapshot | None:
    # An upsert does not change loaded objects.
    return session.get(Snapshot, person.id, with_for_update=True, populate_existing=True)


def _is_outdated(person: Person, response: SettingsResponse) -> bool:
    """Tell whether newer settings are stored; those of the far future were stored by a wrong clock."""
    if person.settings_at is None:
        return False
    return timedelta() < person.settings_at - response.taken_at <= MAX_READ_TIME


def _parse_previous(person: Person, snapshot: Snapshot) -> CalendarSettings:
    """Return the previous settings with the time zone that the person's profile had then."""
    changed_at, taken_at = person.time_zone_changed_at, snapshot.settings_taken_at or snapshot.taken_at
    has_changed = changed_at is not None and changed_at > taken_at
    response = _response(snapshot)
    profile = person.previous_time_zone if has_changed else person.time_zone
    return parser.parse(response, profile_time_zone=profile or None, language=person.language)


def _size(response: SettingsResponse) -> int:
    """Return the bytes that the parts take up as JSON, which is ASCII."""
    return len(json.dumps([response.settings, response.portal_settings, response.sections]))


def _keep_previous(session: Session, person: Person, response: SettingsResponse) -> SettingsResponse:
    """Replace the parts that failed by the previous snapshot's."""
    previous = _stored(session, person) or Snapshot()
    errors = dict(response.errors)
    if USER_SETTINGS_METHOD not in errors and not _is_object_or_empty_list(response.settings) and previous.settings:
        errors[USER_SETTINGS_METHOD] = NOT_AN_OBJECT
    return replace(
        response,
        settings=previous.settings if USER_SETTINGS_METHOD in errors else response.settings,
        portal_settings=previous.account if PORTAL_SETTINGS_METHOD in errors else response.portal_settings,
        sections=previous.sections if SECTIONS_METHOD in errors else response.sections,
        errors=errors,
        settings_taken_at=previous.settings_taken_at if USER_SETTINGS_METHOD in errors else response.taken_at,
    )


def parse_snapshot(person: Person, snapshot: Snapshot) -> CalendarSettings:
    """Return the settings in a stored snapshot."""
    return parse_settings(person, _response(snapshot))


def _response(snapshot: Snapshot) -> SettingsResponse:
    return SettingsResponse(
        settings=snapshot.settings,
        portal_settings=snapshot.account,
        sections=snapshot.sections,
        errors=snapshot.errors,
        taken_at=snapshot.taken_at,
        settings_taken_at=snapshot.settings_taken_at,
    )


def parse_settings(person: Person, response: SettingsResponse) -> CalendarSettings:
    """Return the settings in a response."""
    return parser.parse(
        response,
        profile_time_zone=person.time_zone or None,
        profile_changed_at=person.time_zone_changed_at,
        language=person.language,
    )


def find_current(session: Session, portal: Portal, person: Person) -> Person | None:
    """Return the person, locked, or None if they or this installation are gone."""
    query = select(Person).join(Portal).where(Person.id == person.id, Portal.generation == portal.generation)
    return session.scalar(query.with_for_update(of=Person))


def find_days_off(session: Session, person: Person) -> DaysOff:
    """Return the portal's days off, from this person's snapshot."""
    return parse_days_off(session.scalar(select(Snapshot.account).where(Snapshot.person_id == person.id)))


def _is_object_or_empty_list(settings: Json) -> bool:
    return isinstance(settings, dict) or settings == []  # PHP writes an empty object as []
