"""Everybody's time zone and hours: believed or assumed, with their sources, from the first list of users on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from dashboard.people.indexed_columns import COLUMNS_VERSION
from tests.emulator.cast import crowd
from tests.emulator.people import offset_of
from tests.team_fixtures import NEVER_OPENED, in_english, rows_on, store_people, text_of
from tests.test_time_zones import ZONES
from tests.world import World


def team(world: World, query: str = "") -> dict[int, dict[str, str]]:
    """Return the rows of *Team* as Anna sees them, by user."""
    html = world.browser.get(f"/team?{query}", headers=in_english(world)).text
    return {int(row["user"]): row for row in rows_on(html)}


def zone_of(row: dict[str, str]) -> tuple[str, str]:
    return row["timezone"], row["timezone-source"]


def stored(world: World, key: str = "person0") -> dict[str, Any]:
    user_id = world.portal().people[key].user_id
    (row,) = world.rows(f"SELECT * FROM people WHERE user_id = {user_id}")
    return row


def add_person(world: World, *, profile: str, calendar: str) -> int:
    """Add somebody with a zone in the profile and another one in the calendar; return their user id."""
    world.portal().add_people(*crowd(1))
    person = world.portal().people["person0"]
    person.time_zone = profile
    offset = offset_of(profile, at=world.now())
    person.settings |= {"timezoneName": calendar, "timezoneOffsetUTC": offset}
    return person.user_id


def test_everybody_is_placed_by_the_first_list(world: World) -> None:
    world.portal().add_people(*crowd(3))
    world.session("anna")
    world.sync()

    rows = team(world)

    unopened = [row for row in rows.values() if row["state"] == "never"]
    assert len(unopened) > 3
    assert all(row["timezone"] and row["work-hours"] for row in unopened)
    assert {row["timezone-source"] for row in unopened} == {"profile"}
    assert {row["hours-source"] for row in unopened} == {"account"}
    assert {row["view"] + row["reminders"] for row in unopened} == {""}
    assert zone_of(rows[1]) == ("Europe/Moscow", "calendar")


def test_a_guess_of_the_server_is_not_believed(world: World) -> None:
    user = add_person(world, profile="Asia/Kolkata", calendar="Asia/Colombo")
    world.open("person0")

    assert zone_of(team(world)[user]) == ("Asia/Kolkata", "profile")


def test_thirty_profiles_are_believed_in_january_and_july(world: World) -> None:
    people = crowd(len(ZONES))
    for person, zone in zip(people, ZONES, strict=True):
        person.time_zone, person.zone_is_guessed = zone, True
    world.portal().add_people(*people)
    expected = {person.user_id: person.time_zone for person in people}
    for month in (1, 7):
        start = datetime(world.now().year + 1, month, 15, 12, tzinfo=UTC)
        world.bitrix24.clock.advance((start - world.now()).total_seconds())
        for person in people:
            world.open(person.key)

        assert {user: row["timezone"] for user, row in team(world, "q=crowd").items()} == expected


def test_thirty_chosen_zones_are_kept_in_january_and_july(world: World) -> None:
    """The server reports the offset of the profile, from which it would have guessed none of these."""
    profile = "Pacific/Auckland"
    people = crowd(len(ZONES))
    for person, zone in zip(people, ZONES, strict=True):
        person.time_zone = profile
        person.settings["timezoneName"] = zone
    world.portal().add_people(*people)
    expected = {person.user_id: person.settings["timezoneName"] for person in people}
    for month in (1, 7):
        start = datetime(world.now().year + 1, month, 15, 12, tzinfo=UTC)
        world.bitrix24.clock.advance((start - world.now()).total_seconds())
        for person in people:
            person.settings["timezoneOffsetUTC"] = offset_of(profile, at=start)
            world.open(person.key)

        assert {user: row["timezone"] for user, row in team(world, "q=crowd").items()} == expected


def test_a_chosen_zone_is_believed(world: World) -> None:
    user = add_person(world, profile="Europe/Berlin", calendar="Europe/Madrid")
    world.open("person0")

    assert zone_of(team(world)[user]) == ("Europe/Madrid", "calendar")


def test_a_person_travels(world: World) -> None:
    """The list of users shows the profile's new zone before the settings are read again."""
    user = add_person(world, profile="Europe/Madrid", calendar="Europe/Madrid")
    alpha, clock = world.portal(), world.bitrix24.clock
    world.session("anna")
    world.open("person0")
    world.sync()
    assert (stored(world)["previous_time_zone"], stored(world)["time_zone_changed_at"]) == ("", None)
    alpha.people["person0"].time_zone = "Asia/Tokyo"
    alpha.expire("person0")
    alpha.kill_refresh("person0")
    clock.advance(60)

    world.sync()

    row = stored(world)
    assert zone_of(team(world)[user]) == ("Asia/Tokyo", "profile")
    assert (row["previous_time_zone"], row["calendar_zone"]) == ("Europe/Madrid", "Europe/Madrid")
    # An opening reads both again.
    clock.advance(60)
    alpha.people["person0"].settings["timezoneOffsetUTC"] = offset_of("Asia/Tokyo", at=world.now())
    world.open("person0")
    assert zone_of(team(world)[user]) == ("Europe/Madrid", "calendar")
    assert stored(world)["previous_time_zone"] == "Europe/Madrid"


def test_another_spelling_of_the_profiles_zone_is_no_journey(world: World) -> None:
    add_person(world, profile="Europe/Kiev", calendar="Europe/Kiev")
    world.session("anna")
    world.sync()
    world.portal().people["person0"].time_zone = "Europe/Kyiv"
    world.bitrix24.clock.advance(60)

    world.sync()

    row = stored(world)
    assert (row["time_zone"], row["zone"], row["previous_time_zone"]) == ("Europe/Kyiv", "Europe/Kyiv", "")


def test_unreadable_settings_leave_the_profile_and_the_reason(world: World) -> None:
    user = add_person(world, profile="Europe/Prague", calendar="Europe/Madrid")
    person, clock = world.portal().people["person0"], world.bitrix24.clock
    world.session("anna")
    person.broken = True

    world.open("person0")

    row = team(world)[user]
    assert zone_of(row) == ("Europe/Prague", "profile")
    assert (row["work-hours"], row["hours-source"]) == ("09:00-18:30", "account")
    assert stored(world)["problem"] == "ERROR_ARGUMENT"
    person.broken = False
    clock.advance(60)
    world.open("person0")
    assert (zone_of(team(world)[user]), stored(world)["problem"]) == (("Europe/Madrid", "calendar"), None)


def test_pages_say_in_words_whose_zone_and_hours_are_shown(world: World) -> None:
    add_person(world, profile="Asia/Kolkata", calendar="Asia/Colombo")
    html = world.open("person0").text
    anna = in_english(world)
    world.sync()

    assert "Bitrix24 guessed Colombo from the UTC offset" in text_of(html, 'data-zone-reason="guessed"')
    team_page = world.browser.get("/team?q=boris", headers=anna).text
    assert "Time zone from profile" in team_page
    assert "Company hours" in team_page
    lines = world.browser.get("/team.csv?q=crowd", headers=anna).text.splitlines()
    assert lines[1].endswith(",UTC+05:30,Profile,Portal default")


def test_both_spellings_find_the_same_people(world: World) -> None:
    store_people(world, {"calendar_zone": "Europe/Kiev", "zone": "Europe/Kyiv"}, {"calendar_zone": "Europe/Kyiv"})

    for name in ("Europe/Kiev", "Europe/Kyiv", "Europe/Uzhgorod"):
        assert team(world, f"timezone={name}").keys() == {5001, 5002}


def test_what_is_assumed_is_counted(each_world: World) -> None:
    unopened = NEVER_OPENED | {"zone": "Europe/Berlin", "zone_source": "profile"}
    guessed = {"calendar_zone": "Europe/Astrakhan", "zone": "Asia/Dubai", "zone_source": "profile"}
    renamed = {"calendar_zone": "Europe/Kiev", "zone": "Europe/Kyiv"}
    store_people(each_world, {}, *[unopened] * 3, {"calendar_zone": ""}, guessed, renamed)
    each_world.session("anna")

    with each_world.database.read_session() as session:
        stats = each_world.services.team_stats.get(session, each_world.known(), now=each_world.now())

    assert {(group.zone, str(group.span), group.people, group.assumed) for group in stats.groups} == {
        ("Europe/Moscow", "09:00-18:00", 1, 0),
        ("Europe/Berlin", "09:00-18:00", 1, 0),
        ("Europe/Berlin", "09:00-18:30", 3, 3),
        ("Asia/Dubai", "09:00-18:00", 1, 1),
        ("Europe/Kyiv", "09:00-18:00", 1, 0),
    }
    counts = [sum(numbers) for numbers in zip(*((group.people, group.assumed) for group in stats.groups), strict=True)]
    assert (stats.with_hours, *counts) == (7, 7, 4)


@pytest.mark.usefixtures("working_day")
def test_nothing_is_said_about_the_common_hours_of_one_person(world: World) -> None:
    anna = in_english(world)
    alone = world.browser.get("/team", headers=anna).text
    world.open("boris")
    together = world.browser.get("/team", headers=anna).text

    assert [sentence in alone for sentence in ("Everyone is at work", "Most people")] == [False, False]
    assert any(sentence in together for sentence in ("Everyone is at work", "Most people"))


def test_the_worker_fills_the_columns_of_an_upgraded_database(each_world: World) -> None:
    user = add_person(each_world, profile="Asia/Calcutta", calendar="Asia/Colombo")
    each_world.session("anna")
    each_world.sync()
    with each_world.database.engine.begin() as connection:
        connection.execute(text("UPDATE people SET zone = '', zone_source = '', facts_version = 2"))
        connection.execute(text("UPDATE portals SET work_start = NULL, work_end = NULL"))

    each_world.services.periodic_tasks.recompute_outdated_columns()

    row = team(each_world)[user]
    assert zone_of(row) == ("Asia/Kolkata", "profile")
    assert (row["work-hours"], row["hours-source"]) == ("09:00-18:30", "account")
    assert each_world.rows(f"SELECT 1 FROM people WHERE facts_version <> {COLUMNS_VERSION}") == []
