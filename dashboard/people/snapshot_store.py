"""Store what was read of a person's settings as their snapshot, and parse stored snapshots."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import PortalFull
from dashboard.calendar import parser
from dashboard.calendar.parser import (
    METHOD,
    NOT_AN_OBJECT,
    PORTAL_SETTINGS_METHOD,
    SECTIONS_METHOD,
    CalendarSettings,
    SettingsResponse,
)
from dashboard.core.database import upsert
from dashboard.core.json_values import Json
from dashboard.models import Person, Portal, Snapshot
from dashboard.people import storage_limit
from dashboard.people.indexed_columns import update_company_hours, update_indexed_columns


def save_snapshot(session: Session, person: Person, response: SettingsResponse) -> CalendarSettings:
    """Store the response as the person's snapshot and return the settings that are stored now.

    A part that failed, or for which there is no room, keeps its previous value; ``errors`` names the method. The caller
    has locked the portal's row.
    """
    merged = replace(response, settings_taken_at=response.taken_at)
    if response.errors or not _is_object_or_empty_list(response.settings):
        merged = _keep_previous(session, person, response)
    size = _size(merged)
    if storage_limit.allocate(session, person.portal_id, size - person.snapshot_bytes):
        person.snapshot_bytes = size
    else:
        errors = dict.fromkeys((METHOD, PORTAL_SETTINGS_METHOD, SECTIONS_METHOD), PortalFull.CODE)
        merged = _keep_previous(session, person, replace(response, errors={**response.errors, **errors}))
    columns = {"person_id": person.id, **vars(merged)}
    columns["account"] = columns.pop("portal_settings")
    upsert(session, Snapshot, columns)
    settings = parse_settings(person, merged)
    update_indexed_columns(person, settings)
    person.problem = settings.error[:64] if settings.error else None
    if PORTAL_SETTINGS_METHOD not in merged.errors:
        update_company_hours(session, person.portal_id, settings)
    person.confirmed_at = response.taken_at  # the batch also returned the user's profile
    return settings


def _size(response: SettingsResponse) -> int:
    """Return the bytes that the parts take up as JSON, which is ASCII."""
    return len(json.dumps([response.settings, response.portal_settings, response.sections]))


def _keep_previous(session: Session, person: Person, response: SettingsResponse) -> SettingsResponse:
    """Replace the parts that failed by the previous snapshot's."""
    previous = session.get(Snapshot, person.id, with_for_update=True) or Snapshot()
    errors = dict(response.errors)
    if METHOD not in errors and not _is_object_or_empty_list(response.settings) and previous.settings:
        errors[METHOD] = NOT_AN_OBJECT
    return replace(
        response,
        settings=previous.settings if METHOD in errors else response.settings,
        portal_settings=previous.account if PORTAL_SETTINGS_METHOD in errors else response.portal_settings,
        sections=previous.sections if SECTIONS_METHOD in errors else response.sections,
        errors=errors,
        settings_taken_at=previous.settings_taken_at if METHOD in errors else response.taken_at,
    )


def parse_snapshot(person: Person, snapshot: Snapshot) -> CalendarSettings:
    """Return the settings in a stored snapshot."""
    response = SettingsResponse(
        settings=snapshot.settings,
        portal_settings=snapshot.account,
        sections=snapshot.sections,
        errors=snapshot.errors,
        taken_at=snapshot.taken_at,
        settings_taken_at=snapshot.settings_taken_at,
    )
    return parse_settings(person, response)


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


def _is_object_or_empty_list(settings: Json) -> bool:
    return isinstance(settings, dict) or settings == []  # PHP writes an empty object as []
