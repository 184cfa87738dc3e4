"""Parse a person's time zone from calendar and profile, find where the two disagree, and which one to believe."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from typing import ClassVar, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from dashboard.core.json_values import Json, parse_int

ZoneSource = Literal["calendar", "profile", ""]
# Why one of two different zones is believed. The calendar's was chosen there, guessed by Bitrix24 from the offset, read
# before the profile's changed ("stale"), or is the default of a portal that does not know where people are.
ZoneReason = Literal["", "chosen", "guessed", "stale", "default"]

HALF_YEAR = timedelta(weeks=26)
# For requests in Russian, Bitrix24 guesses these (calendar/classes/general/calendar.php, GetGoodTimezoneForOffset).
RUSSIAN_CITIES = (
    *("Kaliningrad", "Moscow", "Samara", "Yekaterinburg", "Novosibirsk"),
    *("Krasnoyarsk", "Irkutsk", "Yakutsk", "Vladivostok"),
)


@dataclass(frozen=True)
class ZoneName:
    """The name of an existing time zone."""

    name: str


@dataclass(frozen=True)
class Offset:
    """Seconds east of UTC."""

    seconds: int


@dataclass(frozen=True)
class OffsetDisagrees:
    """The offset Bitrix24 reports differs from the zone's offset at that moment, both in seconds."""

    kind: ClassVar = "offset"
    reported_offset: int
    zone_offset: int


@dataclass(frozen=True)
class ProfileDisagrees:
    """The clock of the zone in the person's profile differs from the calendar's."""

    kind: ClassVar = "profile"
    profile: str
    calendar: str


Disagreement: TypeAlias = OffsetDisagrees | ProfileDisagrees


@dataclass(frozen=True)
class BelievedZone:
    """The time zone that a person is believed to be in, by its canonical name; empty if unknown."""

    name: str = ""
    source: ZoneSource = ""
    reason: ZoneReason = ""


@dataclass(frozen=True)
class Zone:
    """A person's time zone by each source; empty or None where the source has none."""

    name: str  # the calendar's
    offset: int | None  # in seconds, reported beside the calendar's
    profile: str
    disagreements: tuple[Disagreement, ...] = ()
    believed: BelievedZone = BelievedZone()

    def tz(self) -> tzinfo:
        """Return the believed zone, else the reported offset, else UTC."""
        if self.believed.name:
            return zone_info(self.believed.name)
        return UTC if self.offset is None else timezone(timedelta(seconds=self.offset))

    @property
    def is_known(self) -> bool:
        """Tell whether any source has a time zone."""
        return bool(self.believed.name) or self.offset is not None


@cache
def _names() -> frozenset[str]:
    # ZoneInfo opens a file of that name, so names such as "../../etc/passwd" must not reach it.
    return frozenset(available_timezones())


@cache
def _places() -> tuple[str, ...]:
    """Return the zones of zone.tab, which is PHP's list too: those that name a place of today."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text().splitlines()
    return tuple(sorted(line.split("\t")[2] for line in lines if not line.startswith("#")))


@cache
def _new_names() -> dict[str, str]:
    """Return the current name of each zone that was renamed."""
    lines = (files("tzdata") / "zoneinfo" / "tzdata.zi").read_text().splitlines()
    links = {name: target for _, target, name in (line.split() for line in lines if line.startswith("L "))}
    # IANA also links places whose clocks have agreed since 1970. Oslo is not another name of Berlin.
    new_names = {name: target for name, target in links.items() if name not in _places()}
    # PHP has UTC in place of Etc/UTC.
    utc_names = {"Etc/UTC", *(name for name, target in new_names.items() if target == "Etc/UTC")}
    return {**new_names, **dict.fromkeys(utc_names, "UTC")}


def canonical_name(zone: str) -> str:
    """Return the current name of a zone: Europe/Kyiv for Europe/Kiev."""
    return _new_names().get(zone, zone)


def parse_zone_name(value: Json) -> ZoneName | None:
    """Return the zone, or None when there is no zone of this name."""
    return ZoneName(value) if isinstance(value, str) and value in _names() else None


def parse_offset(value: Json) -> Offset | None:
    """Return the offset, or None when the value is not a number below one day."""
    seconds = parse_int(value)
    return Offset(seconds) if seconds is not None and abs(seconds) < 86400 else None


def find_zone(
    person: dict[str, Json],
    profile_time_zone: str | None,
    at: datetime,
    *,
    profile_changed_at: datetime | None = None,
    language: str = "",
) -> Zone:
    """Return the zones of the calendar and the profile, where they disagree, and which one to believe.

    :param at: when the calendar's was read.
    :param language: the person's, because Bitrix24 guesses other zones in Russian.
    """
    name = parse_zone_name(person.get("timezoneName"))
    offset = parse_offset(person.get("timezoneOffsetUTC"))
    profile = parse_zone_name(profile_time_zone)
    disagreements: list[Disagreement] = []
    if name and offset and offset.seconds != (expected := offset_at(at, zone_info(name.name))):
        disagreements.append(OffsetDisagrees(reported_offset=offset.seconds, zone_offset=expected))
    if name and profile and not same_clock(profile.name, name.name, at):
        disagreements.append(ProfileDisagrees(profile=profile.name, calendar=name.name))
    return Zone(
        name=name.name if name else "",
        offset=offset.seconds if offset else None,
        profile=profile.name if profile else "",
        disagreements=tuple(disagreements),
        believed=believe(
            name.name if name else "",
            profile.name if profile else "",
            reported_offset=offset.seconds if offset else None,
            at=at,
            language=language,
            is_stale=profile_changed_at is not None and profile_changed_at > at,
        ),
    )


def believe(
    calendar: str,
    profile: str,
    *,
    reported_offset: int | None,
    at: datetime,
    language: str = "",
    is_stale: bool = False,
) -> BelievedZone:
    """Return which of a person's zones to believe.

    :param reported_offset: the seconds that Bitrix24 returned beside the calendar's zone at that moment.
    """
    calendar, profile = canonical_name(calendar), canonical_name(profile)
    if not calendar or not profile or calendar == profile:
        source: ZoneSource = "calendar" if calendar else "profile" if profile else ""
        return BelievedZone(calendar or profile, source)
    if is_stale:
        return BelievedZone(profile, "profile", "stale")
    if reason := _doubt(calendar, profile, reported_offset=reported_offset, at=at, language=language):
        return BelievedZone(profile, "profile", reason)
    return BelievedZone(calendar, "calendar", "chosen")


def _doubt(calendar: str, profile: str, *, reported_offset: int | None, at: datetime, language: str) -> ZoneReason:
    """Return why the calendar's zone is probably not the person's choice, "" if it is."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    calendar_offset, profile_offset = (offset_at(hour, zone_info(zone)) for zone in (calendar, profile))
    offset = calendar_offset if reported_offset is None else reported_offset
    if calendar in guessed_names(offset, hour, language):
        return "guessed"
    if calendar_offset != offset:
        # Saving the calendar's settings saves a guess, which is then returned whenever the offset is the same.
        return "guessed" if calendar in guessed_names(offset, hour - HALF_YEAR, language) else ""
    # Before main 25.600, automatic time zones were in a cookie. REST calls got the portal's zone and offset.
    return "default" if reported_offset is not None and profile_offset != offset else ""


@lru_cache(maxsize=4096)
def guessed_names(offset: int, at: datetime, language: str) -> frozenset[str]:
    """Return the canonical names of the zones that Bitrix24 may guess from an offset."""
    names = [name for name in _places() if offset_at(at, zone_info(name)) == offset]
    # The request may be in the portal's language instead of the person's.
    parts = [("Europe",), RUSSIAN_CITIES] if language == "ru" else [("Europe",)]
    guesses = (next((name for name in names if any(part in name for part in wanted)), names[0]) for wanted in parts)
    return frozenset(map(canonical_name, guesses)) if names else frozenset()


@lru_cache(maxsize=1024)
def zone_info(name: str) -> ZoneInfo:
    """Return an existing zone. This cache has room for all of them; the one of ``ZoneInfo`` keeps only eight."""
    return ZoneInfo(name)


def offset_at(at: datetime, tz: tzinfo) -> int:
    """Return a zone's offset in seconds at a moment."""
    offset = at.astimezone(tz).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def same_clock(first: str, second: str, at: datetime) -> bool:
    """Tell whether two zones have the same time now and in each week of the next year.

    Zones with different names often have the same time: Europe/Kiev and Europe/Kyiv, or Berlin and Paris.
    """
    if first == second:
        return True
    hour = at.replace(minute=0, second=0, microsecond=0)
    return _offsets_of_year(first, hour) == _offsets_of_year(second, hour)


def clocks_differ(first: str, second: str, at: datetime) -> bool:
    """Tell whether two names are of existing zones that do not have the same time."""
    are_known = parse_zone_name(first) and parse_zone_name(second)
    return bool(are_known) and not same_clock(first, second, at)


# It has room for all zones at a few moments, so that no portal evicts what the others need.
@lru_cache(maxsize=4096)
def _offsets_of_year(name: str, at: datetime) -> tuple[int, ...]:
    zone = zone_info(name)
    return tuple(offset_at(at + timedelta(weeks=week), zone) for week in range(53))
