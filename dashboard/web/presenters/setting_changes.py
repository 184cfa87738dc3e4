"""Describe changes of settings: the outcome of the last one, the state of each setting, and what can be undone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from markupsafe import Markup, escape

from dashboard.bitrix24.errors import Bitrix24Error, Limited, NotAnswered
from dashboard.calendar.changes import is_editable, is_on
from dashboard.calendar.edits import (
    EDITABLE_KEYS,
    REMINDERS_KEY,
    encode_field,
    has_unwritable_reminders,
    key_of,
    read_fields,
    same_value,
)
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.undo import Change, can_undo
from dashboard.calendar.values import Toggle
from dashboard.core.json_values import as_object
from dashboard.models import Person, SettingChange, TokenState
from dashboard.people.history import OWN_SOURCES, ChangeSource, to_change
from dashboard.people.settings_lease import BUSY_CODE
from dashboard.people.settings_writer import ChangeUnconfirmed
from dashboard.web.errors.responses import error_label
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.setting_history import control_of, lines_of

# How long the page points out a change that went back; the history has it longer.
MAX_REVERTED_AGE = timedelta(days=7)


@dataclass(frozen=True)
class ChangeOutcome:
    """The outcome of the change that this page answers."""

    kind: Literal["saved", "adopted", "undone", "reset"] = "saved"
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    error: Bitrix24Error | None = None
    fields: tuple[tuple[str, str], ...] = ()  # as posted, to try again

    @property
    def reason(self) -> str:
        """Return why something was not changed."""
        if self.error is None:
            if self.kind == "undone":
                return _("It has been changed since.")
            return _("Bitrix24 kept the old value.")
        return reason_of(self.error)

    @property
    def failure(self) -> str:
        """Return that something was not changed, and why; only the reason where not even that is known."""
        if isinstance(self.error, ChangeUnconfirmed):
            return self.reason
        return f"{_('Not undone.') if self.kind == 'undone' else _('Not saved.')} {self.reason}"

    @property
    def text(self) -> str:
        """Return the outcome in one sentence, which is read aloud."""
        if self.unchanged or self.error is not None:
            return self.failure
        if self.kind == "reset":
            return _("Your settings were reset.") if self.changed else _("Your settings need no reset")
        if not self.changed:
            return _("Nothing to change. It was set already.")
        names = filters.join_words(map(labels.label, self.changed))
        text = _("Undone: %(names)s.") if self.kind == "undone" else _("Saved: %(names)s.")
        return text % {"names": names}


@dataclass(frozen=True)
class SettingState:
    """What a setting's row says beside its value, and the button for it."""

    kind: Literal["saved", "failed", "reverted"]
    text: str
    keep: str  # the control that has the focus after the button was pressed
    action: str = ""  # the button's text
    path: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    change_id: int | None = None  # of the change that the button undoes
    hidden: bool = False  # until the script shows it, on a page where the person has made the change


def reason_of(error: Bitrix24Error) -> str:
    """Return in a sentence why a change was not saved."""
    if isinstance(error, ChangeUnconfirmed):
        return _("No answer came, so it may have been saved or not. Update to see.")
    if error.code == BUSY_CODE:
        return _("Another change of yours is still being saved.")
    if isinstance(error, NotAnswered):
        return _("Bitrix24 didn't answer.")
    if isinstance(error, Limited):
        return _("Too many requests at once.")
    return _("%(reason)s.") % {"reason": error_label(error.code)}


def states(
    rows: Sequence[SettingChange],
    *,
    editable: Collection[str],
    undoable: Collection[int],
    outcome: ChangeOutcome | None,
    now: datetime,
) -> dict[str, SettingState]:
    """Return the state of each setting that has one; where nothing can be changed, no button offers it.

    :param rows: the person's latest changes, the newest first.
    :param undoable: the ids of those that can be undone.
    """
    rows = rows if editable else ()
    state_by_key: dict[str, SettingState] = {}
    for key in EDITABLE_KEYS:
        row = next((row for row in rows if row.key == key), None)
        if outcome and key in outcome.unchanged:
            state_by_key[key] = _failed(key, outcome)
        elif row is not None and row.id in undoable:
            was_changed = outcome is not None and key in outcome.changed
            state_by_key[key] = _saved(row, hidden=not was_changed)
        elif row is not None and row.how == ChangeSource.REVERTED and row.changed_at > now - MAX_REVERTED_AGE:
            state_by_key[key] = _reverted(row)
    return state_by_key


def undoable_ids(
    settings: CalendarSettings, rows: Iterable[SettingChange], *, editable: Collection[str]
) -> frozenset[int]:
    """Return the ids of the changes that can still be undone, together with all others of their sets."""
    raw = as_object(settings.raw) if editable else {}
    if REMINDERS_KEY not in editable:
        # They may be thousands, and each change would be compared with them.
        raw = {key: value for key, value in raw.items() if key != REMINDERS_KEY}
    sets: dict[str | None, list[SettingChange]] = {}
    for row in rows:
        if row.how in OWN_SOURCES:
            sets.setdefault(row.change_set, []).append(row)
    return frozenset(
        row.id for changes in sets.values() if all(can_undo(to_change(one), raw) for one in changes) for row in changes
    )


def editable_keys(settings: CalendarSettings, person: Person) -> frozenset[str]:
    """Return the keys that can be changed here: the settings can be read, and the person's token is valid.

    Completed tasks can be shown only together with tasks.
    """
    if settings.error is not None or person.chain_state != TokenState.VALID:
        return frozenset()
    raw = as_object(settings.raw)
    keys = {key for key in EDITABLE_KEYS if is_editable(raw, key)}
    tasks = settings.entries["showTasks"].parsed
    return frozenset(keys - ({"showCompletedTasks"} if tasks == Toggle(on=False) else set()))


def _failed(key: str, outcome: ChangeOutcome) -> SettingState:
    fields = tuple((name, value) for name, value in outcome.fields if key_of(name) == key)
    action = _("Try again") if fields and outcome.kind == "saved" else ""
    return SettingState("failed", outcome.failure, control_of(key), action, "/me/settings", fields)


def _saved(row: SettingChange, *, hidden: bool) -> SettingState:
    saved = _("Undone.") if row.how == ChangeSource.UNDONE else _("Saved.")
    change = to_change(row)
    lines = list(lines_of(row))
    if change.key not in ("view", REMINDERS_KEY):
        was = _("It was on.") if is_on(change.before) else _("It was off.")
    else:
        value = filters.bdi(" · ".join(before for _title, before, _after in lines))
        was = Markup(_("It was: %(value)s.")) % {"value": value}  # noqa: S704  # a translation
    fields = (("change", str(row.id)),)
    state = SettingState("saved", escape(saved) + " " + was, control_of(row.key), _("Undo"), "/me/undo", fields)
    return replace(state, change_id=row.id, hidden=hidden)


def _reverted(row: SettingChange) -> SettingState:
    change = to_change(row)
    fields = _fields_to_set(change)
    if change.key in ("view", REMINDERS_KEY):
        action = _("Set again")
    else:
        action = _("Turn on again") if is_on(change.before) else _("Turn off again")
    label = action if fields else ""
    return SettingState("reverted", _("Changed back."), control_of(row.key), label, "/me/settings", fields)


def _fields_to_set(change: Change) -> tuple[tuple[str, str], ...]:
    """Return the fields that bring back the value that the person had set here."""
    before, after = (read_fields({change.key: value}) for value in (change.before, change.after))
    differing = {field: value for field, value in before.items() if not same_value(value, after.get(field))}
    if any(map(has_unwritable_reminders, differing.values())):
        return ()
    return tuple((field, encode_field(field, value)) for field, value in differing.items())
