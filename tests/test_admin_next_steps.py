"""Next steps for administrators, until half of the team has opened the application."""

from __future__ import annotations

from tests.team_fixtures import NEVER_OPENED, in_english, store_people, text_of
from tests.world import World

BOX = "data-beginning"


def team(world: World, person: str = "anna") -> str:
    response = world.browser.get("/team", headers=in_english(world, person))
    assert response.status_code == 200
    return response.text


def test_the_card_counts_who_has_opened_the_app(world: World) -> None:
    store_people(world, {}, *(NEVER_OPENED for _ in range(4)))

    html = text_of(team(world), BOX)

    assert "6 people, according to Bitrix24." in html
    assert "2 of 6 people have opened the app." in html


def test_the_invitation_appears_once(world: World) -> None:
    store_people(world, *(NEVER_OPENED for _ in range(4)))

    assert team(world).count("Copy invitation") == 1


def test_the_card_disappears_when_half_have_opened_the_app(world: World) -> None:
    store_people(world, {}, NEVER_OPENED, NEVER_OPENED)

    html = team(world)

    assert BOX not in html
    assert html.count("Copy invitation") == 1


def test_only_administrators_see_the_card(world: World) -> None:
    world.open("boris")
    world.sync()
    store_people(world, *(NEVER_OPENED for _ in range(9)))
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=in_english(world))

    assert BOX not in team(world, "boris")


def test_an_empty_list_shows_no_card(world: World) -> None:
    assert BOX not in team(world)
