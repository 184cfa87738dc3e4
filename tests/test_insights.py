"""The page *Insights*: counts, findings, exceptions, and who may see how much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import available_timezones

import pytest

from dashboard.calendar import time_zones
from dashboard.team.frequency import MAX_VALUES
from dashboard.team.insights import differences, team_day
from dashboard.team.settings_counts import SettingsCounts
from dashboard.team.small_groups import NO_MINIMUM
from dashboard.web.presenters.findings import list_findings
from dashboard.web.views.insight_people import PAGE_SIZE
from tests.databases import on_sqlite
from tests.team_fixtures import NEVER_OPENED, Session, open_to_everyone, store_people, text_of
from tests.test_query_counts import statements
from tests.world import World, errors_on

# The toggles in the order of their letters: tasks, completed, declined, week numbers, collapse, decline, sync.
USUAL = "YNNNYNN timed:15min;day:0d@08:00"
PERSON = {"habits": USUAL}
WITHOUT_SETTINGS = NEVER_OPENED | {"habits": ""}


def page(world: World, session: Session) -> str:
    response = world.browser.get("/insights", headers=session)
    assert response.status_code == 200, response.text[:500]
    return response.text


def people_by(html: str, attribute: str) -> dict[str, int]:
    """Return the numbers that stand behind an attribute: of findings, bars, differences."""
    return {name: int(people) for name, people in re.findall(rf'data-{attribute}="([^"]+)" data-people="(\d+)"', html)}


@pytest.fixture
def anna(each_world: World) -> Session:
    """Give the administrator's session; she herself has week, Moscow, 9 to 18 and three reminders."""
    return each_world.session("anna")


def test_the_page_counts_people_by_their_settings(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON] * 5, PERSON | {"view": "custom_7"}, PERSON | {"view": ""}, WITHOUT_SETTINGS)

    html = page(each_world, anna)

    assert "Based on the settings of 8 of 9 people," in html
    assert people_by(html, "bar") == {"month": 5, "week": 1, "other": 1, "unset": 1, "many": 8}
    assert 'href="/team?view=month"' in html
    assert 'href="/team?timezone=Europe/Berlin"' in html
    assert text_of(html, 'class="insights-reminders"') == (
        "All-day events: 08:00 on the day 8 Timed events: 15 minutes before 8 Timed events: 1 hour before 1"
    )


@pytest.mark.usefixtures("working_day")
def test_synced_settings_are_counted(world: World) -> None:
    for key in ("boris", "kenji", "marcus", "ruth"):
        world.open(key)

    html = page(world, world.session("anna"))

    assert people_by(html, "finding") == {"apart": 1, "long_days": 1, "unreminded": 1, "refusing": 1, "nights": 1}
    assert "1 person has a working day of 14 hours or more." in html
    assert people_by(html, "difference") == {
        "collapseOffHours": 1, "showCompletedTasks": 1, "syncTasks": 1,
    }  # fmt: skip
    exception = text_of(html, 'data-difference="collapseOffHours"')
    assert exception.startswith("Collapse non-working hours Most: Yes 4 1 differs Boris Keller")


def test_findings_name_the_people(each_world: World, anna: Session) -> None:
    store_people(
        each_world,
        *[PERSON] * 8,
        PERSON | {"name": "Zoe <b>", "calendar_zone": "America/Los_Angeles", "time_zone": "Europe/Berlin"},
        PERSON | {"name": "Nils", "reminder_count": 0, "reminders": "timed:none", "habits": "YNNNYNN timed:none"},
        PERSON | {"name": "Refu", "habits": "YNNNYYN timed:15min;day:0d@08:00"},
        # Another name for the same clock is no other zone.
        PERSON | {"name": "Olena", "calendar_zone": "Europe/Kyiv", "time_zone": "Europe/Kiev"},
    )

    html = page(each_world, anna)

    assert people_by(html, "finding") == {"zones_disagree": 1, "apart": 1, "unreminded": 1, "refusing": 1}
    zones = text_of(html, 'class="insights-names"')
    assert zones == "Zoe &lt;b&gt;"
    assert 'href="/team?q=Zoe%20%3Cb%3E"' in html
    assert 'href="/team?reminders=none"' in html
    assert html.index("zones_disagree") < html.index("unreminded")


@on_sqlite
def test_a_long_list_of_names_is_cut(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON | {"habits": "YNNNYYN "}] * 9)

    assert "and 3 more" in text_of(page(each_world, anna), 'class="insights-names"')


def test_all_people_of_a_finding_have_a_page(each_world: World, anna: Session) -> None:
    refusing = [PERSON | {"name": f"Refusing {number:03}", "habits": f"YNNNYYN {number % 7}"} for number in range(203)]
    store_people(each_world, *refusing)
    assert 'href="/insights/refusing"' in page(each_world, anna)

    pages = [each_world.browser.get(f"/insights/refusing?page={number}", headers=anna).text for number in (1, 2, 9)]

    names = [re.findall(r">(Refusing \d{3})</bdi></a>", text) for text in pages]
    assert sorted(names[0] + names[1]) == [person["name"] for person in refusing]
    assert names[2] == names[1]
    assert "203 people decline invitations" in pages[0]


@on_sqlite
def test_all_people_of_an_exception_have_a_page(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON] * 8, PERSON | {"name": "Odd Olga", "habits": "YNNNNNN timed:15min;day:0d@08:00"})

    html = each_world.browser.get("/insights/collapseOffHours", headers=anna).text

    assert re.findall(r">([^<]+)</bdi></a></li>", html) == ["Odd Olga"]
    assert "1 differs" in html


@on_sqlite
def test_the_page_of_a_finding_that_no_longer_applies(each_world: World, anna: Session) -> None:
    response = each_world.browser.get("/insights/refusing", headers=anna)

    assert response.status_code == 200
    assert "This no longer applies to anyone." in response.text


def test_only_administrators_see_the_people_of_a_finding(open_to_all: World) -> None:
    boris = open_to_all.session("boris")

    assert open_to_all.browser.get("/insights/refusing", headers=boris).status_code == 403


@on_sqlite
def test_the_hours_of_the_day(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON] * 3, PERSON | {"calendar_zone": ""})

    html = page(each_world, anna)

    # Anna's clock is Moscow's: two hours later than Berlin in winter, one in summer.
    assert len(re.findall(r'<li class="insights-best-hour">', html)) == 3
    assert "All 4 people shown are at work" in html
    assert "None of the people shown are at work" in html
    assert "1 person is not shown" in html


def test_unknown_reminders_are_no_majority() -> None:
    counts = SettingsCounts(10, 10, None, {}, {}, {}, {"------- ": 9, "------- timed:15min": 1}, {})

    assert differences(counts) == []


@on_sqlite
def test_no_finding_needs_attention(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON] * 2)

    assert "Nothing needs attention." in page(each_world, anna)


@on_sqlite
def test_one_person_is_too_few(each_world: World, anna: Session) -> None:
    store_people(each_world, *[WITHOUT_SETTINGS] * 7)

    html = page(each_world, anna)

    assert "Not enough people yet" in html
    assert "<svg" not in html


@on_sqlite
def test_people_of_another_portal_are_not_counted(each_world: World, anna: Session) -> None:
    each_world.install("beta")
    store_people(each_world, *[PERSON | {"calendar_zone": "Asia/Tokyo", "view": "day"}] * 6)

    html = page(each_world, each_world.session("clara", "beta"))

    assert "Not enough people yet" in html
    assert "Tokyo" not in html


@on_sqlite
def test_guests_are_not_counted(each_world: World, anna: Session) -> None:
    store_people(each_world, *[PERSON] * 2, PERSON | {"listed": False, "view": "list"})

    html = page(each_world, anna)

    assert "3 of 3 people" in html
    assert "list" not in people_by(html, "bar")


# Who sees how much


def test_insights_needs_access_to_the_team(world: World) -> None:
    response = world.browser.get("/insights", headers=world.session("boris"))

    assert response.status_code == 403
    assert errors_on(response.text) == ["team_not_allowed"]
    assert world.browser.get("/insights").status_code == 401


def crowd() -> Iterator[dict[str, Any]]:
    """Yield people of whom some are few in nearly every way."""
    for number in range(37):
        yield PERSON | {
            "name": f"Secret {number}",
            "calendar_zone": ("Europe/Berlin", "Asia/Tokyo", "Asia/Kolkata")[(number > 21) + (number > 32)],
            "time_zone": "Europe/Berlin" if number < 30 else "America/New_York",
            "view": ("month", "week", "day", "list")[(number > 20) + (number > 30) + (number > 35)],
            "work_start": 540 + 60 * (number % 9 == 0),
            "reminder_count": number % 4 if number < 20 else 2,
            "habits": ("YNNNYNN " if number % 5 else "YNNYYYN ") + ("timed:15min" if number < 33 else "day:1day"),
        }


@pytest.fixture
def open_to_all(world: World) -> World:
    """Give a portal whose administrator opened the team to everyone."""
    open_to_everyone(world, "boris")
    return world


def test_others_see_numbers_of_at_least_five_and_no_names(open_to_all: World) -> None:
    store_people(open_to_all, *crowd())

    html = page(open_to_all, open_to_all.session("boris"))

    assert "Secret" not in html
    assert "/team?" not in html
    assert people_by(html, "bar")
    assert people_by(html, "finding")
    assert people_by(html, "difference")
    # What is left are numbers of people: times, the hours under a picture and the reminders are none.
    text = re.sub(r'<div class="scale".*?</div>|<ol class="insights-reminders">.*?</ol>', "", html, flags=re.DOTALL)
    text = re.sub(r"<svg.*?</svg>|<header class=\"bar\".*?</header>", "", text, flags=re.DOTALL)
    text = re.sub(r"\d\d:\d\d|h\d>", "", re.sub(r"<[^>]+>", " ", text))
    numbers = {int(number) for number in re.findall(r"\d+", text)}
    assert numbers
    assert {number for number in numbers if 0 < number < 5} == set()


def test_no_suppressed_remainder_is_small(open_to_all: World) -> None:
    store_people(open_to_all, *crowd())

    html = page(open_to_all, open_to_all.session("boris"))

    views, reminders = html.split('id="reminded-heading"')
    for bars in (people_by(views, "bar"), people_by(reminders, "bar")):
        assert sum(bars.values()) == 39
        assert min(bars.values()) >= 5
    assert "Kolkata" not in html


def test_others_see_nothing_of_four_people(open_to_all: World) -> None:
    store_people(open_to_all, *[PERSON] * 2)

    html = page(open_to_all, open_to_all.session("boris"))

    assert "Not enough people yet" in html
    assert "<svg" not in html


def test_numbers_are_bounded_in_a_portal_with_very_many_settings(each_world: World, anna: Session) -> None:
    zones = sorted(available_timezones() - {"UTC"})
    store_people(
        each_world,
        *(
            {
                "calendar_zone": zones[number % 500],
                "time_zone": zones[-1 - number % 70],
                "work_start": number % 1440,
                "work_end": number % 997,
                "habits": f"YNNNYYN timed:{number}min",
                "view": f"custom {number}",
                "reminder_count": number,
            }
            for number in range(2200)
        ),
        *[PERSON] * 50,
    )
    with statements(each_world.database.engine) as sent:
        html = page(each_world, anna)

    assert "too many different settings" in html
    assert people_by(html, "bar") == {"other": 2200, "month": 50, "week": 1, "many": 2249, "none": 1, "one": 1}
    # What the database returns is bounded, and a total is of everyone.
    assert all("LIMIT" in statement for statement, _ in sent if "GROUP BY" in statement)
    assert f"{2251:,} of {2251:,} people" in html
    assert people_by(html, "finding")["refusing"] == MAX_VALUES - 1
    assert "people are not shown because their hours" not in html
    names = each_world.browser.get("/insights/refusing?page=10", headers=anna).text
    assert "Page 10 of 10" in names
    assert names.count("</bdi></a></li>") == PAGE_SIZE - 1


def test_each_zone_is_compared_once(world: World) -> None:
    zones = sorted(available_timezones())[:80]
    pairs = {(one, other): 1 for one in zones for other in zones if one != other}
    counts = SettingsCounts(len(pairs), len(pairs), None, {}, {}, {}, {}, pairs)
    day = team_day([], day=world.now().date(), user_zone=UTC)
    before = time_zones._offsets_of_year.cache_info()

    with world.app.test_request_context():
        list_findings(counts, day, now=world.now() + timedelta(days=700), min_group_size=NO_MINIMUM)

    after = time_zones._offsets_of_year.cache_info()
    assert after.misses - before.misses == len(zones)
