"""Decide what to write when a person changes their settings, and compare what was read before and after.

`people/settings_writer.py` reads the settings, decides by their meaning (``plan_edits``, or ``plan_undo`` of
`undo.py`), writes only the changed keys, reads again, and compares (``compare``). Bitrix24 validates nothing, and
merges by key: what is inside ``defaultReminders`` is replaced as a whole. So each value is complete and has Bitrix24's
own type, and the reminders of the other kind of event are written as they were read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboard.calendar.edits import (
    BOOLEAN_KEYS,
    LETTER_KEYS,
    MAX_EDITABLE_REMINDERS,
    REMINDER_PARTS,
    REMINDERS_KEY,
    Edits,
    FieldValue,
    InvalidEdit,
    key_of,
    read_fields,
    same_value,
)
from dashboard.calendar.encoding import toggle_letter
from dashboard.calendar.reminders import (
    AtTimeOfDay,
    Before,
    Reminder,
    Reminders,
    parse_reminder,
    parse_reminders,
    raw_entries,
)
from dashboard.calendar.values import Toggle, View, parse_toggle
from dashboard.core.json_values import Json, as_object

# Bitrix24's own settings page turns these off together with the tasks.
_NEED_TASKS = ("showCompletedTasks", "syncTasks")
_NESTED_KEYS = ("defaultSections", REMINDERS_KEY)
TOGGLES = (*LETTER_KEYS, *BOOLEAN_KEYS, "syncTasks")

Settings = Mapping[str, Json]  # as calendar.user.settings.get returns them


@dataclass(frozen=True)
class WritePlan:
    """The values to write; nothing is written if there are none."""

    values: dict[str, Json] = field(default_factory=dict)  # by key, complete and of the right types
    refused: tuple[str, ...] = ()  # keys that cannot be written as asked: see ``plan_edits``


@dataclass(frozen=True)
class WriteOutcome:
    """Which keys have changed, by a second reading after values were written."""

    changed: tuple[str, ...]  # keys that have their new value
    unchanged: tuple[str, ...]  # keys that do not


def plan_edits(edits: Edits, before: Settings) -> WritePlan:
    """Return what to write so that the settings have the edited values.

    Values that mean the same already are left out. Refused are keys that this portal does not return or that we
    cannot read, and completed tasks while tasks are off.

    :raise InvalidEdit: an edit keeps reminders that are not there.
    """
    current = read_fields(before)
    refused = [name for name in edits if not is_editable(before, key_of(name))]
    tasks = edits.get("showTasks", current.get("showTasks"))
    if edits.get("showCompletedTasks") == Toggle(on=True) and tasks == Toggle(on=False):
        refused.append("showCompletedTasks")
    values: dict[str, Json] = {}
    for name, value in edits.items():
        if name in refused:
            continue
        if part := REMINDER_PARTS.get(name):
            reminders = as_object(values.get(REMINDERS_KEY, before[REMINDERS_KEY]))
            entries = _entries_to_write(name, value, reminders.get(part))
            if not same_value(tuple(map(parse_reminder, entries)), current.get(name)):
                values[REMINDERS_KEY] = {**reminders, part: entries}
        elif not same_value(value, current.get(name)):
            values[name] = _value_to_write(name, value)
    return WritePlan(with_tasks_rule(values, before), tuple(dict.fromkeys(map(key_of, refused))))


def survives_writing(settings: Settings) -> bool:
    """Tell whether Bitrix24 can read the settings again after it has written any of them.

    It stores what it has read. A nested setting that it reads as null, or as another scalar, comes from a stored text;
    stored as it is, it makes every later reading fail (calendar/lib/usersettings.php).
    """
    return all(isinstance(settings[key], dict | list) for key in _NESTED_KEYS if key in settings)


def is_editable(settings: Settings, key: str) -> bool:
    """Tell whether a key may be written: the portal returns it, and its reminders are readable and not too many."""
    if key != REMINDERS_KEY or key not in settings:
        return key in settings
    return parse_reminders(settings[key]) is not None and not has_too_many_reminders(settings[key])


def has_too_many_reminders(value: Json) -> bool:
    """Tell whether there are more reminders of one kind of event than can be edited here."""
    reminders = parse_reminders(value) or Reminders()
    return any(len(entries or ()) > MAX_EDITABLE_REMINDERS for entries in (reminders.timed, reminders.all_day))


def compare(written: Mapping[str, Json], after: Settings) -> WriteOutcome:
    """Compare what was written with the settings as they were read after it."""
    is_changed = {key: key in after and same_meaning(key, after[key], value) for key, value in written.items()}
    return WriteOutcome(
        changed=tuple(key for key, is_new in is_changed.items() if is_new),
        unchanged=tuple(key for key, is_new in is_changed.items() if not is_new),
    )


def same_meaning(key: str, one: Json, other: Json) -> bool:
    """Tell whether two raw values of a key mean the same to Bitrix24."""
    if key in TOGGLES:
        first, second = parse_toggle(one), parse_toggle(other)
        if isinstance(first, Toggle) and isinstance(second, Toggle):
            return first == second
    elif key == REMINDERS_KEY and None not in (parse_reminders(one), parse_reminders(other)):
        parts = REMINDER_PARTS.values()
        return all(same_reminders(as_object(one).get(part), as_object(other).get(part)) for part in parts)
    return same_json(one, other)


def same_reminders(one: Json, other: Json) -> bool:
    """Tell whether the reminders of one kind of event are the same."""
    first, second = (tuple(map(parse_reminder, raw_entries(part))) for part in (one, other))
    return same_value(first, second)


def is_on(value: Json) -> bool:
    """Tell whether the raw value of a toggle is on."""
    return parse_toggle(value) == Toggle(on=True)


def same_json(one: Json, other: Json) -> bool:
    """Compare values with their types: 1 is not true. The order of an object's keys means nothing."""
    first, second = (json.dumps(value, sort_keys=True) for value in (one, other))
    return first == second


def with_tasks_rule(values: dict[str, Json], before: Settings) -> dict[str, Json]:
    """Turn off what needs tasks, as Bitrix24's own page does, if tasks are turned off and it is on."""
    if parse_toggle(values.get("showTasks")) != Toggle(on=False):
        return values
    on = (key for key in _NEED_TASKS if key not in values and is_on(before.get(key)))
    return {**values, **dict.fromkeys(on, toggle_letter(on=False))}


def _entries_to_write(name: str, value: FieldValue, stored: Json) -> list[Json]:
    """Return the reminders as a list of entries; those that we cannot write are the stored ones."""
    stored_entries: dict[type[Reminder], list[Json]] = {}
    for raw in raw_entries(stored):
        stored_entries.setdefault(type(parse_reminder(raw)), []).append(raw)
    entries = list[Json]()
    for reminder in value if isinstance(value, tuple) else ():
        same_kind = stored_entries.get(type(reminder), [])
        if (entry := _entry_to_write(reminder)) is None:
            if not same_kind:
                raise InvalidEdit(name, "keeps a reminder that is not there")
            entry = same_kind.pop(0)
        entries.append(entry)
    return entries


def _entry_to_write(reminder: Reminder) -> Json:
    match reminder:
        case Before(unit, count):
            return {"type": unit, "count": count}
        case AtTimeOfDay(days_before, minute_of_day):
            return {"type": "daybefore", "before": days_before, "time": minute_of_day}
    return None


def _value_to_write(key: str, value: FieldValue) -> Json:
    match value:
        case View(name):
            return name
        case Toggle(on):
            return on if key in BOOLEAN_KEYS else toggle_letter(on=on)
    raise TypeError(f"{key} is not a view or a toggle")
