"""Typed values to words: the filters templates use."""

from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from functools import lru_cache
from itertools import chain, zip_longest
from zoneinfo import ZoneInfo

from babel import Locale, lists
from babel.core import get_global
from babel.dates import (
    format_date,
    format_skeleton,
    format_time,
    get_datetime_format,
    get_day_names,
    get_timezone_location,
    get_timezone_name,
)
from jinja2 import Environment
from markupsafe import Markup

from dashboard.calendar.holidays import WEEKDAY_CODES
from dashboard.calendar.reminders import Before, DayBefore, OnDate, Reminder
from dashboard.calendar.working_hours import DAY, Span, minutes_to_clock
from dashboard.core.json_values import Json, compact, printable, without_controls
from dashboard.web.i18n.translations import _, current, ngettext, number, pgettext
from dashboard.web.presenters import labels, reminder_timeline

# Longer values are cut on the page; `data-value` keeps them whole.
_FORMATTED_ZONES = 200


def hours(span: Span) -> str:
    """Return "09:00 – 19:00"."""
    return _("%(start)s – %(end)s") % {
        "start": minutes_to_clock(span.start),
        "end": minutes_to_clock(span.end),
    }


def duration(minutes: int) -> str:
    """Return "10 h" or "8 h 30 min"."""
    whole, rest = divmod(minutes, 60)
    if not rest:
        return _("%(hours)s h") % {"hours": whole}
    return _("%(hours)s h %(minutes)s min") % {"hours": whole, "minutes": rest}


def reminder(value: Reminder) -> str:
    """Return when it reminds: "15 minutes before", "08:00 the day before"."""
    match value:
        case Before():
            return _before(value)
        case DayBefore():
            return _day_before(value)
        case OnDate():
            return _("Once, at %(moment)s") % {"moment": printable(value.text)} if value.text else _("On a fixed date")
    return _("Unrecognized reminder") if value.raw is None else format_zone(value.raw)


def _before(value: Before) -> str:
    if value.count == 0:
        return _("At the start")
    minutes = value.count * {"min": 1, "hour": 60, "day": DAY}[value.unit]
    if minutes % DAY == 0:
        days = minutes // DAY
        return ngettext("%(num)s day before", "%(num)s days before", days) % {"num": number(days)}
    if minutes % 60 == 0:
        hours = minutes // 60
        return ngettext("%(num)s hour before", "%(num)s hours before", hours) % {"num": number(hours)}
    return ngettext("%(num)s minute before", "%(num)s minutes before", minutes) % {"num": number(minutes)}


def _day_before(value: DayBefore) -> str:
    time = minutes_to_clock(value.minutes)
    if value.days == 0:
        return _("%(time)s on the day") % {"time": time}
    if value.days == 1:
        return _("%(time)s the day before") % {"time": time}
    words = ngettext("%(time)s, %(num)s day before", "%(time)s, %(num)s days before", value.days)
    return words % {"time": time, "num": number(value.days)}


def offset(seconds: int) -> str:
    """Return "UTC+05:45"."""
    hour, rest = divmod(abs(seconds), 3600)
    minute, second = divmod(rest, 60)
    text = f"UTC{'-' if seconds < 0 else '+'}{hour:02}:{minute:02}"
    return f"{text}:{second:02}" if second else text


def offset_now(now: datetime, tz: tzinfo) -> int:
    """Return the seconds a zone is ahead of UTC at a moment."""
    ahead = now.astimezone(tz).utcoffset()
    return int(ahead.total_seconds()) if ahead else 0


def clock_attributes(now: datetime, tz: tzinfo) -> dict[str, str]:
    """Return what the script needs to keep a clock right: the zone's offset, and its name if it has one."""
    named = {"data-zone": tz.key} if isinstance(tz, ZoneInfo) else {}
    return named | {"data-offset": str(offset_now(now, tz))}


def time_in(moment: datetime, tz: tzinfo) -> str:
    """Return the moment's time in a zone, "14:05" in every language."""
    return format_time(moment.astimezone(tz), "HH:mm", locale=current().locale)


def minutes_in(moment: datetime, tz: tzinfo) -> int:
    """Return the moment's minute of the day in a zone."""
    local = moment.astimezone(tz)
    return local.hour * 60 + local.minute


def day_in(moment: datetime, tz: tzinfo) -> str:
    """Return the moment's day in a zone: "Wed, Mar 5"."""
    return format_skeleton("MMMEd", moment.astimezone(tz), locale=current().locale)


def at_time(moment: datetime, tz: tzinfo) -> str:
    """Return the moment's day and time in a zone: "Wed, Mar 5, 14:05"."""
    joined = str(get_datetime_format("medium", locale=current().locale)).replace("'", "")
    return joined.replace("{1}", day_in(moment, tz)).replace("{0}", time_in(moment, tz))


def second_in(moment: datetime, tz: tzinfo) -> str:
    """Return the moment's time to the second, "14:05:09" in every language."""
    return f"{moment.astimezone(tz):%H:%M:%S}"


def day_long(moment: datetime, tz: tzinfo) -> str:
    """Return the moment's day in a zone with its year: "March 5, 2025"."""
    return format_date(moment.astimezone(tz), "long", locale=current().locale)


def as_of(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "as of 14:05", with the date when it was another day."""
    then, today = moment.astimezone(tz), now.astimezone(tz)
    time = time_in(moment, tz)
    if then.date() == today.date():
        return _("updated at %(time)s") % {"time": time}
    skeleton = "MMMd" if then.year == today.year else "yMMMd"
    date = format_skeleton(skeleton, then, locale=current().locale)
    return _("updated %(date)s, %(time)s") % {"date": date, "time": time}


def at_moment(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return when something happened: "14:05", or "14:05, Mar 5" when it was another day."""
    then, today = moment.astimezone(tz), now.astimezone(tz)
    if then.date() == today.date():
        return time_in(moment, tz)
    date = _date("MMMd" if then.year == today.year else "yMMMd", then.date(), current().locale)
    # Translators: when something happened; put the two into the order that your language prefers.
    return pgettext("moment", "%(time)s, %(date)s") % {"time": time_in(moment, tz), "date": date}


def short_moment(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "14:05", or the date alone when it was another day."""
    then, today = moment.astimezone(tz), now.astimezone(tz)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return _date("MMMd" if then.year == today.year else "yMMMd", then.date(), current().locale)


def week_day(day: date) -> str:
    """Return "Wed"."""
    return _date("E", day, current().locale)


def month_day(day: date) -> str:
    """Return "Mar 5"."""
    return _date("MMMd", day, current().locale)


def day_number(day: date) -> str:
    """Return "5"."""
    return _date("d", day, current().locale)


def whole_day(day: date) -> str:
    """Return "Wednesday, March 5, 2025"."""
    return format_date(day, "full", locale=current().locale)


# A table has a hundred dates and zones, and most are the same few.
@lru_cache(maxsize=1024)
def _date(skeleton: str, day: date, locale: Locale) -> str:
    return format_skeleton(skeleton, day, locale=locale)


def zone_city(name: str) -> str:
    """Return the place a zone is named after: "Kyiv" for Europe/Kiev."""
    return _city(name, current().locale)


@lru_cache(maxsize=1024)
def _city(name: str, locale: Locale) -> str:
    for known in (name, *_OLDER_NAMES.get(get_global("zone_aliases").get(name, name), ())):
        if city := locale.time_zones.get(known, {}).get("city"):
            return str(city)
    return get_timezone_location(name, locale=locale, return_city=True)


def _older_names() -> dict[str, list[str]]:
    """Return what zones were called before: Babel's words for Kyiv are under Kiev, where it does not look."""
    older: dict[str, list[str]] = {}
    for name, now in get_global("zone_aliases").items():
        older.setdefault(now, []).append(name)
    return older


_OLDER_NAMES = _older_names()


def zone_title(name: str) -> str:
    """Return what the zone's time is called: "Central European Time"."""
    return get_timezone_name(name, locale=current().locale)


def weekday(code: str) -> str:
    """Return "Saturday" for "SA", and a code nobody knows as it came."""
    if code not in WEEKDAY_CODES:
        return printable(code)
    names = get_day_names("wide", context="stand-alone", locale=current().locale)
    return str(names[WEEKDAY_CODES.index(code)])


def join_words(words: Iterable[str]) -> str:
    """Return "one, two, and three" as the language writes it; of pieces of a page, a piece of a page."""
    found = list(words)
    if any(isinstance(word, Markup) for word in found):
        between = lists.format_list(["\0"] * len(found), locale=current().locale).split("\0")
        return Markup().join(chain.from_iterable(zip_longest(between, found, fillvalue="")))
    return lists.format_list(found, locale=current().locale)


def format_zone(value: Json) -> str:
    """Return a value nobody can read as it came: text bare, the rest as JSON, cut when very long."""
    text = printable(value) if isinstance(value, str) and value.strip() else compact(value)
    return text if len(text) <= _FORMATTED_ZONES else text[: _FORMATTED_ZONES - 1] + "…"


def bdi(text: str) -> Markup:
    """Return a text of somebody else's, apart from what surrounds it: it may run the other way.

    Every name, position, calendar, raw value and code on a page stands in one of these.
    """
    return Markup("<bdi>%s</bdi>") % without_controls(text)


FILTERS = {
    "as_of": as_of,
    "at_moment": at_moment,
    "at_time": at_time,
    "bdi": bdi,
    "clock": minutes_to_clock,
    "clock_attributes": clock_attributes,
    "compact": compact,
    "day_in": day_in,
    "day_long": day_long,
    "day_number": day_number,
    "duration": duration,
    "hours": hours,
    "listed": join_words,
    "minutes_in": minutes_in,
    "month_day": month_day,
    "offset": offset,
    "offset_now": offset_now,
    "printable": printable,
    "reminder": reminder,
    "second_in": second_in,
    "short_moment": short_moment,
    "shown": format_zone,
    "time_in": time_in,
    "week_day": week_day,
    "weekday": weekday,
    "whole_day": whole_day,
    "zone_city": zone_city,
    "zone_title": zone_title,
}


def install(env: Environment) -> None:
    """Give the templates these filters, and what settings and failures are called."""
    env.filters.update(FILTERS)
    labels.install(env)
    reminder_timeline.install(env)
