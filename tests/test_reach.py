"""The card of one colleague: when they can be reached, who may see it, and where the portal opens it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from dashboard.calendar.clock_changes import moment_of
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.working_hours import Span
from dashboard.team.reach import compute_reach, next_time_difference_change
from dashboard.team.working_spans import WorkPattern
from tests.team_fixtures import in_english, open_to_everyone, rows_on, store_people, text_of
from tests.world import World, errors_on, session_token, settings_on

WEEKEND = DaysOff(weekend=frozenset((5, 6)))
BERLIN, KOLKATA, AUCKLAND, NEW_YORK = "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland", "America/New_York"
DAY_WORK, NIGHT_WORK, ROUND_THE_CLOCK = Span(540, 1080), Span(1320, 360), Span(0, 1440)
WEDNESDAY = datetime(2026, 4, 15, 12, 5, tzinfo=UTC)


def is_at_work(pattern: WorkPattern, minute: datetime, days_off: DaysOff) -> bool:
    """Tell it from the clock on the wall: the hours of today, or those of yesterday past midnight."""
    local = minute.astimezone(ZoneInfo(pattern.zone))
    now = local.hour * 60 + local.minute
    start, length = pattern.span.start, pattern.span.minutes
    return any(
        start <= now + past * 1440 < start + length and not days_off.is_off(local.date() - timedelta(days=past))
        for past in (0, 1)
    )


# Short ranges around what is hard: weekends, changes of clocks, the new year, half hours.
MOMENTS = (
    WEDNESDAY,
    datetime(2026, 4, 16, 8, 0, tzinfo=UTC),  # before a morning in New York
    datetime(2026, 4, 17, 21, 30, tzinfo=UTC),  # Friday night
    datetime(2026, 3, 28, 23, 0, tzinfo=UTC),  # before Berlin's change
    datetime(2026, 10, 24, 22, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 22, 45, tzinfo=UTC),
    datetime(2028, 2, 29, 3, 15, tzinfo=UTC),
)
PAIRS = (
    (WorkPattern(KOLKATA, DAY_WORK), WorkPattern(BERLIN, DAY_WORK)),
    (WorkPattern(NEW_YORK, NIGHT_WORK), WorkPattern(BERLIN, DAY_WORK)),
    (WorkPattern(AUCKLAND, DAY_WORK), WorkPattern("Pacific/Honolulu", Span(510, 990))),
    (WorkPattern("Asia/Tokyo", ROUND_THE_CLOCK), WorkPattern("Asia/Kathmandu", NIGHT_WORK)),
    (WorkPattern("Australia/Lord_Howe", NIGHT_WORK), WorkPattern("Australia/Lord_Howe", NIGHT_WORK)),
)


@pytest.mark.parametrize("days_off", [DaysOff(), WEEKEND], ids=["every day", "weekends off"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].zone} {pair[1].zone}")
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_the_card_says_what_the_clocks_on_the_wall_say(
    moment: datetime, pair: tuple[WorkPattern, WorkPattern], days_off: DaysOff
) -> None:
    them, me = pair
    found = compute_reach(them, me, moment=moment, days_off=days_off)

    assert found.is_at_work == is_at_work(them, moment, days_off)
    (start, end), *_ = found.common
    minutes = (moment + timedelta(minutes=number) for number in count())
    both_at_work = ((minute, all(is_at_work(each, minute, days_off) for each in pair)) for minute in minutes)
    assert max(moment_of(start), moment) == next(minute for minute, both in both_at_work if both)
    assert moment_of(end) == next(minute for minute, both in both_at_work if not both)
    assert found.next_day
    local_today = moment.astimezone(ZoneInfo(them.zone)).date()
    assert found.next_day.day > local_today
    between = (found.next_day.day - local_today).days
    assert all(days_off.is_off(local_today + timedelta(days=number)) for number in range(1, between))


def test_hours_in_a_skipped_hour_fall_away() -> None:
    """Berlin has no 02:15 on that Sunday."""
    pattern = WorkPattern(BERLIN, Span(135, 165))

    found = compute_reach(pattern, None, moment=datetime(2026, 3, 28, 12, tzinfo=UTC), days_off=DaysOff())

    assert found.current_or_next
    assert str(found.current_or_next.day) == "2026-03-30"
    assert found.common == ()


@pytest.mark.parametrize(
    ("colleague", "reader", "expected"),
    [
        (NEW_YORK, BERLIN, (BERLIN, "2026-03-29", -360)),
        (KOLKATA, BERLIN, (BERLIN, "2026-03-29", 210)),
        ("Europe/Kyiv", BERLIN, None),  # both change at the same moment
        (KOLKATA, "Asia/Tokyo", None),
        (BERLIN, BERLIN, None),
    ],
)
def test_a_change_of_clocks_counts_if_it_moves_the_two_apart(
    colleague: str, reader: str, expected: tuple[str, str, int] | None
) -> None:
    change = next_time_difference_change(colleague, reader, moment=datetime(2026, 3, 20, 12, tzinfo=UTC))

    assert (change and (change.zone, str(change.day), change.minutes_ahead)) == expected


def card(world: World, session: dict[str, str], user_id: int | str = 7) -> TestResponse:
    return world.browser.get(f"/reach/{user_id}", headers=session)


def facts(page: str) -> dict[str, str]:
    pairs = re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*><bdi>(.*?)</bdi></dd>", page)
    return dict(pairs)


def test_the_card_of_a_colleague(world: World) -> None:
    world.open("boris")
    response = card(world, in_english(world))

    (row,) = rows_on(response.text)
    local = world.now().astimezone(ZoneInfo(BERLIN))
    assert response.status_code == 200
    assert (row["user"], row["timezone"]) == ("7", BERLIN)
    assert row["local"] in {f"{local - timedelta(minutes=late):%H:%M}" for late in (0, 1)}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ/\d{4}-\d\d-\d\dT\d\d:\d\dZ", row["next"])
    assert set(facts(response.text)) == {"Hours in your time", "Both at work", "After that", "Next working day"}
    assert text_of(response.text, "truncate-name") == "Boris Keller"
    assert 'href="/plan?people=1,7"' in response.text
    assert len(response.data) < 15_000


@pytest.mark.usefixtures("working_day")
def test_the_next_common_time_is_right_to_the_minute(world: World) -> None:
    """Anna works 9 to 18 in Moscow, Boris 9 to 19 in Berlin; the portal's weekend is Saturday and Sunday."""
    world.open("boris")
    session = in_english(world)

    (row,) = rows_on(card(world, session).text)

    start, end = (datetime.fromisoformat(each) for each in row["next"].split("/"))
    now = world.now()
    patterns = (WorkPattern(BERLIN, Span(540, 1140)), WorkPattern("Europe/Moscow", DAY_WORK))
    minute = now.replace(second=0, microsecond=0)
    while not all(is_at_work(pattern, minute, WEEKEND) for pattern in patterns):
        minute += timedelta(minutes=1)
    assert max(start, now.replace(second=0, microsecond=0)) == minute
    assert not all(is_at_work(pattern, end, WEEKEND) for pattern in patterns)
    assert all(is_at_work(pattern, end - timedelta(minutes=1), WEEKEND) for pattern in patterns)


@pytest.mark.usefixtures("frozen_clock")
def test_the_card_is_loaded_again_at_midnight(world: World) -> None:
    """It names days: the colleague's, and today and tomorrow of the reader."""
    world.open("boris")
    session = in_english(world)
    with world.database.write_session() as rows:
        rows.execute(text("UPDATE people SET work_start = 1500, work_end = 1600 WHERE user_id = 7"))

    (seconds,) = re.findall(r'data-changes-in="(\d+)"', card(world, session).text)

    now = world.now()
    zones = (ZoneInfo(BERLIN), ZoneInfo("Europe/Moscow"))
    midnights = [
        datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time(), zone) - now for zone in zones
    ]
    assert abs(int(seconds) - min(midnights).total_seconds()) < 60  # the card counts whole minutes


def test_who_has_not_opened_the_app_is_assumed(world: World) -> None:
    world.sync()

    page = card(world, in_english(world), world.portal().people["olena"].user_id).text

    assert "Time zone from profile · Company hours" in page
    assert "reach__bar--assumed" in page or "reach__bars" not in page
    assert "Confirmed at" not in page


@pytest.mark.parametrize(
    ("columns", "words", "missing"),
    [
        ("zone = '', zone_source = '', calendar_zone = '', time_zone = ''", "Time zone unknown", "Both at work"),
        ("work_start = 1500, work_end = 1600", "", "Hours in your time"),
    ],
)
def test_what_is_unknown_is_said(world: World, columns: str, words: str, missing: str) -> None:
    world.open("boris")
    session = in_english(world)
    with world.database.write_session() as rows:
        rows.execute(text(f"UPDATE people SET {columns} WHERE user_id = 7"))

    response = card(world, session)

    (row,) = rows_on(response.text)
    assert response.status_code == 200
    assert row["next"] == ""
    assert words in response.text
    assert missing not in facts(response.text)
    assert (row["timezone"] == "") == (row["local"] == "")


def test_a_reader_without_hours_is_told_so(world: World) -> None:
    world.open("boris")
    session = in_english(world)
    with world.database.write_session() as rows:
        rows.execute(text("UPDATE people SET zone = '', calendar_zone = '' WHERE user_id = 1"))

    page = card(world, session).text

    assert facts(page)["Both at work"] == "Your own hours are unknown"
    assert "these times are in UTC" in page


def test_ones_own_card_is_always_there(world: World) -> None:
    boris = in_english(world, "boris")

    response = card(world, boris)

    assert response.status_code == 200
    (row,) = rows_on(response.text)
    assert row["user"] == "7"
    assert row["next"]
    assert "Both at work" not in facts(response.text)
    assert "/plan?" not in response.text


def test_the_team_is_closed_to_others(world: World) -> None:
    boris = in_english(world, "boris")

    answers = [card(world, boris, number) for number in (1, 8, 99999)]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert [errors_on(answer.text) for answer in answers] == [["team_not_allowed"]] * 3
    assert all("The team is visible to administrators" in answer.text for answer in answers)
    assert not [answer for answer in answers if rows_on(answer.text) or 'role="alert"' in answer.text]
    # Nobody learns who there is.
    assert len({answer.text for answer in answers}) == 1


def test_an_open_team_is_open_here_too(world: World) -> None:
    open_to_everyone(world, "boris")

    assert card(world, in_english(world, "boris"), 1).status_code == 200


def test_a_head_sees_the_people_of_their_departments(world: World) -> None:
    world.portal().application.scopes.append("department")
    world.install()
    for person in ("boris", "olena", "marcus"):
        world.open(person)
    world.sync()
    world.browser.post("/admin/team", data={"who": "heads"}, headers=world.session("anna"))
    with world.database.write_session() as rows:
        rows.execute(text("UPDATE departments SET head_id = 7 WHERE department_id = 4"))
    boris = in_english(world, "boris")

    led, other, nobody = (card(world, boris, number) for number in (8, 1, 99999))

    assert led.status_code == 200
    assert (other.status_code, nobody.status_code) == (403, 403)
    assert other.text == nobody.text
    assert errors_on(other.text) == ["team_not_allowed"]


def test_guests_and_strangers_are_not_on_the_team(world: World) -> None:
    world.open("otto")
    world.sync()
    anna = in_english(world)

    guest, nobody = card(world, anna, world.portal().people["otto"].user_id), card(world, anna, 99999)

    assert (guest.status_code, nobody.status_code) == (403, 404)
    assert errors_on(guest.text) == errors_on(nobody.text) == ["not_on_team"]


def test_people_of_another_portal_are_nobody(world: World) -> None:
    world.install("beta")
    store_people(world, {"user_id": 4711, "name": "Betas own"}, portal="beta")

    assert card(world, in_english(world), 4711).status_code == 404


@pytest.mark.parametrize("value", ["0", "-7", "7a", "٧", "1" * 16, "9" * 5000, "7/8", "%00", "7.0"])
def test_a_malformed_id_is_no_page(world: World, value: str) -> None:
    world.open("boris")

    assert card(world, world.session("anna"), value).status_code == 404


def open_card(world: World, person: str, options: Any, placement: str = "IM_SIDEBAR") -> TestResponse:
    opening = world.portal().open_as(person, placement=placement)
    opening.form["PLACEMENT_OPTIONS"] = options if isinstance(options, str) else json.dumps(options)
    return world.post("/", opening)


@pytest.mark.parametrize(
    ("placement", "options"),
    [
        ("IM_SIDEBAR", {"dialogId": "7", "URI": "/online/"}),
        ("USER_PROFILE_TOOLBAR", {"USER_ID": "7", "URI": "/company/personal/user/7/"}),
        ("USER_PROFILE_TOOLBAR", {"USER_ID": 7}),
    ],
)
def test_the_portal_opens_the_card(world: World, placement: str, options: dict[str, Any]) -> None:
    world.open("boris")
    world.open("anna")
    world.bitrix24.clear()

    response = open_card(world, "anna", options, placement)

    assert response.status_code == 200
    assert rows_on(response.text)[0]["user"] == "7"
    assert len(response.data) < 15_000
    # Verified with one request, and the page can go on from here.
    assert [record.method for record in world.bitrix24.requests] == ["batch"]
    session = {"Authorization": f"Bearer {session_token(response)}"}
    assert world.browser.get("/team", headers=session).status_code == 200
    assert re.search(r'data-frame="\d+ (IM_SIDEBAR|USER_PROFILE_TOOLBAR) 7"', response.text)


def test_opening_a_card_connects_its_reader(world: World) -> None:
    assert world.one("SELECT count(*) FROM people WHERE user_id = 7") == 0

    response = open_card(world, "boris", {"dialogId": "1"})

    # He may not see the team, and is connected all the same.
    assert response.status_code == 200
    assert errors_on(response.text) == ["team_not_allowed"]
    assert "The team is visible to administrators" in response.text
    assert rows_on(response.text) == []
    assert world.one("SELECT chain_state FROM people WHERE user_id = 7") == "live"
    assert world.one("SELECT count(*) FROM snapshots") == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dialogId": "chat12"},
        {"dialogId": "0"},
        {"dialogId": "-7"},
        {"dialogId": " 7"},
        {"dialogId": "7" * 400},
        {"dialogId": True},
        {"dialogId": 7.5},
        {"dialogId": ["7"]},
        {"dialogId": None, "USER_ID": "7"},
        "undefined",
        '{"dialogId": ' + "9" * 5000 + "}",
        "[" * 5000,
    ],
    ids=lambda options: str(options)[:24],
)
def test_an_opening_that_names_nobody_says_what_to_do(world: World, options: Any) -> None:
    world.open("boris")

    response = open_card(world, "anna", options)

    assert response.status_code == 200
    assert errors_on(response.text) == ["nobody_named"]
    assert session_token(response)
    assert settings_on(response.text) == {}


def test_options_that_are_too_long_are_refused(world: World) -> None:
    response = open_card(world, "anna", {"dialogId": "7", "URI": "x" * 20_000})

    assert response.status_code == 400
