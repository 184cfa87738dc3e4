"""What a person is told once, and what a refresh and an ended chain say."""

from __future__ import annotations

import re

import pytest

from tests.world import World, errors_on

FIRST = "data-first-open"


def _plain(page: str) -> str:
    """Return a page without the elements that only isolate the direction of a name."""
    return re.sub(r"</?bdi>", "", page)


def test_a_first_opening_says_who_sees_what(each_world: World) -> None:
    first, second = each_world.open("boris"), each_world.open("boris")

    assert FIRST in first.text
    assert FIRST not in second.text


def test_installing_is_not_opening(each_world: World) -> None:
    first, second = each_world.open("anna"), each_world.open("anna")

    assert FIRST in first.text
    assert 'href="/team"' in first.text.partition(FIRST)[2].partition("</section>")[0]
    assert FIRST not in second.text


def test_somebody_the_directory_knows_has_a_first_opening_too(world: World) -> None:
    world.open("anna")
    world.sync()

    assert FIRST in world.open("boris").text


def test_an_open_team_is_said_to_be_open(world: World) -> None:
    closed = world.open("boris").text
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("UPDATE portals SET team_open = 1")

    opened = world.open("amina").text

    assert "Nobody else can, unless an administrator" in closed
    assert "In this portal, everyone who opens the app can see everyone" in opened


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Updated just now. Nothing changed."),
        ({"view": "list"}, "Updated just now. 1 setting changed (View)."),
        ({"view": "list", "blink": "Y"}, "Updated just now. 2 settings changed (View and blink)."),
    ],
)
def test_a_refresh_says_what_it_found(world: World, change: dict[str, str], words: str) -> None:
    session = world.session("boris")
    world.portal().people["boris"].settings |= change

    assert words in _plain(world.browser.post("/me/refresh", headers=session).text)


def test_settings_that_went_away_have_changed_too(world: World) -> None:
    session = world.session("boris")
    del world.portal().people["boris"].settings["view"]

    assert "1 setting changed (View)" in _plain(world.browser.post("/me/refresh", headers=session).text)


def test_what_could_not_be_read_has_not_changed(world: World) -> None:
    session = world.session("boris")
    world.portal().people["boris"].broken = True

    page = world.browser.post("/me/refresh", headers=session).text

    assert "Updated just now" not in page
    assert errors_on(page) == ["ERROR_ARGUMENT"]


def test_an_ended_chain_says_how_to_mend_it(world: World) -> None:
    session = world.session("boris")
    with world.database.write_session() as store:
        store.connection().exec_driver_sql("UPDATE people SET chain_state = 'reconnect'")

    page = world.browser.get("/me", headers=session).text

    assert errors_on(page) == ["reconnect"]
    assert "Open the app from your portal's menu" in page.replace("&#39;", "'")
    # The next opening brings a new chain, and nothing is left to say.
    assert errors_on(world.open("boris").text) == []
