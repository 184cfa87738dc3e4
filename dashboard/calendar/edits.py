"""Parse the form fields that change a person's settings, and read the same fields from settings.

Both *My settings* and the recommended settings use these fields. A set of them is stored as ``encode_edits`` returns
it, and becomes edits again with ``parse_edits(stored.items(), for_everyone=True)``. ``differing_fields`` tells what a
person has set differently. `changes.py` turns edits into the values to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from dashboard.calendar.encoding import NO_REMINDERS, decode_reminder, encode_reminder, encode_reminder_list
from dashboard.calendar.reminders import (
    AtTimeOfDay,
    Before,
    OnDate,
    Reminder,
    Reminders,
    UnrecognizedReminder,
    parse_reminders,
)
from dashboard.calendar.values import Toggle, View, parse_toggle, parse_view
from dashboard.calendar.working_hours import DAY
from dashboard.core.json_values import Json, compact_json

REMINDERS_KEY = "defaultReminders"
TIMED, ALL_DAY = "reminders.timed", "reminders.day"
# The part of the reminders that each of these fields stands for, as Bitrix24 names it.
REMINDER_PARTS = {TIMED: "withTime", ALL_DAY: "fullDay"}
# What the server stores as "Y" or "N", and what it casts to a boolean, so that "N" would mean true.
LETTER_KEYS = ("showTasks", "showCompletedTasks", "showWeekNumbers", "collapseOffHours")
BOOLEAN_KEYS = ("showDeclined", "denyBusyInvitation")
FIELDS = ("view", *LETTER_KEYS, *BOOLEAN_KEYS, TIMED, ALL_DAY)
_OTHER_FIELDS = ("body", "change")  # what an error may also name
# The keys of Bitrix24 that these fields change.
EDITABLE_KEYS = ("view", *LETTER_KEYS, *BOOLEAN_KEYS, REMINDERS_KEY)

VIEWS = ("day", "week", "month", "list")
MAX_REMINDERS = 10  # of one kind of event
MAX_EDITABLE_REMINDERS = 50  # Bitrix24 stores any number; an editor of thousands would be slow for everybody
MAX_DAYS_BEFORE = 365
_LETTERS = {"Y": True, "N": False}
_DIGITS = {"1": True, "0": False}

FieldValue: TypeAlias = View | Toggle | tuple[Reminder, ...]
Edits: TypeAlias = Mapping[str, FieldValue]  # by field


class InvalidEdit(ValueError):
    """A field is unknown, repeated, malformed or contradicts another one; the value is not kept."""

    def __init__(self, field: str, reason: str) -> None:
        # The name of an unknown field may be anything, and the message is logged.
        super().__init__(f"{field if field in (*FIELDS, *_OTHER_FIELDS) else 'another field'}: {reason}")
        self.field = field[:64]
        self.reason = reason


def parse_edits(fields: Iterable[tuple[str, str]], *, for_everyone: bool = False) -> Edits:
    """Return the edits in the fields of a form: one or more of FIELDS, each at most once.

    The words "date" and "odd" stand for entries that a person has and keeps: reminders on a fixed date, and those that
    we cannot read. They are refused in edits ``for_everyone``, such as recommended settings.

    :raise InvalidEdit: with the name of the field that is wrong, "body" if there is none at all.
    """
    edits: dict[str, FieldValue] = {}
    for field, text in fields:
        if field not in FIELDS:
            raise InvalidEdit(field, "is not a field")
        if field in edits:
            raise InvalidEdit(field, "is repeated")
        value = _parse_field(field, text.strip())
        if value is None or (for_everyone and has_unwritable_reminders(value)):
            raise InvalidEdit(field, "has a value that is not allowed")
        edits[field] = value
    if not edits:
        raise InvalidEdit("body", "no field is given")
    if edits.get("showTasks") == Toggle(on=False) and edits.get("showCompletedTasks") == Toggle(on=True):
        raise InvalidEdit("showCompletedTasks", "needs showTasks")
    return edits


def encode_edits(edits: Edits) -> dict[str, str]:
    """Return the fields as texts, which ``parse_edits`` accepts."""
    return {field: encode_field(field, value) for field, value in edits.items()}


def encode_field(field: str, value: FieldValue) -> str:
    """Return the text of one field."""
    match value:
        case View(name):
            return name
        case Toggle(on):
            texts = _DIGITS if field in BOOLEAN_KEYS else _LETTERS
            return next(text for text, meaning in texts.items() if meaning == on)
        case reminders:
            return encode_reminder_list(reminders)


def read_fields(settings: Json | Mapping[str, Json]) -> dict[str, FieldValue]:
    """Return the fields of settings as Bitrix24 returns them; those without a readable value are left out.

    A kind of event whose reminders are not set has none, as one whose list is empty: in both cases Bitrix24 uses its
    own default for new events.
    """
    raw: Mapping[str, Json] = settings if isinstance(settings, Mapping) else {}
    fields: dict[str, FieldValue] = {}
    if isinstance(view := parse_view(raw.get("view")), View):
        fields["view"] = view
    for key in (*LETTER_KEYS, *BOOLEAN_KEYS):
        if isinstance(toggle := parse_toggle(raw.get(key)), Toggle):
            fields[key] = toggle
    if REMINDERS_KEY in raw and (reminders := parse_reminders(raw[REMINDERS_KEY])) is not None:
        fields |= reminder_fields(reminders)
    return fields


def reminder_fields(reminders: Reminders) -> dict[str, FieldValue]:
    """Return the two fields of the reminders."""
    return {TIMED: reminders.timed or (), ALL_DAY: reminders.all_day or ()}


def differing_fields(wanted: Edits, current: Mapping[str, FieldValue]) -> tuple[str, ...]:
    """Return the fields whose current value means something else, in the order of ``wanted``.

    :param current: as ``read_fields`` returns it.
    """
    return tuple(field for field, value in wanted.items() if not same_value(value, current.get(field)))


def same_value(value: FieldValue, other: FieldValue | None) -> bool:
    """Tell whether two values mean the same; the order of reminders means nothing."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return sorted(map(_identity, value)) == sorted(map(_identity, other))
    return value == other


def has_unwritable_reminders(value: FieldValue) -> bool:
    """Tell whether a list contains reminders that cannot be written anew: on a fixed date, or unrecognized."""
    return isinstance(value, tuple) and any(isinstance(entry, OnDate | UnrecognizedReminder) for entry in value)


def key_of(field: str) -> str:
    """Return the key under which Bitrix24 stores the field."""
    return REMINDERS_KEY if field in REMINDER_PARTS else field


def _parse_field(field: str, text: str) -> FieldValue | None:
    if field in REMINDER_PARTS:
        return _parse_reminders(text)
    if field == "view":
        view = parse_view(text)
        return view if isinstance(view, View) else None
    on = (_DIGITS if field in BOOLEAN_KEYS else _LETTERS).get(text)
    return None if on is None else Toggle(on)


def _parse_reminders(text: str) -> tuple[Reminder, ...] | None:
    """Parse "15min,1hour,0d@08:00"; no text, or "none", is an empty list. Duplicates are dropped."""
    if text in ("", NO_REMINDERS):
        return ()
    words = [word.strip() for word in text.split(",")]
    reminders = [decode_reminder(word) for word in words]
    if len(words) > MAX_REMINDERS or not all(map(_is_allowed, reminders, words)):
        return None
    # Two entries that Bitrix24 alone understands may differ.
    is_kept = [isinstance(reminder, OnDate | UnrecognizedReminder) for reminder in reminders]
    return tuple(
        reminder
        for at, (reminder, keep) in enumerate(zip(reminders, is_kept, strict=True))
        if keep or reminder not in reminders[:at]
    )


def _is_allowed(reminder: Reminder, word: str) -> bool:
    """Tell whether a word is spelled as we spell it, and its numbers are sensible."""
    if encode_reminder(reminder) != word:
        return False
    match reminder:
        case Before():
            return reminder.minutes <= MAX_DAYS_BEFORE * DAY
        case AtTimeOfDay(days_before, minute_of_day):
            return days_before <= MAX_DAYS_BEFORE and minute_of_day < DAY
    return True  # "date" and "odd" stand for entries that are there and are kept


def _identity(reminder: Reminder) -> str:
    match reminder:
        case OnDate(text):
            return f"date {text}"
        case UnrecognizedReminder(raw):
            return f"odd {compact_json(raw)}"
    return encode_reminder(reminder)
