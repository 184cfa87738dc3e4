"""The page *Team*: rows, filters, order, pages, figures, and who may see it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from sqlalchemy import event, update

from dashboard.models import Person
from dashboard.team.frequency import MAX_VALUES
from dashboard.team.statistics import MAX_VIEWS
from dashboard.web.presenters import team_row
from tests.databases import on_sqlite
from tests.emulator.cast import crowd
from tests.emulator.faults import Fault
from tests.team_fixtures import NEVER_OPENED, Session, days_ago, rows_on, store_people, text_of, users_on
from tests.world import World, errors_on


@pytest.fixture
def anna(each_world: World) -> Session:
    """Give an administrator's session."""
    return each_world.session("anna")


def page(world: World, session: Session, **query: str | int) -> str:
    response = world.browser.get(f"/team?{urlencode(query)}", headers=session)
    assert response.status_code == 200, response.text[:500]
    return response.text


def users(world: World, session: Session, **query: str | int) -> list[int]:
    return users_on(page(world, session, **query))


def test_rows_show_each_persons_settings(world: World) -> None:
    world.portal().add_people(*crowd(3))
    for key in ("boris", "kenji", "marcus", "ruth", "mere", "amina", "person0"):
        world.open(key)
    world.bitrix24.clock.advance(60)
    world.sync()

    rows = {int(row.pop("user")): row for row in rows_on(page(world, world.session("anna")))}

    def row(state: str, view: str, hours: str, zone: str, reminders: str, *sources: str) -> dict[str, str]:
        return {
            "state": state, "view": view, "work-hours": hours, "timezone": zone, "reminders": reminders,
            "timezone-source": sources[0], "hours-source": sources[1],
        }  # fmt: skip

    usual, own, company = "timed:15min;day:0d@08:00", ("calendar", "person"), ("calendar", "account")
    anna = row("connected", "week", "09:00-18:00", "Europe/Moscow", "timed:15min,1hour;day:0d@08:00", *own)
    assert rows[1] == anna
    assert rows[7] == row("connected", "month", "09:00-19:00", "Europe/Berlin", "timed:50min;day:15min", *own)
    assert rows[10] == row("connected", "list", "22:00-06:00", "America/New_York", usual, *own)
    assert rows[11] == row("connected", "day", "08:30-16:30", "America/St_Johns", "day:none", *own)
    assert rows[14] == row("connected", "custom_7", "00:00-24:00", "Asia/Tokyo", "timed:date,3day;day:date", *own)
    assert rows[15] == row("connected", "month", "09:00-18:30", "Pacific/Chatham", "", *company)
    assert rows[1000] == row("connected", "month", "09:00-18:30", "Europe/Berlin", usual, *company)
    # Somebody who has not opened the application has the time zone of their profile, and the company's hours.
    assert rows[1001] == row("never", "", "09:00-18:30", "America/New_York", "", "profile", "account")
    # Neither the supplier's man nor a former colleague is one of the team.
    assert {18, 19}.isdisjoint(rows)


@on_sqlite
def test_states(each_world: World, anna: Session) -> None:
    store_people(
        each_world,
        {},
        days_ago(each_world, 3),
        {"settings_at": None},
        {"chain_state": "reconnect"} | days_ago(each_world, 9),
        NEVER_OPENED,
    )

    rows = {row["user"]: row["state"] for row in rows_on(page(each_world, anna))}

    assert rows == {
        "1": "connected", "5001": "connected", "5002": "stale", "5003": "stale", "5004": "reconnect",
        "5005": "never",
    }  # fmt: skip


@pytest.fixture
def team_of_seven(each_world: World, anna: Session) -> Session:
    """Give a team of six besides Anna, who is the administrator 1."""
    store_people(
        each_world,
        {"name": "Ёлкин Пётр", "position": "Инженер"},
        {"name": "100% Ada", "view": "week", "calendar_zone": "Asia/Tokyo", "work_start": 600},
        {"name": "under_score", "reminder_count": 1, "work_start": None, "work_end": None},
        {"name": "Zoë O'Neill", "reminder_count": 0, "reminders": "timed:none;day:none", "view": "custom_7"},
        {"name": "Bea", "chain_state": "reconnect", "calendar_zone": ""},
        {"name": "Cid"} | NEVER_OPENED,
    )
    return anna


FILTERS: list[tuple[dict[str, str], set[int]]] = [
    ({"q": "елкин"}, {5001}),
    ({"q": "  ЁЛКИН "}, {5001}),
    ({"q": "ИНЖЕНЕР"}, {5001}),
    ({"q": "%"}, {5002}),
    ({"q": "_"}, {5003}),
    ({"q": "o'neill"}, {5004}),
    ({"q": "\0ada"}, {5002}),
    ({"q": "nobody at all"}, set()),
    ({"view": "custom_7"}, {5004}),
    ({"timezone": "Asia/Tokyo"}, {5002}),
    ({"reminders": "none"}, {5004}),
    ({"reminders": "one"}, {5003}),
    ({"reminders": "many"}, {1, 5001, 5002, 5005}),
    ({"reminders": "unknown"}, {5006}),
    ({"state": "reconnect"}, {5005}),
    ({"state": "never"}, {5006}),
    ({"state": "connected"}, {1, 5001, 5002, 5003, 5004}),
    ({"state": "connected", "q": "a", "reminders": "many", "view": "week"}, {5002}),
    ({"state": "odd"}, set()),
    ({"reminders": "odd"}, set()),
    ({"unknown": "filter"}, {1, 5001, 5002, 5003, 5004, 5005, 5006}),
]


def test_filters(each_world: World, team_of_seven: Session) -> None:
    assert [(query, set(users(each_world, team_of_seven, **query))) for query, _users in FILTERS] == FILTERS


def test_an_empty_result_offers_to_clear_the_filters(world: World) -> None:
    html = page(world, world.session("anna"), view="nonsense", sort="-hours")

    assert "No people match these filters." in html
    assert 'href="/team?sort=-hours"' in html


SORTS = {
    "name": [5002, 5005, 5006, 5003, 5004, 1, 5001],
    "-name": [5001, 1, 5004, 5003, 5006, 5005, 5002],
    "view": [5004, 5001, 5003, 5005, 1, 5002, 5006],
    "-view": [5002, 1, 5005, 5003, 5001, 5004, 5006],
    # The company's hours are later than all of theirs but one's.
    "hours": [1, 5001, 5004, 5005, 5003, 5006, 5002],
    "-hours": [5002, 5003, 5006, 5005, 5004, 5001, 1],
    "timezone": [5001, 5003, 5004, 1, 5002, 5005, 5006],
    "-timezone": [5002, 1, 5001, 5003, 5004, 5005, 5006],
    "-reminders": [1, 5005, 5002, 5001, 5003, 5004, 5006],
    "state": [1, 5001, 5002, 5003, 5004, 5005, 5006],
    "-state": [5006, 5005, 1, 5001, 5002, 5003, 5004],
    # By the start of each person's day on the reader's: a short list that nobody has sorted.
    "nonsense": [5002, 1, 5003, 5004, 5001, 5005, 5006],
}


def test_unknown_values_are_sorted_last(each_world: World, team_of_seven: Session) -> None:
    assert {sort: users(each_world, team_of_seven, sort=sort) for sort in SORTS} == SORTS


def test_sorting_by_as_of(each_world: World, anna: Session) -> None:
    store_people(each_world, days_ago(each_world, 1), days_ago(each_world, 4), NEVER_OPENED)

    assert users(each_world, anna, sort="as_of") == [5002, 5001, 1, 5003]
    assert users(each_world, anna, sort="-as_of") == [1, 5001, 5002, 5003]


@on_sqlite
def test_all_pages_together_equal_the_export(each_world: World, anna: Session) -> None:
    unknown = {"view": "", "work_start": None, "reminder_count": None, "settings_at": None}
    store_people(each_world, *({"view": "week"} if number % 2 else unknown for number in range(110)))

    for sort in ("-view", "hours", "-reminders", "state", "-state", "-as_of", "-name"):
        pages = [users(each_world, anna, sort=sort, page=number) for number in (1, 2, 3)]
        exported = json.loads(each_world.browser.get(f"/team.json?sort={sort}", headers=anna).data)["people"]

        assert [user for numbers in pages for user in numbers] == [row["user"] for row in exported], sort


def test_pages_have_fifty_people_and_each_person_once(each_world: World, anna: Session) -> None:
    store_people(each_world, *({"name": f"Same name {number % 3}"} for number in range(104)))

    pages = [users(each_world, anna, sort="view", page=number) for number in (1, 2, 3)]

    assert [len(one) for one in pages] == [50, 50, 5]
    assert len({user for one in pages for user in one}) == 105
    assert users(each_world, anna, sort="view", page=99) == pages[2]
    for odd in ("0", "-1", "x", "9" * 30, "²"):
        assert users(each_world, anna, sort="view", page=odd) == pages[0]


def test_links_keep_the_query(world: World) -> None:
    store_people(world, *({"view": "week", "name": f"Ann & co {number}"} for number in range(60)))

    html = page(world, world.session("anna"), q="ann & co", view="week", sort="-hours", page=2)

    stored = "q=ann+%26+co"
    assert f'href="/team?{stored}&amp;view=week&amp;sort=-hours"' in html  # the page before is the first
    assert f'data-download="/team.csv?{stored}&amp;view=week&amp;sort=-hours&amp;page=2"' in html
    assert f'href="/team?{stored}&amp;view=week&amp;sort=hours"' in html


def test_a_search_compares_no_text_letter_by_letter(each_world: World, anna: Session) -> None:
    """As LIKE does: a needle of two hundred letters in twenty thousand such texts took it ten seconds."""
    store_people(each_world, {"name": "a" * 250, "position": "a" * 255}, {"name": "100% sure_"})
    statements: list[str] = []
    event.listen(
        each_world.database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )

    found = [users(each_world, anna, q=needle) for needle in ("a" * 199 + "b", "0% SURE_", "%", "0_", "a" * 61)]

    # The beginning of a long needle counts.
    assert found == [[5001], [5002], [5002], [], [5001]]
    searches = [statement for statement in statements if re.search(r"\b(instr|strpos)\b", statement)]
    assert searches
    assert not [statement for statement in statements if " LIKE " in statement]


def test_long_names_are_searchable_by_their_beginning(world: World) -> None:
    """Folding makes three characters of this letter; what an earlier version stored is cut too."""
    (long,) = crowd(1)
    long.name = "ﬃ" * 250
    world.portal().add_people(long)
    world.install()
    world.sync()
    with world.database.write_session() as session:
        session.execute(update(Person).where(Person.user_id == 1000).values(search="x" * 1531))
    world.sync()

    assert world.one("SELECT max(length(search)) FROM people") == 300
    assert users(world, world.session("anna"), q="ﬃ" * 70) == [1000]


@on_sqlite
def test_the_filters_change_the_figures_and_the_chips(each_world: World, team_of_seven: Session) -> None:
    everyone, bea = (page(each_world, team_of_seven, q=needle) for needle in ("", "bea"))

    assert [text_of(everyone, f'data-keep="{name}"') for name in ("state-reconnect", "state-never")] == [
        "Needs to reconnect 1", "Not opened yet 1",
    ]  # fmt: skip
    assert text_of(bea, 'data-keep="state-reconnect"') == "Needs to reconnect 1"
    # Chips of nobody are left out.
    assert 'data-keep="state-never"' not in bea
    assert "<b>0</b> of 1 confirmed" in bea
    # The invitation is for everyone.
    assert "1 person hasn't opened the app yet" in bea


def test_the_invitation_has_the_deep_link(world: World) -> None:
    store_people(world, *[{}] * 4, NEVER_OPENED)

    invitation = text_of(page(world, world.session("anna")), 'id="invitation"')

    code = world.one("SELECT app_code FROM portals")
    assert f"{world.portal().origin}/marketplace/view/{code}/" in invitation


def test_names_are_escaped(world: World) -> None:
    store_people(world, {"name": "<script>alert(1)</script>", "position": '"><b>', "view": "<i>"})

    html = page(world, world.session("anna"))

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert {row["user"]: row["view"] for row in rows_on(html)}["5001"] == "<i>"


def test_photos_are_loaded_by_https_only(world: World) -> None:
    store_people(world, {"photo": "https://cdn.example/a.png"}, {"photo": "javascript:alert(1)"})

    html = page(world, world.session("anna"))

    assert 'src="https://cdn.example/a.png"' in html
    assert "javascript:" not in html


def test_photos_of_this_machine_are_shown_in_development_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store_people(world, {"photo": "http://localhost:9000/photo.svg"})
    anna = world.session("anna")
    in_development = page(world, anna)
    production = SimpleNamespace(config=SimpleNamespace(trust_loopback=False))
    monkeypatch.setattr(team_row, "services", lambda: production)

    assert 'src="http://localhost:9000/photo.svg"' in in_development
    assert "localhost:9000" not in page(world, anna)


@on_sqlite
def test_people_of_another_portal_are_not_listed(each_world: World, anna: Session) -> None:
    each_world.install("beta")
    clara = each_world.session("clara", "beta")
    store_people(each_world, {"name": "Secret of Beta"}, portal="beta")
    store_people(each_world, {"name": "Secret of Alpha", "view": "alphas_own", "calendar_zone": "Asia/Tokyo"})

    for session, own, foreign in ((anna, "Alpha", "Beta"), (clara, "Beta", "Alpha")):
        for path in ("/team", "/team.csv", "/team.json", "/team?q=secret", "/team?sort=-view&page=2"):
            html = each_world.browser.get(path, headers=session).text
            assert f"Secret of {own}" in html
            assert f"Secret of {foreign}" not in html
    assert "alphas_own" not in page(each_world, clara)
    assert "Asia/Tokyo" not in page(each_world, clara)


# Who may see it

ADDRESSES = ("/team", "/team.csv", "/team.json", "/team.xlsx", "/team/sync")


def test_others_see_only_the_names_of_administrators(world: World) -> None:
    boris = world.session("boris")
    world.sync()

    for path in ADDRESSES:
        response = world.browser.get(path, headers=boris)
        assert response.status_code == 403
        assert "Keller" not in response.text
        if path != "/team":
            assert response.json == {"error": "team_not_allowed"}
    response = world.browser.get("/team", headers=boris)
    assert errors_on(response.text) == ["team_not_allowed"]
    assert "Анна Орлова" in response.text


def test_everyone_sees_the_team_once_it_is_allowed(world: World) -> None:
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=world.session("anna"))
    boris = world.session("boris")
    world.sync()

    assert [world.browser.get(path, headers=boris).status_code for path in ADDRESSES] == [200] * len(ADDRESSES)
    html = world.browser.get("/team", headers=boris).text
    assert {7, 1} < set(users_on(html))
    # Beginning and ending a run stays with administrators.
    assert "data-run-start" not in html


def test_a_guest_never_sees_the_team(world: World) -> None:
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=world.session("anna"))
    otto = world.session("otto")
    before_the_list_is_read = [world.browser.get(path, headers=otto).status_code for path in ADDRESSES]
    world.bitrix24.clock.advance(60)
    world.sync()

    assert before_the_list_is_read == [403] * len(ADDRESSES)
    assert world.one("SELECT listed FROM people WHERE user_id = 18") in (False, 0)
    refused = world.browser.get("/team", headers=otto)
    assert refused.status_code == 403
    assert "The team is visible to employees" in refused.text


@pytest.mark.parametrize("listed", [False, True])
def test_a_guest_sees_no_administrators_names(world: World, listed: bool) -> None:
    otto = world.session("otto")
    if listed:
        world.bitrix24.clock.advance(60)
        world.sync()
    everybody_else = [one for key, one in world.portal().people.items() if key != "otto"]

    for path in (
        "/me",
        "/team",
        "/insights",
        "/admin",
        "/admin/calls",
        "/team.json",
        "/team.csv",
        "/team/sync",
    ):
        message = world.browser.get(path, headers=otto).text
        assert not [one.full_name for one in everybody_else if one.last_name in message], path


def test_a_guest_does_not_see_the_team_before_the_next_sync(world: World) -> None:
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=world.session("anna"))
    world.sync()

    otto = world.session("otto")

    assert world.one("SELECT listed FROM people WHERE user_id = 18") is None
    refused = world.browser.get("/team", headers=otto)
    assert refused.status_code == 403
    assert "The team is visible to employees" in refused.text


@pytest.mark.parametrize("read", ["by themselves", "by a run"])
def test_a_former_administrator_loses_access_when_their_settings_are_read(world: World, read: str) -> None:
    """Without another opening: their page is open all day."""
    anna = world.session("anna")
    world.portal().people["anna"].admin = False
    if read == "by a run":
        world.bitrix24.clock.advance(1)
        world.sync()
    else:
        assert world.browser.post("/me/refresh", headers=anna).status_code == 200

    assert {world.browser.get(path, headers=anna).status_code for path in ("/team", "/admin")} == {403}


def test_a_dismissed_person_loses_access_when_their_settings_are_read(world: World) -> None:
    anna = world.session("anna")
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=anna)
    world.sync()
    world.portal().dismiss("anna")

    assert world.browser.post("/me/refresh", headers=anna).status_code == 403

    assert {world.browser.get(path, headers=anna).status_code for path in ("/team", "/admin")} == {403}
    assert world.browser.get("/me", headers=anna).status_code == 200
    world.open("boris")
    world.sync()
    assert world.browser.get("/me", headers=anna).status_code == 401


def test_a_person_dismissed_by_mistake_returns_with_the_next_sync(world: World) -> None:
    anna = world.session("anna")
    world.sync()
    world.bitrix24.faults.add(Fault(kind="error:authorization_error:401", method="batch"))
    assert world.browser.post("/me/refresh", headers=anna).status_code == 403
    assert world.browser.get("/team", headers=anna).status_code == 403

    world.bitrix24.clock.advance(1)
    world.sync()

    assert world.browser.get("/team", headers=anna).status_code == 200


def test_a_former_administrator_loses_access(world: World) -> None:
    anna = world.session("anna")
    world.portal().people["anna"].admin = False
    world.open("anna")

    assert world.browser.get("/team", headers=anna).status_code == 403


def test_cached_figures_follow_a_refresh_at_once(world: World) -> None:
    anna = world.session("anna")
    assert "<b>1</b> of 1" in page(world, anna)

    store_people(world, {})

    assert "<b>2</b> of 2" in page(world, anna)


@on_sqlite
def test_a_page_is_bounded_in_a_portal_with_very_many_settings(each_world: World, anna: Session) -> None:
    store_people(
        each_world,
        *({"work_start": 600 + number % 50, "work_end": 700 + number // 50} for number in range(2100)),
        *[{"work_start": 60, "work_end": 120}] * 3,
        *({"view": f"custom {number:03}", "calendar_zone": ""} for number in range(150)),
    )

    html = page(each_world, anna)

    assert "too many different settings" in html
    # The largest groups are the ones counted, and the totals are of everyone.
    counts = [int(people.replace(",", "")) for people in re.findall(r"<tr data-chart-row>.*?<td>(.*?)</td>", html)]
    assert max(counts) <= MAX_VALUES + 2
    assert "<b>2,254</b> of 2,254" in html
    assert "150 people are not shown because their hours or time zones are unknown" in html
    assert len(re.findall(r'<option value="custom', html)) <= MAX_VIEWS


def test_rows_name_only_some_of_very_many_reminders(world: World) -> None:
    anna = world.session("anna")
    store_people(world, {"reminders": "timed:" + ",".join(f"{number}min" for number in range(1, 101))})

    html = page(world, anna)

    assert "10 minutes before" in html
    assert "11 minutes before" not in html
    assert "90 more" in html
