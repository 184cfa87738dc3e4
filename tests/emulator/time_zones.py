"""The guess of a time zone from an offset (calendar/classes/general/calendar.php, GetGoodTimezoneForOffset)."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from .people import offset_of

RUSSIAN_CITIES = (
    *("Kaliningrad", "Moscow", "Samara", "Yekaterinburg", "Novosibirsk"),
    *("Krasnoyarsk", "Irkutsk", "Yakutsk", "Vladivostok"),
)


@cache
def zones() -> tuple[str, ...]:
    """Return PHP's list of zones, by name."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text().splitlines()
    return tuple(sorted(line.split("\t")[2] for line in lines if not line.startswith("#")))


def guess_zone(offset: int, *, at: datetime, in_russian: bool = False) -> str:
    """Return the first zone in Europe with this offset (in Russian: the first of nine cities), else the first one."""
    names = [name for name in zones() if offset_of(name, at=at) == offset]
    wanted = RUSSIAN_CITIES if in_russian else ("Europe",)
    return next((name for name in names if any(part in name for part in wanted)), names[0] if names else "UTC")


def guessed_settings(profile_zone: str, *, now: float, lang: str) -> dict[str, object]:
    """Return what the settings say of a person whose time zone is only in the profile."""
    at = datetime.fromtimestamp(now, UTC)
    offset = offset_of(profile_zone, at=at)
    guess = guess_zone(offset, at=at, in_russian=lang == "ru")
    return {"timezoneName": guess, "timezoneOffsetUTC": offset}
