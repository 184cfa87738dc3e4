"""A row of the team in words, the same ones on the page and in the table that is exported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache, reduce
from zoneinfo import ZoneInfo

from jinja2 import Environment

from dashboard.calendar.encoding import decode_reminders
from dashboard.calendar.reminders import Reminder, Reminders
from dashboard.calendar.working_hours import Span, minutes_to_clock
from dashboard.core.json_values import printable, without_controls
from dashboard.team.availability import Band
from dashboard.team.listing import TeamRow
from dashboard.web.errors.responses import error_label
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
        reminders=reminder_columns(decode_reminders(member.reminders)),
        state=state(member.state),
        tone=STATE_TONES[member.state],
        problem=error_label(problem) if problem else "",
        as_of=filters.short_moment(member.as_of, now, clock) if member.as_of else "",
    )


def reminder_columns(reminders: Reminders) -> tuple[ReminderColumn, ...]:
    """Return a person's reminders in words, one column for each kind of event."""
    return _reminder_columns(reminders, current())


# Most people have the same few, and a page of the team shows fifty of them.
@lru_cache(maxsize=1024)
def _reminder_columns(reminders: Reminders, language: Language) -> tuple[ReminderColumn, ...]:
    columns = (("timed", reminders.timed), ("day", reminders.all_day))
    return tuple(_reminder_column(kind, entries) for kind, entries in columns if entries is not None)


def _reminder_column(kind: str, entries: tuple[Reminder, ...]) -> ReminderColumn:
    title = _(REMINDER_COLUMNS[kind])
    # Translators: a name before its value, as your language puts a colon.
    lead = _("%(kind)s:") % {"kind": title}
    # Translators: no reminders at all.
    words = filters.join_words(map(filters.reminder, entries)) or pgettext("reminders", "none")
    return ReminderColumn(title, lead, words)


def reminders(member: TeamRow) -> str:
    """Return all of a person's reminders in one line: "Timed events: 1 hour before; All-day events: none"."""
    return reminder_text(decode_reminders(member.reminders))


def reminder_text(reminders: Reminders) -> str:
    """Return reminders in one line."""
    told = [
        _("%(kind)s: %(reminders)s") % {"kind": half.title, "reminders": half.reminders}
        for half in reminder_columns(reminders)
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
