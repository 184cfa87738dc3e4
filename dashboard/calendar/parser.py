"""Raw settings JSON to typed values: every key kept, every odd shape met here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dashboard.calendar import values
from dashboard.calendar.reminders import Reminders
from dashboard.calendar.time_zones import Zone, parse_zone
from dashboard.calendar.values import (
    Absent,
    CalendarSection,
    ParseValue,
    Sections,
    SettingValue,
    Unrecognized,
)
from dashboard.calendar.working_hours import Hours, parse_hours
from dashboard.core.json_values import Json as Json
from dashboard.core.json_values import as_list, as_object

METHOD = "calendar.user.settings.get"
ACCOUNT_METHOD = "calendar.settings.get"
SECTIONS_METHOD = "calendar.section.get"

# What stands in for a code Bitrix24 left empty, and for an answer that is no map at all.
EMPTY_CODE = "empty_error_code"
NOT_AN_OBJECT = "settings_not_a_map"

READERS: dict[str, ParseValue] = {
    "view": values.parse_view,
    "work_time_start": values.parse_work_time,
    "work_time_end": values.parse_work_time,
    "timezoneName": values.parse_zone,
    "timezoneOffsetUTC": values.parse_zone_offset,
    "timezoneDefaultName": values.parse_zone,
    "defaultReminders": values.parse_default_reminders,
    "showTasks": values.parse_toggle,
    "showCompletedTasks": values.parse_toggle,
    "showDeclined": values.parse_toggle,
    "showWeekNumbers": values.parse_toggle,
    "collapseOffHours": values.parse_toggle,
    "meetSection": values.parse_section,
    "denyBusyInvitation": values.parse_toggle,
    "sendFromEmail": values.parse_email,
    "defaultSections": values.parse_default_sections,
    "lastUsedSection": values.parse_section,
    "crmSection": values.parse_section,
    "syncTasks": values.parse_toggle,
    "syncPeriodPast": values.parse_months,
    "syncPeriodFuture": values.parse_months,
    "CalendarSelCont": values.parse_legacy,
    "SPCalendarSelCont": values.parse_legacy,
}

# What has no card of its own, by what it is about.
GROUPS = {
    "grid": ("showTasks", "showCompletedTasks", "showDeclined", "showWeekNumbers", "collapseOffHours"),
    "invitations": ("meetSection", "denyBusyInvitation", "sendFromEmail"),
    "calendars": ("defaultSections", "lastUsedSection", "crmSection"),
    "sync": ("syncTasks", "syncPeriodPast", "syncPeriodFuture"),
    "legacy": ("timezoneDefaultName", "CalendarSelCont", "SPCalendarSelCont"),
}


@dataclass(frozen=True)
class SettingsResponse:
    """What one batch told about a person: each answer, or None with the code of the error in its place."""

    settings: Json  # calendar.user.settings.get
    account: Json  # calendar.settings.get
    sections: Json  # calendar.section.get
    errors: Mapping[str, str]  # method name → Bitrix24's error code ("" possible) or one of ours
    taken_at: datetime  # aware UTC
    # None: the same. Earlier when the settings are the last good ones because this read failed.
    settings_taken_at: datetime | None = None


@dataclass(frozen=True)
class SettingEntry:
    """One setting: as it came, and what it means. An absent one has no raw value to show."""

    key: str
    raw: Json
    meaning: SettingValue

    @property
    def absent(self) -> bool:
        return isinstance(self.meaning, Absent)


@dataclass(frozen=True)
class SettingGroup:
    """Settings that belong together; the name is one of GROUPS, or "unknown"."""

    name: str
    entries: tuple[SettingEntry, ...]


@dataclass(frozen=True)
class AccountSettings:
    """What the portal decides for everyone: days off as "SA", "SU"; the week's first as "MO"."""

    days_off: tuple[str, ...] = ()
    week_start: str = ""


@dataclass(frozen=True)
class CalendarSettings:
    """A person's settings, read. With `error` set and no entries, nothing readable is stored."""

    entries: Mapping[str, SettingEntry]
    groups: tuple[SettingGroup, ...]
    hours: Hours
    zone: Zone
    reminders: Reminders
    account: AccountSettings
    sections: tuple[CalendarSection, ...] | None
    taken_at: datetime
    errors: Mapping[str, str]
    raw: Json

    @property
    def error(self) -> str | None:
        """Return why the last read of the settings failed, None when it did not."""
        if METHOD in self.errors:
            return self.errors[METHOD] or EMPTY_CODE
        return None if self.readable else NOT_AN_OBJECT

    @property
    def readable(self) -> bool:
        """Tell whether there are settings to show, this read's or the last good ones."""
        return isinstance(self.raw, dict) or self.raw == []

    @property
    def view(self) -> str:
        """Return the view's name as it came, even one nobody knows; empty when not told."""
        raw = self.entries["view"].raw
        return raw if isinstance(raw, str) else ""


def parse(reading: SettingsResponse, *, profile_time_zone: str | None) -> CalendarSettings:
    """Return the settings, typed. Never raises, whatever JSON came."""
    person = as_object(reading.settings)
    account = as_object(reading.account)
    sections = values.parse_sections(reading.sections)
    entries = _parse_entries(person, {section.id: section for section in sections or ()})
    reminders = entries["defaultReminders"].meaning
    taken_at = reading.settings_taken_at or reading.taken_at
    return CalendarSettings(
        entries=entries,
        groups=tuple(_groups(entries)),
        hours=parse_hours(person, account),
        zone=parse_zone(person, profile_time_zone, taken_at),
        reminders=reminders if isinstance(reminders, Reminders) else Reminders(),
        account=_parse_account(account),
        sections=sections,
        taken_at=taken_at,
        errors=reading.errors,
        raw=reading.settings,
    )


def changed(before: CalendarSettings | None, after: CalendarSettings) -> tuple[str, ...] | None:
    """Return which settings differ between two readings, None where either holds none."""
    if before is None or METHOD in after.errors:
        return None
    then, now = before.raw, after.raw
    if not isinstance(then, dict) or not isinstance(now, dict):
        return None
    keys = [*now, *(key for key in then if key not in now)]
    return tuple(key for key in keys if key not in then or key not in now or now[key] != then[key])


def _parse_entries(person: dict[str, Json], sections: Sections) -> dict[str, SettingEntry]:
    known = {key: _parse_entry(key, person, sections) for key in READERS}
    unknown = {key: SettingEntry(key, raw, Unrecognized("key")) for key, raw in person.items() if key not in READERS}
    return known | unknown


def _parse_entry(key: str, person: dict[str, Json], sections: Sections) -> SettingEntry:
    if key not in person:
        return SettingEntry(key, None, Absent())
    raw = person[key]
    return SettingEntry(key, raw, READERS[key](raw, sections) or Unrecognized("value"))


def _groups(entries: Mapping[str, SettingEntry]) -> list[SettingGroup]:
    known = [SettingGroup(name, tuple(entries[key] for key in keys)) for name, keys in GROUPS.items()]
    unknown = tuple(entry for key, entry in entries.items() if key not in READERS)
    return known + ([SettingGroup("unknown", unknown)] if unknown else [])


def _parse_account(account: dict[str, Json]) -> AccountSettings:
    days, week_start = as_list(account.get("week_holidays")), account.get("week_start")
    return AccountSettings(
        days_off=tuple(day for day in days or () if isinstance(day, str)),
        week_start=week_start if isinstance(week_start, str) else "",
    )
