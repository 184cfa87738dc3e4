"""Describe a row of the team in words, the same on the page and in the exported table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache, reduce

from dashboard.bitrix24.users import PHOTO_ADDRESSES
from dashboard.calendar.encoding import decode_reminders
from dashboard.calendar.reminders import Reminder
from dashboard.calendar.time_zones import offset_at, parse_zone_name, same_clock, zone_info
from dashboard.core.json_values import strip_control_characters
from dashboard.team.listing import TeamRow
from dashboard.team.plan_people import PlanPerson
from dashboard.web.errors.responses import error_label
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import N_, Language, _, current, pgettext
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.page_context import PROFILE_PATH

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
RECENT_MOVE = timedelta(days=30)  # how long a change of the time zone is mentioned
CHAT_PATH = "/online/?IM_DIALOG=%s"


@dataclass(frozen=True)
class ListContext:
    """What the rows of a list depend on: when and by whom it is read, and the departments' names."""

    now: datetime
    user_zone: tzinfo
    user_id: int = 0  # the reader's
    origin: str = ""  # the portal's
    department_names: Mapping[int, str] | None = None


@dataclass(frozen=True)
class ReminderColumn:
    """The reminders for one kind of event: "15 minutes before and 1 hour before", or "none"."""

    title: str
    lead: str  # the title and what separates it from the reminders
    reminders: str


@dataclass(frozen=True)
class TeamRowText:
    """The texts of one person's row; empty where unknown."""

    user_id: int
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
    sources: tuple[str, ...]  # of an assumed zone and of assumed hours
    reminders: tuple[ReminderColumn, ...]
    state: str
    tone: str
    problem: str
    departments: str
    details: tuple[tuple[str, str], ...]  # more about the person, as names and values
    is_reader: bool
    profile_path: str  # in the portal
    chat_path: str  # empty unless somebody has reason to write to this person


def team_row_text(row: TeamRow, context: ListContext) -> TeamRowText:
    """Return the texts of a person's row."""
    # For people who never opened the application, the state says everything.
    problem = row.problem if row.state != "never" else None
    now = context.now
    return TeamRowText(
        user_id=row.user_id,
        **portrait(row),
        position=row.position,
        view=labels.view(row.view),
        hours=filters.hours(row.span) if row.span else "",
        city=filters.zone_city(row.zone) if row.zone else "",
        time=filters.time_in(now, row.zone) if row.zone else "",
        offset=_offset(row.zone, now, context.user_zone),
        sources=tuple(_sources(row)),
        reminders=_reminder_columns(row.reminders, current()),
        state=state(row.state),
        tone=STATE_TONES[row.state],
        problem=error_label(problem) if problem else "",
        departments=department_names(row, context.department_names or {}),
        details=tuple(_details(row, context)),
        is_reader=row.user_id == context.user_id,
        profile_path=PROFILE_PATH % row.user_id,
        chat_path=CHAT_PATH % row.user_id if row.state in ("never", "reconnect") else "",
    )


def portrait(person: TeamRow | PlanPerson) -> dict[str, str]:
    """Return the person's name, picture, initials, and the color behind those."""
    name = labels.person_name(person.name, person.user_id)
    return {
        "name": name,
        "photo": person.photo if person.photo.startswith(_photo_addresses()) else "",
        "initials": "".join(word[0] for word in strip_control_characters(name).split()[:2]).upper(),
        "face": FACES[person.user_id % len(FACES)],
    }


def _photo_addresses() -> tuple[str, ...]:
    """Return how the addresses of photos begin: https alone, except in development on this machine."""
    return PHOTO_ADDRESSES if services().config.trust_loopback else PHOTO_ADDRESSES[:1]


def department_names(row: TeamRow, names: Mapping[int, str]) -> str:
    """Return the names of a person's departments in one line."""
    return filters.comma().join(names[number] for number in row.departments if number in names)


def _details(row: TeamRow, context: ListContext) -> Iterator[tuple[str, str]]:
    """Yield what the row has no room for, or shows on wide screens only."""
    if row.zone:
        place = f"{filters.zone_city(row.zone)}, {filters.offset(offset_at(context.now, zone_info(row.zone)))}"
        yield _("Time zone"), _joined(place, zone_reason(row, context))
    if row.span:
        source = _("Own hours") if row.hours_source == "person" else _("Company hours")
        yield _("Working hours"), _joined(filters.hours(row.span), source)
    if row.view:
        yield _("View"), labels.view(row.view)
    for column in _reminder_columns(row.reminders, current()):
        yield column.title, column.reminders
    if names := department_names(row, context.department_names or {}):
        yield _("Department"), names
    if row.as_of:
        yield _("Updated"), filters.time_or_date(row.as_of, context.now, context.user_zone)


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def zone_reason(row: TeamRow, context: ListContext) -> str:
    """Return why this time zone is believed to be the person's."""
    changed_at = row.zone_changed_at
    previous = parse_zone_name(row.previous_zone)
    is_recent = changed_at is not None and context.now - changed_at < RECENT_MOVE
    if previous and changed_at and is_recent and not same_clock(previous.name, row.zone, context.now):
        day = filters.recent_day(changed_at, context.now, context.user_zone)
        # Translators: the person's time zone has changed; the day is "Monday" or "Mar 5".
        return _("Moved from %(city)s · %(day)s") % {"city": filters.zone_city(previous.name), "day": day}
    if row.zone_source == "calendar":
        return _("Time zone from calendar")
    if row.calendar_zone and not same_clock(row.calendar_zone, row.zone, context.now):
        city = filters.zone_city(row.calendar_zone)
        return _("Time zone from profile; the calendar's, %(city)s, is out of date or a guess") % {"city": city}
    return _("Time zone from profile")


def _offset(zone: str, now: datetime, user_zone: tzinfo) -> str:
    seconds = offset_at(now, zone_info(zone)) - offset_at(now, user_zone) if zone else 0
    return filters.hours_apart(seconds)


def _sources(row: TeamRow) -> Iterator[str]:
    if row.zone_source == "profile":
        # Translators: where an assumed time zone, and assumed working hours, come from.
        yield _("Time zone from profile")
    if row.zone and row.hours_source == "account":
        yield _("Company hours")
    if not row.zone and row.state == "never":
        yield _("No time zone in the profile")


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
    text = filters.join_words(filters.reminder_words(entries)) or pgettext("reminders", "none")
    return ReminderColumn(title, lead, text)


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
