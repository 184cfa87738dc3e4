"""Which time zone a person is believed to be in, and what its names are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from dashboard.calendar.time_zones import BelievedZone, believe, canonical_name, offset_at, zone_info
from tests.emulator.time_zones import guess_zone

WINTER, SUMMER = datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)
ZONES = [
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Argentina/Buenos_Aires",
    "America/Bogota",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Dhaka",
    "Asia/Dubai",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tashkent",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "Europe/Lisbon",
    "Europe/Minsk",
    "Europe/Oslo",
    "Pacific/Auckland",
    "Pacific/Chatham",
]


def test_the_servers_guesses() -> None:
    """These were computed with PHP's list."""
    guesses = {zone: [guess_zone(offset_at(at, zone_info(zone)), at=at) for at in (WINTER, SUMMER)] for zone in ZONES}

    assert guesses["Africa/Cairo"] == ["Europe/Athens"] * 2
    assert guesses["Africa/Lagos"] == ["Europe/Amsterdam", "Europe/Dublin"]
    assert guesses["America/New_York"] == ["America/Atikokan", "America/Anguilla"]
    assert guesses["Asia/Tashkent"] == ["Antarctica/Mawson"] * 2


@pytest.mark.parametrize("at", [WINTER, SUMMER], ids=["January", "July"])
@pytest.mark.parametrize("zone", ZONES)
def test_the_profile_is_believed_where_the_server_guesses(zone: str, at: datetime) -> None:
    offset = offset_at(at, zone_info(zone))
    later = at + timedelta(weeks=26)
    for language in ("en", "ru"):
        guessed = guess_zone(offset, at=at, in_russian=language == "ru")
        expected = BelievedZone(zone, "profile", "guessed") if guessed != zone else BelievedZone(zone, "calendar")
        assert believe(guessed, zone, reported_offset=offset, at=at, language=language) == expected
        # It was saved with the calendar's settings, and is returned whenever the offset is the same.
        if offset_at(later, zone_info(zone)) == offset:
            believed = believe(guessed, zone, reported_offset=offset, at=later, language=language)
            assert offset_at(later, zone_info(believed.name)) == offset


@pytest.mark.parametrize("at", [WINTER, SUMMER], ids=["January", "July"])
@pytest.mark.parametrize("zone", ZONES)
def test_a_chosen_zone_is_believed(zone: str, at: datetime) -> None:
    """Whoever chose another zone in the calendar than in the profile keeps it, unless the server could guess it."""
    offset = offset_at(at, zone_info(zone))
    for chosen in ZONES:
        if chosen in (zone, guess_zone(offset, at=at), guess_zone(offset, at=at - timedelta(weeks=26))):
            continue
        expected = BelievedZone(chosen, "calendar", "chosen")
        assert believe(chosen, zone, reported_offset=offset, at=at, language="en") == expected
        assert believe(chosen, "", reported_offset=offset, at=at) == BelievedZone(chosen, "calendar")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_the_profile_is_believed_where_the_portal_returns_its_own_zone(zone: str) -> None:
    """Portals before main 25.600 do not know the zones of automatic people when REST asks."""
    believed = believe("Europe/Moscow", zone, reported_offset=10800, at=WINTER, language="en")

    assert believed == BelievedZone(zone, "profile", "default")


def test_a_profile_that_changed_after_the_settings_were_read_is_believed() -> None:
    believed = believe("Europe/Kyiv", "Asia/Tokyo", reported_offset=7200, at=WINTER, is_stale=True)

    assert believed == BelievedZone("Asia/Tokyo", "profile", "stale")


def test_one_zone_is_enough() -> None:
    assert believe("", "", reported_offset=3600, at=WINTER) == BelievedZone()
    assert believe("", "Asia/Calcutta", reported_offset=19800, at=WINTER) == BelievedZone("Asia/Kolkata", "profile")
    assert believe("Europe/Kiev", "Europe/Kyiv", reported_offset=0, at=WINTER) == BelievedZone(
        "Europe/Kyiv", "calendar"
    )


def test_each_renamed_zone_has_one_name() -> None:
    root = files("tzdata") / "zoneinfo"
    tab = {line.split("\t")[2] for line in (root / "zone.tab").read_text().splitlines() if not line.startswith("#")}
    for line in (root / "tzdata.zi").read_text().splitlines():
        if line.startswith("L "):
            _link, target, name = line.split()
            # Places of today keep their names: Oslo is not another name of Berlin.
            assert canonical_name(name) == (name if name in tab else canonical_name(target)), name

    assert canonical_name("Asia/Calcutta") == "Asia/Kolkata"
    assert canonical_name("Europe/Kiev") == "Europe/Kyiv"
    assert canonical_name("US/Eastern") == "America/New_York"
    assert canonical_name("Europe/Oslo") == "Europe/Oslo"
    assert {canonical_name(name) for name in ("UTC", "Etc/UTC", "Zulu", "Etc/UCT")} == {"UTC"}
