"""Who may see the team: administrators only, heads the people of their departments, or everyone; on every route."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.emulator import Emulator
from tests.emulator.departments import Department
from tests.team_fixtures import Session, in_english, rows_on, users_on
from tests.world import World, errors_on, settings_on

BORIS_AND_BELOW = {7, 8, 10, 11}


@pytest.fixture(name="world", params=["sqlite_url", "migrated_postgres_url"], ids=["sqlite", "postgres"])
def _world(bitrix24: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    """Install where Boris heads *Engineering*, in which Olena works; Marcus and Ruth work in *Platform* below it."""
    bitrix24.portal("alpha").application.scopes.append("department")
    with World(bitrix24, str(request.getfixturevalue(request.param))) as world:
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


def test_a_former_head_sees_nothing_after_the_next_update(world: World) -> None:
    allow(world, "heads")
    boris = world.session("boris")
    world.portal().departments[1].head = 8
    world.sync()

    response = world.browser.get("/team", headers=boris)

    assert response.status_code == 403
    assert errors_on(response.text) == ["team_not_allowed"]
    assert status(world, "/team", world.session("olena")) == 200


def test_the_previous_version_decides_too(world: World) -> None:
    """It knows only the choice between administrators and everyone, and serves while a release migrates."""
    boris = world.session("boris")
    allow(world, "heads")
    for is_open, expected in ((True, 200), (False, 403)):
        with world.database.write_session() as session:
            values = {"is_open": is_open, "at": world.now().replace(year=2031)}
            session.execute(text("UPDATE portals SET team_open = :is_open, team_switched_at = :at"), values)
        assert status(world, "/insights", boris) == expected
        assert status(world, "/team", boris) == expected


def test_a_page_of_the_previous_version_still_decides(world: World) -> None:
    for form, stored in (({"everyone": "yes"}, True), ({"everyone": "no"}, False)):
        world.browser.post("/admin/team", data=form, headers=world.session("anna"))
        assert bool(world.one("SELECT team_open FROM portals")) is stored


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
