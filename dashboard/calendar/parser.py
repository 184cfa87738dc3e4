"""Parse a response with calendar settings into typed values. Accepts any JSON and keeps every key."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, TypeAlias

from dashboard.calendar import values
from dashboard.calendar.reminders import Reminders, parse_reminders
from dashboard.calendar.time_zones import Zone, find_zone
from dashboard.calendar.values import (
    Absent,
    CalendarSection,
    DefaultSections,
    ParseValue,
    SettingValue,
    Unrecognized,
)
from dashboard.calendar.working_hours import Hours, Span, parse_hours, parse_span
from dashboard.core.json_values import Json, as_list, as_object

USER_SETTINGS_METHOD = "calendar.user.settings.get"
PORTAL_SETTINGS_METHOD = "calendar.settings.get"
SECTIONS_METHOD = "calendar.section.get"

# Our codes for an error with an empty code, and for a response that is not an object.
EMPTY_CODE = "empty_error_code"
NOT_AN_OBJECT = "settings_not_a_map"

Sections: TypeAlias = Mapping[int, CalendarSection]

PARSERS: dict[str, ParseValue] = {
    "view": values.parse_view,
    "work_time_start": values.parse_work_time,
    "work_time_end": values.parse_work_time,
    "timezoneName": values.parse_zone,
    "timezoneOffsetUTC": values.parse_zone_offset,
    "timezoneDefaultName": values.parse_zone,
    "defaultReminders": parse_reminders,
    "showTasks": values.parse_toggle,
    "showCompletedTasks": values.parse_toggle,
    "showDeclined": values.parse_toggle,
    "showWeekNumbers": values.parse_toggle,
    "collapseOffHours": values.parse_toggle,
    "meetSection": values.parse_section_id,
    "denyBusyInvitation": values.parse_toggle,
    "sendFromEmail": values.parse_email,
    "defaultSections": values.parse_default_sections,
    "lastUsedSection": values.parse_section_id,
    "crmSection": values.parse_section_id,
    "syncTasks": values.parse_toggle,
    "syncPeriodPast": values.parse_months,
    "syncPeriodFuture": values.parse_months,
    "CalendarSelCont": values.parse_legacy,
    "SPCalendarSelCont": values.parse_legacy,
}

# The settings that share a card on the page.
GROUPS = {
    "grid": ("showTasks", "showCompletedTasks", "showDeclined", "showWeekNumbers", "collapseOffHours"),
    "invitations": ("meetSection", "denyBusyInvitation", "sendFromEmail"),
    "calendars": ("defaultSections", "lastUsedSection", "crmSection"),
    "sync": ("syncTasks", "syncPeriodPast", "syncPeriodFuture"),
    "legacy": ("timezoneDefaultName", "CalendarSelCont", "SPCalendarSelCont"),
}


@dataclass(frozen=True)
class SettingsResponse:
    """The results of one batch for a person; a missing one is None, with its error code in ``errors``."""

    settings: Json  # calendar.user.settings.get
    portal_settings: Json  # calendar.settings.get
    sections: Json  # calendar.section.get
    errors: Mapping[str, str]  # method name → Bitrix24's error code (possibly "") or one of ours
    taken_at: datetime  # aware UTC
    # Set if this batch had no settings: the time of the older ones that are shown instead.
    settings_taken_at: datetime | None = None

    @property
    def proves_employee(self) -> bool:
        """Tell whether the response has what Bitrix24 returns to employees only.

        A guest gets no calendars (REST docs, calendar.section.get), and only two of the portal's settings.
        """
        return as_list(self.sections) is not None and "week_holidays" in as_object(self.portal_settings)

    @property
    def proves_guest(self) -> bool:
        """Tell whether both responses are those to a guest; any other error proves nothing."""
        hours_only = bool(self.portal_settings) and "week_holidays" not in as_object(self.portal_settings)
        return hours_only and self.errors.get(SECTIONS_METHOD) == ""


class SettingEntry(NamedTuple):
    """One setting: its raw value, None when absent, and the parsed one."""

    key: str
    raw: Json
    parsed: SettingValue

    @property
    def is_absent(self) -> bool:
        """Tell whether the portal does not send the setting."""
        return isinstance(self.parsed, Absent)

    @property
    def is_unrecognized(self) -> bool:
        """Tell whether the key or its value is unknown."""
        return isinstance(self.parsed, Unrecognized)


@dataclass(frozen=True)
class CalendarSettings:
    """A person's calendar settings."""

    entries: Mapping[str, SettingEntry]
    groups: Mapping[str, tuple[SettingEntry, ...]]  # by the names of GROUPS, and "unknown"
    hours: Hours
    company_hours: Span | None
    zone: Zone
    reminders: Reminders
    days_off: tuple[str, ...]  # of the portal: "SA", "SU"
    sections: tuple[CalendarSection, ...] | None
    taken_at: datetime
    errors: Mapping[str, str]
    raw: Json

    @property
    def error(self) -> str | None:
        """Return why the last attempt to read the settings failed, None when it succeeded."""
        if USER_SETTINGS_METHOD in self.errors:
            return self.errors[USER_SETTINGS_METHOD] or EMPTY_CODE
        return None if self.is_readable else NOT_AN_OBJECT

    @property
    def is_readable(self) -> bool:
        """Tell whether there are settings to show, from this response or an earlier one."""
        return isinstance(self.raw, dict) or self.raw == []

    @property
    def view(self) -> str:
        """Return the raw name of the view, even an unknown one; empty when there is none."""
        raw = self.entries["view"].raw
        return raw if isinstance(raw, str) else ""


def parse(
    response: SettingsResponse,
    *,
    profile_time_zone: str | None,
    profile_changed_at: datetime | None = None,
    language: str = "",
) -> CalendarSettings:
    """Return the typed settings."""
    person, portal = as_object(response.settings), as_object(response.portal_settings)
    sections = values.parse_section_list(response.sections)
    entries = _parse_entries(person, {section.id: section for section in sections or ()})
    reminders = entries["defaultReminders"].parsed
    taken_at = response.settings_taken_at or response.taken_at
    return CalendarSettings(
        entries=entries,
        groups=_groups(entries),
        hours=parse_hours(person, portal),
        company_hours=parse_span(portal),
        zone=find_zone(person, profile_time_zone, taken_at, profile_changed_at=profile_changed_at, language=language),
        reminders=reminders if isinstance(reminders, Reminders) else Reminders(),
        days_off=tuple(day for day in as_list(portal.get("week_holidays")) or () if isinstance(day, str)),
        sections=sections,
        taken_at=taken_at,
        errors=response.errors,
        raw=response.settings,
    )


def changed_keys(before: CalendarSettings | None, after: CalendarSettings) -> tuple[str, ...] | None:
    """Return the keys whose values differ and mean something else, None if one of the two has no settings."""
    if (
        before is None
        or USER_SETTINGS_METHOD in after.errors
        or not isinstance(before.raw, dict)
        or not isinstance(after.raw, dict)
    ):
        return None
    old, new = before.raw, after.raw

    def is_same(key: str) -> bool:
        if key not in old or key not in new or new[key] == old[key]:
            return key in old and key in new
        # Saving the calendar's own settings turns numbers into text.
        entry = after.entries[key]
        return entry.parsed == before.entries[key].parsed and not entry.is_unrecognized

    return tuple(key for key in new | old if not is_same(key))


def _parse_entries(person: dict[str, Json], sections: Sections) -> dict[str, SettingEntry]:
    expected = {key: _parse_entry(key, person, sections) for key in PARSERS}
    unknown = {key: SettingEntry(key, raw, Unrecognized("key")) for key, raw in person.items() if key not in PARSERS}
    return expected | unknown


def _parse_entry(key: str, person: dict[str, Json], sections: Sections) -> SettingEntry:
    if key not in person:
        return SettingEntry(key, None, Absent())
    raw = person[key]
    return SettingEntry(key, raw, _with_names(PARSERS[key](raw), sections) or Unrecognized("value"))


def _with_names(value: SettingValue | None, sections: Sections) -> SettingValue | None:
    """Return the value with the names of its calendars, where these are known."""
    match value:
        case CalendarSection():
            return sections.get(value.id, value)
        case DefaultSections(places):
            return DefaultSections(
                tuple(
                    replace(place, section=place.section and sections.get(place.section.id, place.section))
                    for place in places
                )
            )
    return value


def _groups(entries: Mapping[str, SettingEntry]) -> dict[str, tuple[SettingEntry, ...]]:
    groups = {name: tuple(entries[key] for key in keys) for name, keys in GROUPS.items()}
    unknown = tuple(entry for key, entry in entries.items() if key not in PARSERS)
    return groups | ({"unknown": unknown} if unknown else {})
