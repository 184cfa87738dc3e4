"""Prepare the controls that change settings on *My settings*: switches, the choice of a view, the reminders' editor."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from dashboard.calendar.edits import (
    ALL_DAY,
    MAX_REMINDERS,
    REMINDERS_KEY,
    TIMED,
    VIEWS,
    encode_field,
    reminder_fields,
)
from dashboard.calendar.encoding import encode_reminder
from dashboard.calendar.parser import CalendarSettings, SettingEntry
from dashboard.calendar.reminders import AtTimeOfDay, Before, Reminder, Unit
from dashboard.calendar.values import Toggle
from dashboard.web.i18n.translations import N_, Language, _, current, number
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.setting_changes import SettingState
from dashboard.web.presenters.setting_display import NO_REMINDERS, SettingDisplay, display, setting_attributes

SWITCH_KEYS = (
    *("showTasks", "showCompletedTasks", "showDeclined", "showWeekNumbers"),
    *("collapseOffHours", "denyBusyInvitation"),
)
HINTS = {
    "collapseOffHours": N_("Collapses non-working hours in the day and week views."),
    "denyBusyInvitation": N_("Colleagues' invitations at busy times are declined for you."),
}
_KIND_TITLES = {TIMED: N_("Events with a time"), ALL_DAY: N_("All-day events")}
_UNITS = (
    ("min", N_("minutes before")),
    ("hour", N_("hours before")),
    ("day", N_("days before")),
    ("on", N_("on the day, at")),
    ("at", N_("days before, at")),
)
_MAX_SAMPLE = 120  # every form of plural of the interface's languages has a smaller number


SwitchKind = Literal["switch", "disabled", "odd", "plain"]


class SwitchRow(NamedTuple):
    """A setting that is on or off; ``kind`` is "odd" if its value is neither, and "plain" if it cannot be changed."""

    key: str
    title: str
    kind: SwitchKind
    is_on: bool
    next_value: str
    hint: str
    display: SettingDisplay
    attributes: tuple[tuple[str, str], ...]
    state: SettingState | None


@dataclass(frozen=True)
class ReminderKind:
    """The reminders of one kind of event: the words that are sent, and each with its text."""

    field: str
    title: str
    words: str
    chips: tuple[tuple[str, str], ...]
    none_text: str
    unit: str  # of a new reminder, as it is offered first
    count: int


@dataclass(frozen=True)
class ReminderEditor:
    """The editor's content; ``texts`` lets the script write new reminders in the user's language."""

    kinds: tuple[ReminderKind, ...]
    units: tuple[tuple[str, str], ...]
    texts: str
    max_count: int


def editable_attributes(entry: SettingEntry, editable: Collection[str]) -> dict[str, str]:
    """Return the attributes of a setting, which say whether it can be changed here."""
    return setting_attributes(entry) | ({"data-editable": ""} if entry.key in editable else {})


def view_options() -> list[tuple[str, str]]:
    """Return the views to choose from."""
    return [(name, labels.view(name)) for name in VIEWS]


def switch_rows(
    settings: CalendarSettings, editable: Collection[str], states: Mapping[str, SettingState]
) -> list[SwitchRow]:
    """Return the settings that are on or off."""
    can_edit = bool(editable)
    rows = []
    for key in SWITCH_KEYS:
        entry = settings.entries[key]
        toggle = entry.parsed if isinstance(entry.parsed, Toggle) else None
        is_on = toggle is not None and toggle.on
        needs_tasks = key == "showCompletedTasks" and can_edit and key not in editable
        rows.append(
            SwitchRow(
                key=key,
                title=labels.short_title(key),
                kind=_kind(toggle, is_editable=key in editable, needs_tasks=needs_tasks),
                is_on=is_on,
                next_value=encode_field(key, Toggle(not is_on)),
                hint=_("Turn on tasks to show them.") if needs_tasks else _(HINTS[key]) if key in HINTS else "",
                display=display(entry),
                attributes=tuple(editable_attributes(entry, editable).items()),
                state=states.get(key),
            )
        )
    return rows


def calendar_entries(settings: CalendarSettings) -> list[SettingEntry]:
    """Return the settings about calendars and invitations, which are not changed here."""
    entries = (entry for name in ("calendars", "invitations") for entry in settings.groups[name])
    return [entry for entry in entries if entry.key not in SWITCH_KEYS]


def _kind(toggle: Toggle | None, *, is_editable: bool, needs_tasks: bool) -> SwitchKind:
    if not is_editable:
        return "disabled" if needs_tasks else "plain"
    return "switch" if toggle else "odd"


def reminder_editor(settings: CalendarSettings, editable: Collection[str]) -> ReminderEditor | None:
    """Return the editor of the reminders, None where they cannot be changed."""
    if REMINDERS_KEY not in editable:
        return None
    kinds = tuple(
        ReminderKind(
            field=field,
            title=_(_KIND_TITLES[field]),
            words=encode_field(field, value),
            chips=tuple((encode_reminder(one), filters.reminder(one)) for one in value if isinstance(value, tuple)),
            none_text=_(NO_REMINDERS[field]),
            unit="min" if field == TIMED else "on",
            count=30 if field == TIMED else 1,
        )
        for field, value in reminder_fields(settings.reminders).items()
        if isinstance(value, tuple)
    )
    units = tuple((unit, _(text)) for unit, text in _UNITS)
    return ReminderEditor(kinds, units, _reminder_texts(current()), MAX_REMINDERS)


@cache
def _reminder_texts(language: Language) -> str:
    """Return the texts of reminders with {count} and {time} as JSON, by unit, and by number or form of plural.

    The forms are CLDR's, which browsers know too (``Intl.PluralRules``).

    :param language: the current one.
    """
    # Sixty minutes are an hour, so their text has another number.
    limits: dict[Unit, int] = {"min": 60, "hour": 24, "day": 0}
    texts: dict[str, dict[str, str]] = {unit: _by_plural(_before(unit), unless=whole) for unit, whole in limits.items()}
    texts["min"]["0"] = filters.reminder(Before("min", 0))
    at = _by_plural(lambda days: AtTimeOfDay(days, 0), first=2)
    exact = {str(days): filters.reminder(AtTimeOfDay(days, 0)) for days in (0, 1)}
    texts["at"] = {form: text.replace("00:00", "{time}") for form, text in (at | exact).items()}
    return json.dumps(texts, ensure_ascii=False)


def _before(unit: Unit) -> Callable[[int], Reminder]:
    return lambda count: Before(unit, count)


def _by_plural(reminder_of: Callable[[int], Reminder], *, first: int = 1, unless: int = 0) -> dict[str, str]:
    plural_form = current().locale.plural_form
    texts: dict[str, str] = {}
    for count in range(first, _MAX_SAMPLE):
        form = plural_form(count)
        if form not in texts and not (unless and count % unless == 0):
            texts[form] = filters.reminder(reminder_of(count)).replace(number(count), "{count}", 1)
    return texts
