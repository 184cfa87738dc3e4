"""Admin: who may see the team, and who decided it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.team_fixtures import Session, in_english, text_of
from tests.world import World, errors_on


@pytest.fixture
def anna(world: World) -> Session:
    return in_english(world)


def switch(world: World, session: Session, **form: str) -> int:
    return world.browser.post("/admin/team", data=form, headers=session).status_code


def decided(world: World) -> tuple[bool, int | None]:
    (row,) = world.rows("SELECT team_open, team_switched_by FROM portals")
    return bool(row["team_open"]), row["team_switched_by"]


def test_at_first_only_administrators_see_the_team(world: World, anna: Session) -> None:
    html = world.browser.get("/admin", headers=anna).text

    assert decided(world) == (False, None)
    assert "Not changed since installation." in html


def test_the_page_names_who_changed_team_access_and_when(world: World, anna: Session) -> None:
    response = world.browser.post("/admin/team", data={"who": "everyone"}, headers=anna)

    assert response.status_code == 200
    assert decided(world) == (True, 1)
    assert text_of(response.text, "data-switched").startswith("Decided by Анна Орлова at")
    assert 'value="everyone" checked' in world.browser.get("/admin", headers=anna).text

    assert switch(world, anna, who="administrators") == 200
    assert decided(world) == (False, 1)


def test_a_person_who_has_left_is_not_named(world: World, anna: Session) -> None:
    switch(world, anna, who="everyone")
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET team_switched_by = 999"))

    assert "Decided by someone who has left" in world.browser.get("/admin", headers=anna).text


def test_only_administrators_change_team_access(world: World, anna: Session) -> None:
    boris = world.session("boris")

    for response in (
        world.browser.get("/admin", headers=boris),
        world.browser.post("/admin/team", data={"who": "everyone"}, headers=boris),
    ):
        assert response.status_code == 403
        assert errors_on(response.text) == ["admin_only"]
    assert decided(world) == (False, None)
    assert 'href="/admin"' not in world.open("boris").text


@pytest.mark.parametrize("form", [{}, {"everyone": ""}, {"who": "maybe"}, {"who": ""}, {"other": "yes"}])
def test_an_invalid_choice_changes_nothing(world: World, anna: Session, form: dict[str, str]) -> None:
    response = world.browser.post("/admin/team", data=form, headers=anna)

    assert response.status_code == 400
    assert errors_on(response.text) == ["invalid_request"]
    assert "The choice of who may see the team was not valid. Nothing was changed." in response.text
    assert decided(world) == (False, None)


def test_team_access_of_other_portals_stays(world: World, anna: Session) -> None:
    world.install("beta")

    switch(world, anna, who="everyone")

    assert world.one("SELECT count(*) FROM portals WHERE team_open") == 1
    dmitri = world.session("dmitri", "beta")
    assert world.browser.get("/team", headers=dmitri).status_code == 403


def test_a_change_overtaken_by_an_uninstallation_is_lost(each_world: World) -> None:
    anna = each_world.session("anna")
    # The last transaction stores the choice; those before it confirm that Anna is an administrator.
    last = each_world.writes_of(lambda: switch(each_world, anna, who="administrators")) - 1
    each_world.before_next_write(lambda: each_world.services.installations.uninstall(each_world.known()), after=last)

    assert switch(each_world, anna, who="everyone") == 401

    each_world.install()
    assert decided(each_world) == (False, None)
