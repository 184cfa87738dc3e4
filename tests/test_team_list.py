"""The list of *Team*: who is at work, whose zones differ, groups, the day, and the order of names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from dashboard.calendar.working_hours import DAY, Span
from dashboard.models import Person, Portal, Snapshot
from dashboard.people import departments as team_departments
from dashboard.team import ordered_ids
from tests.databases import on_both_databases, on_sqlite, url_for
from tests.emulator import Emulator
from tests.emulator.cast import crowd
from tests.team_fixtures import NEVER_OPENED, Session, in_english, rows_on, store_people, text_of, users_on
from tests.world import World

ZONES = (
    *("Pacific/Apia", "Australia/Lord_Howe", "Asia/Tokyo", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran", "UTC"),
    *("Europe/Kyiv", "Europe/Berlin", "America/St_Johns", "America/New_York", "Pacific/Pago_Pago"),
)
SPANS = (Span(540, 1080), Span(1320, 360), Span(0, 0), Span(0, DAY), Span(DAY, 0), Span(DAY, 90), Span(480, 480))


@pytest.fixture
def anna(each_world: World) -> Session:
    """Give an administrator's session in English."""
    return in_english(each_world)


def page(world: World, session: Session, **query: str | int) -> str:
    response = world.browser.get(f"/team?{urlencode(query)}", headers=session)
    assert response.status_code == 200, response.text[:500]
    return response.text


def exported(world: World, session: Session, **query: str | int) -> list[int]:
    response = world.browser.get(f"/team.json?{urlencode(query)}", headers=session)
    return [row["user"] for row in json.loads(response.data)["people"]]


def is_at_work(world: World, zone: str, span: Span) -> bool:
    """Ask zoneinfo for the minute in a zone, and count from each start of work; weekends are days off."""
    now = world.now().astimezone(ZoneInfo(zone))
    minute = now.hour * 60 + now.minute
    return any(
        0 <= minute + back * DAY - span.start < span.minutes and (now.date() - timedelta(days=back)).weekday() < 5
        for back in (0, 1)
    )


@pytest.mark.usefixtures("working_day")
def test_people_at_work_are_those_of_their_own_clocks(each_world: World, anna: Session) -> None:
    people = [(zone, span) for zone in ZONES for span in SPANS]
    store_people(
        each_world,
        *({"calendar_zone": zone, "work_start": span.start, "work_end": span.end} for zone, span in people),
    )
    account = {"week_holidays": ["SA", "SU"], "year_holidays": "", "year_workdays": ""}
    with each_world.database.write_session() as session:
        session.execute(update(Snapshot).values(account=account))
    for hours in (0, 7, 6, 18, 19, 15, 25):
        each_world.bitrix24.clock.advance(hours * 3600)
        anna = in_english(each_world)

        found = exported(each_world, anna, at_work=1, q="colleague")

        expected = {5001 + number for number, (zone, span) in enumerate(people) if is_at_work(each_world, zone, span)}
        assert set(found) == expected, hours
        html = page(each_world, anna, q="colleague")
        if expected:
            assert text_of(html, 'data-keep="at_work"') == f"At work now {len(expected)}", hours


def test_people_without_hours_of_their_own_work_the_companys(each_world: World, anna: Session) -> None:
    store_people(
        each_world, {"name": "Own"} | {"work_start": None, "work_end": None}, {"name": "No zone", "calendar_zone": ""}
    )
    with each_world.database.write_session() as session:
        session.execute(update(Portal).values(work_start=0, work_end=0))
        session.execute(update(Snapshot).values(account={}))

    assert exported(each_world, anna, at_work=1, q="own") == [5001]
    assert exported(each_world, anna, at_work=1, q="no zone") == []


def test_people_and_departments_deleted_while_the_page_is_read_are_left_out(
    departments: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, read_names = in_english(departments), team_departments.names
    shown = users_on(page(departments, session, group="department"))

    def delete_first(*arguments: Any) -> dict[int, str]:
        names = read_names(*arguments)
        return dict(list(names.items())[1:])

    ids_of_page = ordered_ids.ids_of_page
    monkeypatch.setattr(
        "dashboard.team.listing.ids_of_page", lambda *given, **more: [*ids_of_page(*given, **more), (10**9, "")]
    )
    monkeypatch.setattr(team_departments, "names", delete_first)

    assert users_on(page(departments, session, group="department")) == shown


def test_zones_differ_if_the_clocks_do(each_world: World, anna: Session) -> None:
    store_people(
        each_world,
        {"time_zone": "Europe/Kiev", "calendar_zone": "Europe/Kyiv"},
        {"time_zone": "Europe/Paris", "calendar_zone": "Europe/Berlin"},
        {"time_zone": "Asia/Tokyo", "calendar_zone": "Europe/Berlin"},
        {"time_zone": "Atlantis/Capital", "calendar_zone": "Europe/Berlin"},
        {"time_zone": "Asia/Tokyo"} | NEVER_OPENED,
    )

    html = page(each_world, anna, q="colleague")

    assert text_of(html, 'data-keep="zones_differ"') == "Zones differ 1"
    assert users_on(page(each_world, anna, zones_differ=1)) == exported(each_world, anna, zones_differ=1) == [5003]
    # The chip that is chosen takes its filter away.
    assert 'href="/team" data-load data-keep="zones_differ" aria-current' in page(each_world, anna, zones_differ=1)


@pytest.mark.parametrize("query", [{"at_work": "yes"}, {"zones_differ": "2"}, {"day": "2026-02-30"}, {"group": "x"}])
def test_malformed_values_count_as_missing(world: World, query: dict[str, str]) -> None:
    store_people(world, {"work_start": 0, "work_end": 1}, {"calendar_zone": ""})
    anna = in_english(world)

    assert users_on(page(world, anna, **query)) == users_on(page(world, anna))
    assert exported(world, anna, **query) == exported(world, anna)


@pytest.mark.usefixtures("working_day")
def test_filters_change_the_list_the_chart_the_chips_and_all_exports(world: World) -> None:
    store_people(
        world,
        {"name": "Ada", "chain_state": "reconnect", "time_zone": "Asia/Tokyo"},
        {"name": "Bea", "chain_state": "reconnect"},
        {"name": "Cid", "time_zone": "Asia/Tokyo"},
    )
    anna = in_english(world)
    query = "?state=reconnect&zones_differ=1"

    html = world.browser.get(f"/team{query}", headers=anna).text

    assert users_on(html) == [5001]
    counts = [int(people) for people in re.findall(r"<tr data-chart-row>.*?<td>(.*?)</td>", html)]
    assert max(counts) == 1
    assert text_of(html, 'data-keep="state-reconnect"') == "Needs to reconnect 1"
    assert "Ada" in (csv := world.browser.get(f"/team.csv{query}", headers=anna).text) and "Bea" not in csv
    assert exported(world, anna, state="reconnect", zones_differ=1) == [5001]


# Groups


def test_more_people_than_fit_are_grouped_by_zone(each_world: World, anna: Session) -> None:
    zones = ("Asia/Tokyo", "America/New_York", "Europe/Berlin")
    store_people(
        each_world, *({"name": f"P {90 - number}", "calendar_zone": zones[number % 3]} for number in range(60))
    )

    pages = [page(each_world, anna, q="P ", page=number) for number in (1, 2)]

    headings = [re.findall(r'data-group="([^"]*)" data-people="(\d+)"', html) for html in pages]
    assert headings == [
        [("America/New_York", "20"), ("Europe/Berlin", "20"), ("Asia/Tokyo", "20")],
        [("Asia/Tokyo", "20")],
    ]
    shown = [user for html in pages for user in users_on(html)]
    assert len(shown) == len(set(shown)) == 60
    assert shown == exported(each_world, anna, q="P ")
    # All rows of the page are in it, those of folded groups too.
    assert pages[0].count("data-folded") == 2
    assert len(rows_on(pages[0])) == 50
    with each_world.database.write_session() as session:
        session.execute(update(Person).where(Person.user_id == 1).values(zone="Asia/Tokyo"))
    # The reader's own group is unfolded.
    assert page(each_world, anna, q="P ").count("data-folded") == 1
    assert users_on(page(each_world, anna, q="P ", group="none"))[0] == 5060


@pytest.fixture(name="departments")
def _departments(bitrix24: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    """Install in a portal that grants the permission for departments, on each database."""
    bitrix24.portal("alpha").application.scopes.append("department")
    with World(bitrix24, url_for(request)) as world:
        world.install()
        yield world


@on_both_databases("departments")
def test_groups_of_departments_have_each_person_once(departments: World) -> None:
    each_world = departments
    each_world.portal().add_people(*crowd(6))
    for number, key in enumerate(f"person{number}" for number in range(6)):
        each_world.portal().people[key].departments = [[2], [4], [4, 2], [99], [2, 3], [3]][number]
    anna = in_english(each_world)
    each_world.sync()

    html = page(each_world, anna, group="department", q="crowd")

    groups = re.split(r'<tr class="people-chart__group"', html)[1:]
    found = [(text_of("<tr" + part, "people-chart__group-title"), users_on("<tr" + part)) for part in groups]
    assert [(name, set(users)) for name, users in found] == [
        ("Engineering", {1000, 1004}),
        ("Platform &lt;b&gt;", {1005}),
        ("Sales &amp; partners", {1001, 1002}),
        ("No department", {1003}),
    ]
    in_order = [user for _name, users in found for user in users]
    assert in_order == exported(each_world, anna, group="department", q="crowd")


@on_sqlite
def test_a_group_says_how_many_are_at_work(each_world: World, anna: Session) -> None:
    around_now = {"calendar_zone": "UTC", "work_start": 0, "work_end": 0}
    store_people(each_world, around_now, around_now, around_now | {"work_start": None, "calendar_zone": ""})
    with each_world.database.write_session() as session:
        session.execute(update(Snapshot).values(account={}))

    html = page(each_world, anna, group="timezone", q="colleague")

    assert text_of(html, "people-chart__group-share") == "2 of 2 at work"


# The day


def test_a_day_can_be_chosen_by_its_neighbors(world: World) -> None:
    store_people(world, {"calendar_zone": "Asia/Tokyo"})
    anna = in_english(world)
    tomorrow = world.now().astimezone(ZoneInfo("Europe/Moscow")).date() + timedelta(days=1)

    today = page(world, anna, q="a")
    following = page(world, anna, q="a", day=str(tomorrow))

    assert f'href="/team?q=a&amp;day={tomorrow}" data-load data-keep="day-next"' in today
    assert "at work now" in today
    # "Now" is only on the day that is today.
    assert "at work now" not in following
    assert 'data-now="line"' not in following
    assert f'href="/team?q=a&amp;day={tomorrow - timedelta(days=1)}" data-load data-keep="day-previous"' in following
    assert 'href="/team?q=a" data-load data-keep="day-today"' in following


def test_nobody_works_on_a_day_off(world: World) -> None:
    store_people(world, {"calendar_zone": "Europe/Moscow"})
    anna = in_english(world)

    html = page(world, anna, day="2026-03-07")

    assert "A day off in this portal." in html
    assert set(re.findall(r'data-bands="(.*?)"', html)) == {""}
    assert text_of(html, "people-chart__no-bar") == "Day off"


# Names


NAMES = {
    "ua": ("Гаврило", "Ґанна", "Дмитро", "Еней", "Євген", "Жанна", "Захар", "Ира", "Іван", "Їжак", "Йосип", "Катря"),
    "de": ("Alfred", "Ärger", "Azur", "Oskar", "Özil", "Polt", "Straße", "Strassen"),
    "pl": ("Jolanta", "Józef", "Lucyna", "Luiza", "Łukasz", "Marek", "Wolska", "Wójcik", "Zofia", "Żaneta"),
    "tr": ("Cem", "Çağla", "Deniz", "Işıl", "İlker", "Osman", "Özil"),
}  # fmt: skip


def test_names_are_in_the_order_of_the_readers_language(each_world: World) -> None:
    store_people(
        each_world,
        *({"name": name, "position": language} for language in NAMES for name in reversed(NAMES[language])),
    )
    for language, names in NAMES.items():
        each_world.portal().people["anna"].lang = language
        anna = each_world.session("anna")
        for sort, expected in (("name", names), ("-name", names[::-1])):
            response = each_world.browser.get(f"/team.json?sort={sort}", headers=anna)
            people = [row for row in json.loads(response.data)["people"] if row["position"] == language]
            assert [row["name"] for row in people] == list(expected), (language, sort)


def test_nobody_is_an_empty_row(world: World) -> None:
    for person in (people := crowd(4)):
        person.name = person.last_name = person.position = ""
    people[0].second_name = "Іванівна"
    people[1].name = "Zoe"
    people[2].name = "Adam"
    world.portal().add_people(*people)
    anna = in_english(world)
    world.sync()

    html = page(world, anna, sort="name")

    names = [re.sub(r"<[^>]+>", "", name) for name in re.findall(r'people-chart__name">(.*?)</span>', html)]
    assert {"Іванівна", "Zoe", "Employee 1003"} <= set(names)
    assert names.index("Adam") < names.index("Employee 1003") < names.index("Zoe") < names.index("Іванівна")
    for needle in ("employee 1003", "1003", "EMPLOYEE 10"):
        assert 1003 in users_on(page(world, anna, q=needle)), needle
    assert "Employee 1003" in world.browser.get("/team.csv", headers=anna).text


SEARCHES = {"Zoë": "Zoe\u0308", "Moe\u0308": "moe", "Lukas": "łukas", "Ёлкин": "елкин", "Strauß": "STRAUSS"}


def test_a_search_ignores_accents_and_composition(each_world: World, anna: Session) -> None:
    store_people(each_world, *({"name": name} for name in SEARCHES))

    found = [users_on(page(each_world, anna, q=needle)) for needle in SEARCHES.values()]

    assert found == [[5001 + number] for number in range(len(SEARCHES))]


@on_sqlite
def test_the_worker_gives_sort_keys_to_people_of_an_earlier_version(each_world: World, anna: Session) -> None:
    store_people(each_world, {"name": "Łukasz", "departments": [4, 2]})
    with each_world.database.write_session() as session:
        session.execute(
            update(Person).values(sort_key="", accented_sort_key="", search="", main_department=None, columns_version=3)
        )

    each_world.services.periodic_tasks.recompute_outdated_columns()

    stored = each_world.one("SELECT sort_key || ' ' || main_department FROM people WHERE user_id = 5001")
    assert stored == "lukasz 4"
    assert users_on(page(each_world, anna, q="lukasz")) == [5001]


@on_sqlite
def test_who_opens_before_the_list_names_them_counts_only_as_an_administrator(each_world: World, anna: Session) -> None:
    each_world.sync()
    before = exported(each_world, anna)
    portal = each_world.portal()
    newcomers = crowd(2, first_id=3000)
    newcomers[1].admin = True
    for person, key in zip(newcomers, ("new_colleague", "new_administrator"), strict=True):
        person.key = key
    portal.add_people(*newcomers)

    each_world.open("otto")
    for person in newcomers:
        each_world.open(person.key)

    # Whether the other two are guests is known when the list has been read again.
    assert set(exported(each_world, anna)) - set(before) == {3001}
    each_world.bitrix24.clock.advance(60)
    each_world.sync()
    assert set(exported(each_world, anna)) - set(before) == {3000, 3001}
