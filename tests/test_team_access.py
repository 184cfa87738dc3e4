"""Who may see the team: administrators only, heads the people of their departments, or everyone; on every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from dashboard.models import Portal
from tests.databases import on_both_databases, url_for
from tests.emulator import Emulator, Fault
from tests.emulator.departments import Department
from tests.team_fixtures import Session, in_english, rows_on, text_of, users_on
from tests.world import World, errors_on, settings_on

BORIS_AND_BELOW = {7, 8, 10, 11}


@pytest.fixture(name="world")
def _world(bitrix24: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    """Install where Boris heads *Engineering*, in which Olena works; Marcus and Ruth work in *Platform* below it."""
    bitrix24.portal("alpha").application.scopes.append("department")
    with World(bitrix24, url_for(request)) as world:
        world.install()
        for person in ("boris", "olena", "marcus", "julia", "amina"):
            world.open(person)
        world.sync()
        yield world


def allow(world: World, who: str) -> int:
    session = world.session("anna")
    return world.browser.post("/admin/team", data={"who": who}, headers=session).status_code


def status(world: World, path: str, session: Session) -> int:
    return world.browser.get(path, headers=session).status_code


@on_both_databases("world")
def test_under_each_rule_each_person_gets_what_it_says(world: World) -> None:
    sessions = {person: world.session(person) for person in ("anna", "boris", "olena")}
    expected = {"administrators": (200, 403, 403), "heads": (200, 200, 403), "everyone": (200, 200, 200)}
    for who, statuses in expected.items():
        assert allow(world, who) == 200
        for path in ("/team", "/team.json", "/team.csv", "/team/sync"):
            assert tuple(status(world, path, session) for session in sessions.values()) == statuses, (who, path)
        # Insights counts the whole team, so a head does not see it.
        insights = statuses if who != "heads" else (200, 403, 403)
        assert tuple(status(world, "/insights", session) for session in sessions.values()) == insights


@on_both_databases("world")
def test_a_head_sees_only_the_people_in_and_below_their_departments(world: World) -> None:
    allow(world, "heads")
    boris, anna = in_english(world, "boris"), world.session("anna")
    whole = world.browser.get("/team", headers=anna).text

    page = world.browser.get("/team", headers=boris).text
    exported = world.browser.get("/team.json", headers=boris).get_json()

    assert set(users_on(page)) == {person["user"] for person in exported["people"]} == BORIS_AND_BELOW
    assert (exported["total"], len(users_on(whole))) == (4, 12)
    assert "4 people" in page
    assert "Anna" not in page
    assert "Анна" not in page
    filters = {"department=1": BORIS_AND_BELOW, "department=3": {10, 11}, "department=4": {8}, "q=Анна": set()}
    for query, people in filters.items():
        response = world.browser.get(f"/team?{query}", headers=boris)
        assert (response.status_code, set(users_on(response.text))) == (200, people), query
    # The cached numbers of one viewer never reach another.
    assert len(users_on(world.browser.get("/team", headers=anna).text)) == 12


def test_a_head_of_a_department_above_sees_the_whole_branch(world: World) -> None:
    world.portal().departments[0] = Department(1, "Alpha", head=9)
    world.sync()
    allow(world, "heads")

    assert len(users_on(world.browser.get("/team", headers=world.session("julia")).text)) == 12


def test_a_head_of_departments_below_each_other_sees_them_all(world: World) -> None:
    for department in world.portal().departments[1:3]:
        department.head = 7
    world.portal().departments[2].parent = world.portal().departments[1].id
    allow(world, "heads")
    world.sync()

    assert set(users_on(world.browser.get("/team", headers=world.session("boris")).text)) == BORIS_AND_BELOW


def test_a_former_head_sees_nothing_after_the_next_update(world: World) -> None:
    allow(world, "heads")
    boris = world.session("boris")
    world.portal().departments[1].head = 8
    world.sync()

    response = world.browser.get("/team", headers=boris)

    assert response.status_code == 403
    assert errors_on(response.text) == ["team_not_allowed"]
    assert status(world, "/team", world.session("olena")) == 200


@pytest.mark.parametrize("path", ["/team.json", "/team"])
def test_a_former_head_sees_and_exports_nothing(world: World, path: str) -> None:
    """An export asks at that moment which departments the person heads; pages ask within minutes."""
    allow(world, "heads")
    boris, julia = world.session("boris"), world.session("julia")
    assert status(world, "/team", boris) == 200
    world.portal().departments[1].head = 8
    world.bitrix24.clock.advance(0 if path == "/team.json" else 200)

    assert status(world, path, boris) == 403
    assert status(world, "/team.json", julia) == 200


def test_openings_confirm_no_headship(world: World) -> None:
    allow(world, "heads")
    boris = world.session("boris")
    assert status(world, "/team", boris) == 200
    world.portal().departments[1].head = 8
    world.bitrix24.clock.advance(200)
    world.open("boris")

    assert status(world, "/team", boris) == 403


def test_a_headship_that_cannot_be_confirmed_lasts_for_minutes(world: World) -> None:
    allow(world, "heads")
    boris = world.session("boris")
    assert status(world, "/team", boris) == 200
    world.bitrix24.faults.add(Fault("error:ERROR_CORE:400", inner="department.get", times=None))
    world.bitrix24.clock.advance(300)

    assert status(world, "/team", boris) == 200
    assert status(world, "/team.json", boris) >= 400
    world.bitrix24.clock.advance(900)
    assert status(world, "/team", boris) >= 400


@pytest.mark.parametrize("path", ["/team.json", "/team", "/plan", "/reach/10"])
def test_without_the_permission_for_departments_nobody_sees_the_team_as_a_head(world: World, path: str) -> None:
    allow(world, "heads")
    boris = world.session("boris")
    assert status(world, path, boris) == 200
    with world.database.write_session() as session:
        portal = session.scalars(select(Portal)).one()
        portal.scopes = [scope for scope in portal.scopes or () if scope != "department"]

    assert status(world, path, boris) == 403


def test_the_previous_version_decides_too(world: World) -> None:
    """It knows only the choice between administrators and everyone, and serves while a release migrates."""
    boris = world.session("boris")
    allow(world, "heads")
    for is_open, expected in ((True, 200), (False, 403)):
        with world.database.write_session() as session:
            values = {"is_open": is_open, "at": world.now() + timedelta(days=2000)}
            session.execute(text("UPDATE portals SET team_open = :is_open, team_switched_at = :at"), values)
        assert status(world, "/insights", boris) == expected
        assert status(world, "/team", boris) == expected


def test_a_page_of_the_previous_version_still_decides(world: World) -> None:
    for form, stored in (({"everyone": "yes"}, True), ({"everyone": "no"}, False)):
        world.browser.post("/admin/team", data=form, headers=world.session("anna"))
        assert bool(world.one("SELECT team_open FROM portals")) is stored


@on_both_databases("world")
def test_the_filter_finds_a_department_with_those_below(world: World) -> None:
    anna = in_english(world)

    page = world.browser.get("/team?department=2", headers=anna).text

    assert set(users_on(page)) == BORIS_AND_BELOW
    assert {row["user"]: row["departments"] for row in rows_on(page)}["8"] == "2 4"
    assert users_on(world.browser.get("/team?department=x", headers=anna).text) == []
    assert "Platform &lt;b&gt;" in page


def test_without_departments_nothing_of_them_shows(world: World) -> None:
    world.portal().drop_scope("department")
    world.sync()
    anna = in_english(world)

    page, admin = (world.browser.get(path, headers=anna).text for path in ("/team", "/admin"))

    assert "department" not in page.lower()
    assert 'value="heads"' not in admin
    assert "data-no-departments" in admin


def test_the_first_opening_is_true_for_each_rule(world: World) -> None:
    allow(world, "heads")

    first = world.open("mere").text

    assert settings_on(first)
    assert "the heads of your departments can see them" in first


# Tabs and notes


def tabs(world: World, person: str) -> list[str]:
    """Return the tabs that a person has after opening the application."""
    return re.findall(r'href="(/[a-z]+)" data-page', world.open(person).text)


def test_nobody_has_a_tab_that_they_cannot_use(world: World) -> None:
    own, everything = ["/me"], ["/me", "/team", "/plan", "/insights", "/admin"]
    expected = {
        "administrators": (everything, own, own),
        "heads": (everything, ["/me", "/team", "/plan"], own),
        "everyone": (everything, everything[:-1], everything[:-1]),
    }
    for who, people in expected.items():
        allow(world, who)
        assert tuple(tabs(world, person) for person in ("anna", "boris", "olena")) == people, who
    # A guest keeps to their own settings whatever is allowed.
    assert tabs(world, "otto") == own


def test_insights_appears_with_its_content(bitrix24: Emulator, sqlite_url: str) -> None:
    with World(bitrix24, sqlite_url) as world:
        world.install()
        world.sync()
        allow(world, "everyone")
        appears = {}
        for person in ("boris", "olena", "marcus", "julia"):
            world.open(person)
            appears[person] = tuple("/insights" in tabs(world, reader) for reader in ("anna", "boris"))

    # Two connected people for administrators, five for others.
    assert appears == {
        "boris": (True, False),
        "olena": (True, False),
        "marcus": (True, False),
        "julia": (True, True),
    }


def note(world: World, path: str, session: Session) -> str:
    response = world.browser.get(path, headers=session)
    assert (response.status_code, errors_on(response.text)) == (403, ["team_not_allowed"])
    assert "notice--neutral" in response.text
    assert "Code:" not in response.text
    return text_of(response.text, 'data-error="team_not_allowed"')


def test_an_address_opened_anyway_says_whom_to_ask(world: World) -> None:
    olena, boris = in_english(world, "olena"), in_english(world, "boris")
    for who, title in {
        "administrators": "The team is visible to administrators",
        "heads": "The team is visible to department heads",
    }.items():
        allow(world, who)
        words = note(world, "/team", olena)
        assert f"{title} Ask Анна Орлова for access." in words
        assert "Copy request" in words
        assert "Could you let me see the team" in words
    # A head sees a part of the team, so Insights says something else.
    assert "Insights are visible to administrators" in note(world, "/insights", boris)


def test_guests_are_given_no_name(world: World) -> None:
    allow(world, "heads")
    otto = in_english(world, "otto")
    before_the_list = note(world, "/team", otto)
    world.bitrix24.clock.advance(60)
    world.sync()
    after_the_list = note(world, "/team", otto)

    for words in (before_the_list, after_the_list):
        assert "Анна" not in words
        assert "Copy request" not in words
    assert "The team is visible to employees" in after_the_list


def test_the_administrator_who_decided_is_asked(world: World) -> None:
    world.portal().people["marcus"].admin = True
    world.open("marcus")
    world.browser.post("/admin/team", data={"who": "heads"}, headers=world.session("anna"))
    world.bitrix24.clock.advance(60)
    world.open("marcus")

    assert "Ask Анна Орлова for access." in note(world, "/team", in_english(world, "olena"))


def test_heads_are_named_to_administrators(world: World) -> None:
    page = world.browser.get("/admin", headers=in_english(world)).text

    # The head of the fifth department is nobody of this portal.
    assert "3 heads: Boris Keller, Júlia D&#39;Ávila, and Анна Орлова." in re.sub(r"</?bdi>", "", page)


def test_the_hint_follows_the_permission(world: World) -> None:
    anna = in_english(world)
    assert "data-no-departments" not in world.browser.get("/admin", headers=anna).text
    with world.database.write_session() as session:
        session.execute(text("DELETE FROM departments"))

    granted = text_of(world.browser.get("/admin", headers=anna).text, "data-no-departments")
    world.portal().drop_scope("department")
    world.bitrix24.clock.advance(86_500)
    missing = text_of(world.browser.get("/admin", headers=in_english(world)).text, "data-no-departments")

    assert "is granted, but no departments have been read" in granted
    assert "you could also let heads see their departments" in missing
