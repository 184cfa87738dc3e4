"""Time zones: a name, an offset told beside it, and where the two disagree."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import ClassVar, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from dashboard.core.json_values import Json, parse_int


@dataclass(frozen=True)
class ZoneName:
    """The name of a zone that exists."""

    kind: ClassVar = "zone"
    name: str


@dataclass(frozen=True)
class Offset:
    """Seconds east of UTC."""

    kind: ClassVar = "offset"
    seconds: int


@dataclass(frozen=True)
class OffsetDisagrees:
    """The offset Bitrix24 tells is not the one the zone has at that moment."""

    kind: ClassVar = "offset"
    reported: int
    zone: int


@dataclass(frozen=True)
class ProfileDisagrees:
    """The zone in the person's profile keeps another time than the calendar's."""

    kind: ClassVar = "profile"
    profile: str
    calendar: str


Disagreement: TypeAlias = OffsetDisagrees | ProfileDisagrees


@dataclass(frozen=True)
class Zone:
    """What is known of a person's zone; the name is empty where the portal tells no real one."""

    name: str
    offset: int | None
    profile: str
    disagreements: tuple[Disagreement, ...] = ()

    def tz(self) -> tzinfo:
        """Return the best clock there is: the named zone, else the told offset, the profile's, UTC."""
        if self.name:
            return ZoneInfo(self.name)
        if self.offset is not None:
            return timezone(timedelta(seconds=self.offset))
        return ZoneInfo(self.profile) if self.profile else UTC

    @property
    def reported(self) -> bool:
        """Tell whether there is any clock to go by."""
        return bool(self.name or self.profile) or self.offset is not None


@cache
def _names() -> frozenset[str]:
    # Looking a name up in this set, never on the disk, keeps "../../etc/passwd" a mere wrong name.
    return frozenset(available_timezones())


def parse_zone_name(value: Json) -> ZoneName | None:
    """Return the zone, or None when no zone has this name."""
    return ZoneName(value) if isinstance(value, str) and value in _names() else None


def parse_offset(value: Json) -> Offset | None:
    """Return the offset, or None when it is no number or a day or more away."""
    seconds = parse_int(value)
    return Offset(seconds) if seconds is not None and abs(seconds) < 86400 else None


def parse_zone(person: dict[str, Json], profile_time_zone: str | None, at: datetime) -> Zone:
    """Gather the zone from settings and profile, and compare what they say."""
    name = parse_zone_name(person.get("timezoneName"))
    offset = parse_offset(person.get("timezoneOffsetUTC"))
    profile = parse_zone_name(profile_time_zone)
    return Zone(
        name=name.name if name else "",
        offset=offset.seconds if offset else None,
        profile=profile.name if profile else "",
        disagreements=tuple(_disagreements(name, offset, profile, at)),
    )


def _disagreements(
    name: ZoneName | None, offset: Offset | None, profile: ZoneName | None, at: datetime
) -> list[Disagreement]:
    found: list[Disagreement] = []
    if name is None:
        return found
    if offset is not None and offset.seconds != offset_at(name.name, at):
        found.append(OffsetDisagrees(reported=offset.seconds, zone=offset_at(name.name, at)))
    if profile is not None and not same_clock(profile.name, name.name, at):
        found.append(ProfileDisagrees(profile=profile.name, calendar=name.name))
    return found


def offset_at(name: str, at: datetime) -> int:
    """Return a zone's offset in seconds at a moment."""
    offset = at.astimezone(ZoneInfo(name)).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def same_clock(one: str, other: str, at: datetime) -> bool:
    """Tell whether two zones show the same time today and each week of the coming year.

    Europe/Kiev is Europe/Kyiv, and Berlin and Paris may as well be one: what matters to
    a person is a clock that differs, today or after the next change.
    """
    if one == other:
        return True
    weeks = (at + timedelta(weeks=week) for week in range(53))
    return all(offset_at(one, week) == offset_at(other, week) for week in weeks)
