"""Parse a person's time zone from calendar and profile, and find where the two disagree."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import ClassVar, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from dashboard.core.json_values import Json, parse_int


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
class Zone:
    """A person's time zone by each source; empty or None where the source has none."""

    name: str  # the calendar's
    offset: int | None  # in seconds, reported beside the calendar's
    profile: str
    disagreements: tuple[Disagreement, ...] = ()

    def tz(self) -> tzinfo:
        """Return the calendar's zone, else its offset, else the profile's zone, else UTC."""
        if self.name:
            return zone_info(self.name)
        if self.offset is not None:
            return timezone(timedelta(seconds=self.offset))
        return zone_info(self.profile) if self.profile else UTC

    @property
    def is_known(self) -> bool:
        """Tell whether any source has a time zone."""
        return bool(self.name or self.profile) or self.offset is not None


@cache
def _names() -> frozenset[str]:
    # ZoneInfo opens a file of that name, so names such as "../../etc/passwd" must not reach it.
    return frozenset(available_timezones())


def parse_zone_name(value: Json) -> ZoneName | None:
    """Return the zone, or None when there is no zone of this name."""
    return ZoneName(value) if isinstance(value, str) and value in _names() else None


def parse_offset(value: Json) -> Offset | None:
    """Return the offset, or None when the value is not a number below one day."""
    seconds = parse_int(value)
    return Offset(seconds) if seconds is not None and abs(seconds) < 86400 else None


def find_zone(person: dict[str, Json], profile_time_zone: str | None, at: datetime) -> Zone:
    """Return the zones of the calendar and the profile, and where they disagree at a moment."""
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
    )


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


# It has room for all zones at a few moments, so that no portal evicts what the others need.
@lru_cache(maxsize=4096)
def _offsets_of_year(name: str, at: datetime) -> tuple[int, ...]:
    zone = zone_info(name)
    return tuple(offset_at(at + timedelta(weeks=week), zone) for week in range(53))
