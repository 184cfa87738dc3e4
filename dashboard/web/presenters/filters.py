"""Format values in the user's language: times, dates, time zones, hours, reminders, and lists of words."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, lists
from babel.core import get_global
from babel.dates import (
    format_date,
    format_skeleton,
    get_datetime_format,
    get_day_names,
    get_timezone_location,
    get_timezone_name,
)
from markupsafe import Markup, escape

from dashboard.calendar.holidays import WEEKDAY_CODES
from dashboard.calendar.reminders import AtTimeOfDay, Before, OnDate, Reminder
from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.calendar.working_hours import DAY, Span, minutes_to_clock
from dashboard.core.json_values import Json, compact_json, escape_surrogates, strip_control_characters
from dashboard.web.i18n.translations import _, current, ngettext, number, pgettext

# Longer values are cut on the page; `data-value` has them in full.
MAX_RAW_LENGTH = 200
MAX_REMINDERS = 10  # in words, of one kind of event; Bitrix24 stores thousands


def hours(span: Span) -> str:
    """Return "09:00 – 19:00"."""
    return band((span.start, span.end))


def band(minutes: tuple[int, int]) -> str:
    """Return a part of a day: "09:00 – 18:00"."""
    start, end = map(minutes_to_clock, minutes)
    return _("%(start)s – %(end)s") % {"start": start, "end": end}


def duration(minutes: int) -> str:
    """Return "10 h" or "8 h 30 min"."""
    whole_hours, more_minutes = divmod(minutes, 60)
    if not more_minutes:
        return _("%(hours)s h") % {"hours": whole_hours}
    return _("%(hours)s h %(minutes)s min") % {"hours": whole_hours, "minutes": more_minutes}


def hours_apart(seconds: int) -> str:
    """Return how far one clock is from another: "+2 h", "−3:30 h", and nothing for the same clock."""
    if not seconds:
        return ""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    clock = f"{hours}:{minutes:02}" if minutes else str(hours)
    return _("%(hours)s h") % {"hours": f"{'−' if seconds < 0 else '+'}{clock}"}


def reminder(value: Reminder) -> str:
    """Return when a reminder appears: "15 minutes before", "08:00 the day before"."""
    match value:
        case Before():
            return _before(value.minutes)
        case AtTimeOfDay():
            return _day_before(value)
        case OnDate():
            return (
                _("Once, at %(moment)s") % {"moment": escape_surrogates(value.text)}
                if value.text
                else _("On a fixed date")
            )
    return _("Unrecognized reminder") if value.raw is None else raw_text(value.raw)


def reminder_words(entries: Sequence[Reminder]) -> list[str]:
    """Return the first reminders of one kind of event, and how many more there are."""
    words = [reminder(entry) for entry in entries[:MAX_REMINDERS]]
    return [*words, more_reminders(entries)] if len(entries) > MAX_REMINDERS else words


def more_reminders(entries: Sequence[Reminder]) -> str:
    """Return how many reminders there are beyond the first."""
    more = len(entries) - MAX_REMINDERS
    return ngettext("%(count)s more", "%(count)s more", more) % {"count": number(more)}


def _before(minutes: int) -> str:
    if minutes == 0:
        return _("At the start")
    if minutes % DAY == 0:
        days = minutes // DAY
        return ngettext("%(num)s day before", "%(num)s days before", days) % {"num": number(days)}
    if minutes % 60 == 0:
        hours = minutes // 60
        return ngettext("%(num)s hour before", "%(num)s hours before", hours) % {"num": number(hours)}
    return ngettext("%(num)s minute before", "%(num)s minutes before", minutes) % {"num": number(minutes)}


def _day_before(value: AtTimeOfDay) -> str:
    time = minutes_to_clock(value.minute_of_day)
    if value.days_before == 0:
        return _("%(time)s on the day") % {"time": time}
    if value.days_before == 1:
        return _("%(time)s the day before") % {"time": time}
    text = ngettext("%(time)s, %(num)s day before", "%(time)s, %(num)s days before", value.days_before)
    return text % {"time": time, "num": number(value.days_before)}


def offset(seconds: int) -> str:
    """Return "UTC+05:45"."""
    minutes, second = divmod(abs(seconds), 60)
    text = f"UTC{'-' if seconds < 0 else '+'}{minutes_to_clock(minutes)}"
    return f"{text}:{second:02}" if second else text


def clock_attributes(now: datetime, tz: tzinfo) -> dict[str, str]:
    """Return the attributes of a clock that the script updates: the zone's offset, and its name if it has one."""
    name = {"data-zone": tz.key} if isinstance(tz, ZoneInfo) else {}
    return name | {"data-offset": str(offset_at(now, tz))}


# A zone's offsets are the same for everybody, and each page has those of two zones.
@lru_cache(maxsize=1024)
def offsets_by_month(zone: str, year: int) -> str:
    """Return a zone's offsets on the first day of each month, for the script to compare; "" without a zone."""
    months = (datetime(year, month, 1, 12, tzinfo=UTC) for month in range(1, 13))
    return " ".join(str(offset_at(moment, zone_info(zone))) for moment in months) if zone else ""


def time_in(moment: datetime, tz: tzinfo | str) -> str:
    """Return "14:05"; all languages of the interface use this format."""
    return f"{moment.astimezone(zone_info(tz) if isinstance(tz, str) else tz):%H:%M}"


def time_with_seconds(moment: datetime, tz: tzinfo) -> str:
    """Return "14:05:09"."""
    return f"{moment.astimezone(tz):%H:%M:%S}"


def minutes_in(moment: datetime, tz: tzinfo) -> int:
    """Return the minute of the day in a zone."""
    local = moment.astimezone(tz)
    return local.hour * 60 + local.minute


def weekday_and_date(moment: datetime, tz: tzinfo) -> str:
    """Return "Wed, Mar 5"."""
    return weekday_and_month_day(moment.astimezone(tz).date())


def weekday_date_and_time(moment: datetime, tz: tzinfo) -> str:
    """Return "Wed, Mar 5, 14:05"."""
    pattern = str(get_datetime_format("medium", locale=current().locale)).replace("'", "")
    return pattern.replace("{1}", weekday_and_date(moment, tz)).replace("{0}", time_in(moment, tz))


def long_date(moment: datetime, tz: tzinfo) -> str:
    """Return "March 5, 2025"."""
    return format_date(moment.astimezone(tz), "long", locale=current().locale)


def updated_at(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "updated at 14:05", with the date if it is not today's."""
    time, other_date = time_in(moment, tz), _date_unless_today(moment, now, tz)
    if not other_date:
        return _("updated at %(time)s") % {"time": time}
    return _("updated %(date)s, %(time)s") % {"date": other_date, "time": time}


def time_and_date(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "14:05", or "14:05, Mar 5" if it was not today."""
    time, other_date = time_in(moment, tz), _date_unless_today(moment, now, tz)
    if not other_date:
        return time
    # Translators: when something happened; put the two into the order that your language prefers.
    return pgettext("moment", "%(time)s, %(date)s") % {"time": time, "date": other_date}


def time_or_date(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "14:05", or "Mar 5" if it was not today."""
    return _date_unless_today(moment, now, tz) or time_in(moment, tz)


def recent_day(moment: datetime, now: datetime, tz: tzinfo) -> str:
    """Return "Monday" for a day of the last week, else "Mar 5"."""
    day, today = moment.astimezone(tz).date(), now.astimezone(tz).date()
    if 0 <= (today - day).days < 7:
        return weekday(WEEKDAY_CODES[day.weekday()])
    return _date("MMMd" if day.year == today.year else "yMMMd", day, current().locale)


def _date_unless_today(moment: datetime, now: datetime, tz: tzinfo) -> str:
    day, today = moment.astimezone(tz).date(), now.astimezone(tz).date()
    if day == today:
        return ""
    return _date("MMMd" if day.year == today.year else "yMMMd", day, current().locale)


def short_weekday(day: date) -> str:
    """Return "Wed"."""
    return _date("E", day, current().locale)


def narrow_weekday(day: date) -> str:
    """Return "W"."""
    return str(get_day_names("narrow", context="stand-alone", locale=current().locale)[day.weekday()])


def short_month(day: date) -> str:
    """Return "Mar"."""
    return _date("MMM", day, current().locale)


def weekday_and_month_day(day: date) -> str:
    """Return "Wed, Mar 5" for a day."""
    return _date("MMMEd", day, current().locale)


def month_day(day: date) -> str:
    """Return "Mar 5"."""
    return _date("MMMd", day, current().locale)


def day_number(day: date) -> str:
    """Return "5"."""
    return _date("d", day, current().locale)


def full_date(day: date) -> str:
    """Return "Wednesday, March 5, 2025"."""
    return format_date(day, "full", locale=current().locale)


# A table has a hundred dates and zones, and most are the same few.
@lru_cache(maxsize=1024)
def _date(skeleton: str, day: date, locale: Locale) -> str:
    return format_skeleton(skeleton, day, locale=locale)


def weekday(code: str) -> str:
    """Return "Saturday" for "SA", and an unknown code as it is."""
    if code not in WEEKDAY_CODES:
        return escape_surrogates(code)
    names = get_day_names("wide", context="stand-alone", locale=current().locale)
    return str(names[WEEKDAY_CODES.index(code)])


def zone_city(name: str) -> str:
    """Return the city or country a zone is named after: "Kyiv" for Europe/Kiev."""
    return _city(name, current().locale)


def zone_order(name: str, now: datetime) -> tuple[int, str]:
    """Return what time zones are sorted by: from west to east, and then by city."""
    return offset_at(now, zone_info(name)), zone_city(name)


# This cache has room for every zone in every language.
@lru_cache(maxsize=8192)
def _city(name: str, locale: Locale) -> str:
    # CLDR has the cities of renamed zones under the old names, where Babel does not look for them.
    aliases = get_global("zone_aliases")
    canonical = aliases.get(name, name)
    for known_name in (name, *(old for old, new in aliases.items() if new == canonical)):
        if city := locale.time_zones.get(known_name, {}).get("city"):
            return str(city)
    return get_timezone_location(name, locale=locale, return_city=True)


def zone_title(name: str) -> str:
    """Return "Central European Time"."""
    return get_timezone_name(name, locale=current().locale)


def join_words(words: Iterable[str]) -> str:
    """Return "one, two, and three" in the user's language; markup among the words makes the result markup."""
    items, locale = list(words), current().locale
    if any(isinstance(item, Markup) for item in items):
        return Markup(lists.format_list([str(escape(item)) for item in items], locale=locale))  # noqa: S704  # escaped
    return lists.format_list(items, locale=locale)


def comma() -> str:
    """Return what stands between two short texts. Babel's lists have an "and", or no comma in some languages."""
    return "، " if current().locale.language == "ar" else ", "


def raw_text(value: Json) -> str:
    """Return an unrecognized value as it came: text without quotes, others as JSON, cut when very long."""
    text = escape_surrogates(value) if isinstance(value, str) and value.strip() else compact_json(value)
    return text if len(text) <= MAX_RAW_LENGTH else text[: MAX_RAW_LENGTH - 1] + "…"


def bdi(text: str) -> Markup:
    """Isolate a text from outside in a ``<bdi>`` element, because its direction may differ from the page's.

    Pages do this with every name, position, calendar, raw value and code.
    """
    return Markup(f"<bdi>{escape(strip_control_characters(text))}</bdi>")  # noqa: S704  # escaped
