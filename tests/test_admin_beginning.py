"""Getting in: an administrator is shown the way to a full team until half of it has come."""

from __future__ import annotations

from tests.team_fixtures import NEVER_OPENED, in_english, store_people, text_of
from tests.world import World

BOX = "data-beginning"


def team(world: World, person: str = "anna") -> str:
    response = world.browser.get("/team", headers=in_english(world, person))
    assert response.status_code == 200
    return response.text


def test_it_tells_how_many_have_come(world: World) -> None:
    store_people(world, {}, *(NEVER_OPENED for _ in range(4)))

    shown = text_of(team(world), BOX)

    assert "6 people, according to Bitrix24." in shown
    assert "2 of 6 people have opened the app." in shown


def test_the_invitation_stands_there_once(world: World) -> None:
    store_people(world, *(NEVER_OPENED for _ in range(4)))

    assert team(world).count("Copy invitation") == 1


def test_it_goes_when_half_have_come(world: World) -> None:
    store_people(world, {}, NEVER_OPENED, NEVER_OPENED)

    shown = team(world)

    assert BOX not in shown
    assert shown.count("Copy invitation") == 1


def test_others_are_not_shown_it(world: World) -> None:
    store_people(world, *(NEVER_OPENED for _ in range(9)))
    world.browser.post("/admin/team", data={"everyone": "yes"}, headers=in_english(world))

    assert BOX not in team(world, "boris")


def test_an_empty_list_is_no_beginning(world: World) -> None:
    assert BOX not in team(world)
