"""Describe a row of the team in words, the same on the page and in the exported table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache, reduce

from dashboard.calendar.encoding import decode_reminders
from dashboard.calendar.reminders import Reminder
from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.core.json_values import strip_control_characters
from dashboard.team.listing import TeamRow
from dashboard.web.errors.responses import error_label
from dashboard.web.i18n.translations import N_, Language, _, current, ngettext, number, pgettext
from dashboard.web.presenters import filters, labels

STATES = {
    "connected": N_("Confirmed"),
    "stale": N_("Out of date"),
    "reconnect": N_("Needs to reconnect"),
    "never": N_("Not opened yet"),
}
STATE_TONES = {"connected": "good", "stale": "warning", "reconnect": "alert", "never": "quiet"}
REMINDERS = {
    "none": N_("No reminders"),
    "one": N_("One reminder"),
    "many": N_("Several reminders"),
    "unknown": N_("Unknown"),
}
FACES = ("blue", "green", "teal", "violet", "amber", "rose")
MAX_REMINDERS = 10  # in words, of one kind of event; a portal may return hundreds


@dataclass(frozen=True)
class ReminderColumn:
    """The reminders for one kind of event: "15 minutes before and 1 hour before", or "none"."""

    title: str
    lead: str  # the title and what separates it from the reminders
    reminders: str


@dataclass(frozen=True)
class TeamRowText:
    """The texts of one person's row; empty where unknown."""

    name: str
    position: str
    photo: str
    initials: str
    face: str  # the color behind the initials
    view: str
    hours: str
    city: str
    time: str
    offset: str  # from the user's clock: "+2 h", empty if there is none
    source: str  # of an assumed zone and of assumed hours
    reminders: tuple[ReminderColumn, ...]
    state: str
    tone: str
    problem: str
    as_of: str


def team_row_text(row: TeamRow, now: datetime, user_zone: tzinfo) -> TeamRowText:
    """Return the texts of a person's row."""
    # For people who never opened the application, the state says everything.
    problem = row.problem if row.state != "never" else None
    return TeamRowText(
        name=row.name,
        position=row.position,
        photo=row.photo if row.photo.startswith("https://") else "",
        face=FACES[row.user_id % len(FACES)],
        initials="".join(word[0] for word in strip_control_characters(row.name).split()[:2]).upper(),
        view=labels.view(row.view),
        hours=filters.hours(row.span) if row.span else "",
        city=filters.zone_city(row.zone) if row.zone else "",
        time=filters.time_in(now, row.zone) if row.zone else "",
        offset=_offset(row.zone, now, user_zone),
        source=_source(row),
        reminders=_reminder_columns(row.reminders, current()),
        state=state(row.state),
        tone=STATE_TONES[row.state],
        problem=error_label(problem) if problem else "",
        as_of=filters.time_or_date(row.as_of, now, user_zone) if row.as_of else "",
    )


def _offset(zone: str, now: datetime, user_zone: tzinfo) -> str:
    seconds = offset_at(now, zone_info(zone)) - offset_at(now, user_zone) if zone else 0
    return filters.hours_apart(seconds)


def _source(row: TeamRow) -> str:
    # Translators: where an assumed time zone, and assumed working hours, come from.
    zone = _("Time zone from profile") if row.zone_source == "profile" else ""
    hours = _("Company hours") if row.hours_source == "account" else ""
    if not row.zone:
        return _("No time zone in the profile") if row.state == "never" else ""
    return " · ".join(filter(None, (zone, hours)))


# Most people have the same few reminders, and a page shows fifty people.
@lru_cache(maxsize=1024)
def _reminder_columns(encoded: str, language: Language) -> tuple[ReminderColumn, ...]:
    reminders = decode_reminders(encoded)
    columns = ((_("Timed events"), reminders.timed), (_("All-day events"), reminders.all_day))
    return tuple(_reminder_column(title, entries) for title, entries in columns if entries is not None)


def _reminder_column(title: str, entries: tuple[Reminder, ...]) -> ReminderColumn:
    # Translators: a name before its value, as your language puts a colon.
    lead = _("%(kind)s:") % {"kind": title}
    # Translators: no reminders at all.
    text = filters.join_words(_reminder_words(entries)) or pgettext("reminders", "none")
    return ReminderColumn(title, lead, text)


def _reminder_words(entries: tuple[Reminder, ...]) -> Iterator[str]:
    yield from map(filters.reminder, entries[:MAX_REMINDERS])
    if (more := len(entries) - MAX_REMINDERS) > 0:
        yield ngettext("%(count)s more", "%(count)s more", more) % {"count": number(more)}


def reminder_text(encoded: str) -> str:
    """Return all reminders in one line: "Timed events: 1 hour before; All-day events: none"."""
    columns = [
        _("%(kind)s: %(reminders)s") % {"kind": column.title, "reminders": column.reminders}
        for column in _reminder_columns(encoded, current())
    ]
    return reduce(_both, columns) if columns else ""


def _both(one: str, other: str) -> str:
    # Translators: two statements about one person's reminders in one line.
    return _("%(one)s; %(other)s") % {"one": one, "other": other}


def state(name: str) -> str:
    """Return the label of a connection state."""
    return _(STATES[name])
