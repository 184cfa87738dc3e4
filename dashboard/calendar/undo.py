"""Decide what to write to undo changes of a person's settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dashboard.calendar.changes import (
    TOGGLES,
    Settings,
    WritePlan,
    is_on,
    same_json,
    same_meaning,
    same_reminders,
    with_tasks_rule,
)
from dashboard.calendar.edits import BOOLEAN_KEYS, EDITABLE_KEYS, REMINDER_PARTS, REMINDERS_KEY
from dashboard.calendar.values import Toggle, parse_toggle
from dashboard.core.json_values import Json, as_object


@dataclass(frozen=True)
class Change:
    """A change of one key: its value before and after, as read; None where it was not known."""

    key: str
    before: Json
    after: Json


def plan_undo(changes: Sequence[Change], current: Settings, *, changed_since: Collection[str] = ()) -> WritePlan:
    """Return what to write so that all changes of one set are undone: the values before, exactly as they were.

    If a value is no longer what its change has left, or cannot be restored, its key is refused and nothing is written.
    Reminders of one kind of event do not matter for a change of the other kind.

    Completed tasks need tasks. Refuse to turn them on if tasks were turned off later. If undoing turns tasks off,
    turn off completed tasks that were turned on later, too.

    :param changed_since: keys that were changed later.
    """
    refused = [change.key for change in changes if not can_undo(change, current)]
    values = {change.key: _value_before(change, current) for change in changes}
    were_tasks_turned_off = "showTasks" in changed_since and parse_toggle(current.get("showTasks")) == Toggle(on=False)
    if were_tasks_turned_off and "showTasks" not in values and is_on(values.get("showCompletedTasks")):
        refused.append("showCompletedTasks")
    if refused:
        return WritePlan(refused=tuple(dict.fromkeys(refused)))
    return WritePlan(with_tasks_rule(values, {key: current[key] for key in changed_since if key in current}))


def can_undo(change: Change, current: Settings) -> bool:
    """Tell whether the value is what the change has left, and the value before can be written."""
    if change.key not in current or not _can_restore(change):
        return False
    if change.key != REMINDERS_KEY:
        return same_meaning(change.key, current[change.key], change.after)
    after, now = as_object(change.after), as_object(current[REMINDERS_KEY])
    return all(same_reminders(after.get(part), now.get(part)) for part in _changed_parts(change))


def _can_restore(change: Change) -> bool:
    """Tell whether the value before may be written: Bitrix24 never gets an empty value from us."""
    if change.key == REMINDERS_KEY:
        return isinstance(change.before, dict | list) and isinstance(change.after, dict | list)
    if change.key in BOOLEAN_KEYS:
        return isinstance(parse_toggle(change.before), Toggle)
    if change.key in TOGGLES and isinstance(change.before, bool | int):
        return True
    return change.key in (*EDITABLE_KEYS, "syncTasks") and isinstance(change.before, str) and change.before != ""


def _value_before(change: Change, current: Settings) -> Json:
    """Return the value to write; of reminders only the parts that the change has changed."""
    if change.key in BOOLEAN_KEYS:
        return is_on(change.before)
    now = current.get(change.key)
    if change.key != REMINDERS_KEY or same_json(now, change.after):
        return change.before
    before, restored = as_object(change.before), dict(as_object(now))
    for part in _changed_parts(change):
        restored.pop(part, None)
        restored |= {part: before[part]} if part in before else {}
    return restored


def _changed_parts(change: Change) -> list[str]:
    before, after = as_object(change.before), as_object(change.after)
    return [part for part in REMINDER_PARTS.values() if not same_json(before.get(part), after.get(part))]
