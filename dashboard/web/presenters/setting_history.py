"""Describe changes of settings in words: each setting's name, its values, when and how they changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import groupby, islice

from sqlalchemy import Row

from dashboard.calendar.changes import is_on
from dashboard.calendar.edits import EDITABLE_KEYS, REMINDER_PARTS, REMINDERS_KEY, read_fields, same_value
from dashboard.calendar.parser import CalendarSettings
from dashboard.core.json_values import Json, as_object
from dashboard.models import SettingChange
from dashboard.people.history import HOURS_KEY, ZONE_KEY, ChangeSource, to_change
from dashboard.web.i18n.translations import N_, _, ngettext, number
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.labels import short_title

# Where the focus goes after a change: to the pencil of these settings, to the switch of the others.
_PENCILS = {"view": "edit-view-editor", REMINDERS_KEY: "edit-reminder-editor"}

SOURCES = {
    ChangeSource.EDITED: N_("edited here"),
    ChangeSource.ADOPTED: N_("adopted"),
    ChangeSource.UNDONE: N_("undone here"),
    ChangeSource.SYNCED: N_("seen at an update"),
    ChangeSource.REVERTED: N_("changed back in Bitrix24"),
}


@dataclass(frozen=True)
class HistoryLine:
    """A changed setting in words; reminders of both kinds of event have a line each."""

    title: str
    before: str
    after: str
    change_id: int | None = None  # where it can be undone


@dataclass(frozen=True)
class HistoryEntry:
    """The changes of one set, which are undone together, or one change that was seen."""

    lines: tuple[HistoryLine, ...]
    when: str
    how: str
    keep: str = ""
    change_id: int | None = None  # what its button undoes
    user_id: int | None = None  # whose it is, where several people's are listed
    name: str = ""


def history_entries(
    rows: Iterable[SettingChange],
    *,
    now: datetime,
    tz: tzinfo,
    undoable: frozenset[int] = frozenset(),
    limit: int | None = None,
) -> list[HistoryEntry]:
    """Return a person's changes in words, or only as many entries as ``limit``."""
    sets = groupby(rows, key=lambda row: row.change_set or row.id)
    return [_entry(list(changes), now=now, tz=tz, undoable=undoable) for _key, changes in islice(sets, limit)]


def portal_entries(
    rows: Iterable[Row[SettingChange, int, str]], *, now: datetime, tz: tzinfo, is_brief: bool = False
) -> list[HistoryEntry]:
    """Return the changes of several people in words.

    :param is_brief: only count the settings of an adoption.
    """
    entries = []
    for (user_id, name, _set), group in groupby(rows, key=lambda row: (row[1], row[2], row[0].change_set or row[0].id)):
        changes = [row[0] for row in group]
        entry = _entry(changes, now=now, tz=tz)
        if is_brief and len(changes) > 1 and changes[0].how == ChangeSource.ADOPTED:
            count = len(changes)
            text = ngettext("%(count)s setting adopted.", "%(count)s settings adopted.", count)
            entry = replace(entry, lines=(), how=text % {"count": number(count)})
        entries.append(replace(entry, user_id=user_id, name=labels.person_name(name, user_id)))
    return entries


def _entry(
    changes: Sequence[SettingChange], *, now: datetime, tz: tzinfo, undoable: frozenset[int] = frozenset()
) -> HistoryEntry:
    """Return the changes of one set, of which the newest is the first, in the order in which they are listed."""
    newest = changes[0]
    return HistoryEntry(
        lines=tuple(
            HistoryLine(*line, change_id=row.id if row.id in undoable else None)
            for row in reversed(changes)
            for line in lines_of(row)
        ),
        when=filters.time_and_date(newest.changed_at, now, tz),
        how=_(SOURCES[ChangeSource(newest.how)]),
        keep=control_of(newest.key),
        change_id=newest.id if newest.id in undoable else None,
    )


def known_values(settings: CalendarSettings) -> list[tuple[str, str]]:
    """Return the title and the last known value of each setting that can be changed here."""
    raw = as_object(settings.raw)
    plain = [
        (short_title(key), value_text(key, raw[key])) for key in EDITABLE_KEYS if key in raw and key != REMINDERS_KEY
    ]
    reminders = ((name, reminders_text(value)) for name, value in read_fields(raw).items() if name in REMINDER_PARTS)
    return plain + [(short_title(name), text) for name, text in reminders]


def value_text(key: str, value: Json) -> str:
    """Return a raw value in words."""
    if key == HOURS_KEY:
        return str(value).replace("-", " – ") if value else _("Portal's hours")
    if key == ZONE_KEY:
        return str(value)
    if key == "view":
        return labels.view(value) if isinstance(value, str) and value else _(labels.NOT_SET)
    return _("On") if is_on(value) else _("Off")


def control_of(key: str) -> str:
    """Return the control that changes a setting, which has the focus after a change."""
    return _PENCILS.get(key, key)


def lines_of(row: SettingChange) -> Iterable[tuple[str, str, str]]:
    """Yield the title, the value before and the value after; for each kind of event if both may have changed."""
    change = to_change(row)

    def line(title: str, before: str, after: str) -> tuple[str, str, str]:
        unknown = _("Unknown")  # a value that was too long to store
        return title, unknown if row.before is None else before, unknown if row.after is None else after

    if change.key != REMINDERS_KEY:
        yield line(short_title(change.key), value_text(change.key, change.before), value_text(change.key, change.after))
        return
    before, after = (read_fields({REMINDERS_KEY: value}) for value in (change.before, change.after))
    for field in REMINDER_PARTS:
        old, new = before.get(field, ()), after.get(field, ())
        if row.before is None or row.after is None or not same_value(old, new):
            yield line(short_title(field), reminders_text(old), reminders_text(new))


def reminders_text(value: object) -> str:
    """Return the reminders of one kind of event in words."""
    reminders = value if isinstance(value, tuple) else ()
    return filters.comma().join(filters.reminder_words(reminders)) or _("None")
