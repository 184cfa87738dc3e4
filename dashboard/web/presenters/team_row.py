"""A row of the team in words, the same ones on the page and in the table that is exported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache, reduce
from zoneinfo import ZoneInfo

from jinja2 import Environment

from dashboard.calendar.reminders import Before, DayBefore, Reminder, Unit
from dashboard.calendar.working_hours import Span, minutes_to_clock
from dashboard.core.json_values import printable, without_controls
from dashboard.team.availability import Band
from dashboard.team.listing import TeamRow
from dashboard.web.errors import error_labels
from dashboard.web.i18n.translations import N_, Language, _, current, pgettext
from dashboard.web.presenters import filters, labels

STATES = {
    "connected": N_("Confirmed"),
    "stale": N_("Out of date"),
    "reconnect": N_("Needs to reconnect"),
    "never": N_("Not opened yet"),
}
# What colour a state's pill has.
STATE_TONES = {"connected": "good", "stale": "warning", "reconnect": "alert", "never": "quiet"}
REMINDER_COLUMNS = {"timed": N_("Timed events"), "day": N_("All-day events")}
REMINDERS = {
    "none": N_("No reminders"),
    "one": N_("One reminder"),
    "many": N_("Several reminders"),
    "unknown": N_("Unknown"),
}

_UNITS: dict[str, Unit] = {"min": "min", "hour": "hour", "day": "day"}
_BEFORE = re.compile(r"([0-9]{1,9})(min|hour|day)")
_DAY_BEFORE = re.compile(r"([0-9]{1,9})d@([0-9]{2}):([0-9]{2})")


@dataclass(frozen=True)
class ReminderColumn:
    """The reminders of one kind of event in words: "15 minutes before and 1 hour before", or "none"."""

    title: str
    lead: str  # the title with what stands before the reminders
    reminders: str


@dataclass(frozen=True)
class TeamRowText:
    """What the team's table prints of a person; empty where it is not known."""

    name: str
    position: str
    photo: str
    initials: str
    view: str
    hours: str
    city: str
    time: str
    reminders: tuple[ReminderColumn, ...]
    state: str
    tone: str
    problem: str
    as_of: str


def team_row_text(member: TeamRow, now: datetime, clock: tzinfo) -> TeamRowText:
    """Return a person's row in words."""
    # Whoever never opened the application has no problem: the state says it all.
    problem = member.problem if member.state != "never" else None
    return TeamRowText(
        name=member.name,
        position=member.position,
        photo=photo(member),
        initials=initials(member.name),
        view=view(member.view) if member.view else "",
        hours=filters.hours(member.span) if member.span else "",
        city=filters.zone_city(member.zone) if member.zone else "",
        time=time_there(now, member.zone) if member.zone else "",
        reminders=reminder_columns(member.reminders),
        state=state(member.state),
        tone=STATE_TONES[member.state],
        problem=error_labels.error_label(problem) if problem else "",
        as_of=filters.short_moment(member.as_of, now, clock) if member.as_of else "",
    )


def reminder_columns(text: str) -> tuple[ReminderColumn, ...]:
    """Return a person's reminders in words, from the text they are stored as."""
    return _reminder_columns(text, current())


# Most people have the same few, and a page of the team asks fifty times.
@lru_cache(maxsize=1024)
def _reminder_columns(text: str, language: Language) -> tuple[ReminderColumn, ...]:
    return tuple(_reminder_column(*half.partition(":")) for half in filter(None, text.split(";")))


def _reminder_column(name: str, _colon: str, entries: str) -> ReminderColumn:
    title = _(REMINDER_COLUMNS[name]) if name in REMINDER_COLUMNS else printable(name)
    # Translators: a name before its value, as your language puts a colon.
    lead = _("%(kind)s:") % {"kind": title}
    if entries == "none":
        # Translators: no reminders at all.
        return ReminderColumn(title, lead, pgettext("reminders", "none"))
    return ReminderColumn(title, lead, filters.join_words(_words(entry) for entry in entries.split(",")))


def _words(entry: str) -> str:
    reminder = _read(entry)
    if reminder is not None:
        return filters.reminder(reminder)
    return _("On a fixed date") if entry == "date" else _("Unrecognized reminder")


@lru_cache(maxsize=1024)
def _read(entry: str) -> Reminder | None:
    if match := _BEFORE.fullmatch(entry):
        return Before(_UNITS[match[2]], int(match[1]))
    match = _DAY_BEFORE.fullmatch(entry)
    return DayBefore(int(match[1]), int(match[2]) * 60 + int(match[3])) if match else None


def reminders(member: TeamRow) -> str:
    """Return all of a person's reminders in one line: "Timed events: 1 hour before; All-day events: none"."""
    return reminder_text(member.reminders)


def reminder_text(text: str) -> str:
    """Return reminders in one line, from the text they are stored as."""
    told = [
        _("%(kind)s: %(reminders)s") % {"kind": half.title, "reminders": half.reminders}
        for half in reminder_columns(text)
    ]
    return reduce(_both, told) if told else ""


def _both(one: str, other: str) -> str:
    # Translators: two statements about one person's reminders in one line.
    return _("%(one)s; %(other)s") % {"one": one, "other": other}


def hours(member: TeamRow) -> str:
    """Return "09:00-18:00", empty when unknown."""
    return f"{minutes_to_clock(member.span.start)}-{minutes_to_clock(member.span.end)}" if member.span else ""


def view(name: str) -> str:
    """Return what a view is called; one nobody knows is called what the portal calls it."""
    return labels.view(name) if name in labels.VIEWS else printable(name)


def initials(name: str) -> str:
    """Return what stands in for a photo: the first letters of the first two words."""
    return "".join(word[0] for word in without_controls(name).split()[:2]).upper()


def photo(member: TeamRow) -> str:
    """Return the address of a photo that the page may load, empty where there is none."""
    return member.photo if member.photo.startswith("https://") else ""


def time_there(now: datetime, zone: str) -> str:
    """Return the time in a zone, "14:05"."""
    return f"{now.astimezone(ZoneInfo(zone)):%H:%M}"


def band(band: Band) -> str:
    """Return a part of a day, "09:00 – 18:00"."""
    return filters.hours(Span(*band))


def state(name: str) -> str:
    return _(STATES[name])


def install(env: Environment) -> None:
    """Give the templates these words."""
    env.filters.update(
        band=band,
        member_hours=hours,
        member_state=state,
        row_text=team_row_text,
        state_tone=STATE_TONES.__getitem__,
        time_there=time_there,
    )
