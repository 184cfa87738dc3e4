"""What *My settings* says at a first opening, after a refresh and when a token is revoked."""

from __future__ import annotations

import re

import pytest

from tests.world import World, errors_on

FIRST = "data-first-open"


def _plain(page: str) -> str:
    """Return a page without the elements that only isolate the direction of a name."""
    return re.sub(r"</?bdi>", "", page)


def test_the_first_opening_explains_who_sees_what(each_world: World) -> None:
    first, second = each_world.open("boris"), each_world.open("boris")

    assert FIRST in first.text
    assert FIRST not in second.text


def test_an_installation_is_not_the_first_opening(each_world: World) -> None:
    first, second = each_world.open("anna"), each_world.open("anna")

    assert FIRST in first.text
    assert 'href="/team"' in first.text.partition(FIRST)[2].partition("</section>")[0]
    assert FIRST not in second.text


def test_a_listed_person_has_a_first_opening_too(world: World) -> None:
    world.open("anna")
    world.sync()

    assert FIRST in world.open("boris").text


def test_the_first_opening_says_that_the_team_is_visible(world: World) -> None:
    closed = world.open("boris").text
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("UPDATE portals SET team_open = 1")

    opened = world.open("amina").text

    assert "Nobody else can, unless an administrator" in closed
    assert "In this portal, all employees can see everyone" in opened


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Updated just now. Nothing changed."),
        ({"view": "list"}, "Updated just now. 1 setting changed (View)."),
        ({"view": "list", "blink": "Y"}, "Updated just now. 2 settings changed (View and blink)."),
    ],
)
def test_a_refresh_says_what_has_changed(world: World, change: dict[str, str], words: str) -> None:
    session = world.session("boris")
    world.portal().people["boris"].settings |= change

    assert words in _plain(world.browser.post("/me/refresh", headers=session).text)


def test_removed_settings_count_as_changed(world: World) -> None:
    session = world.session("boris")
    del world.portal().people["boris"].settings["view"]

    assert "1 setting changed (View)" in _plain(world.browser.post("/me/refresh", headers=session).text)


def test_unreadable_settings_do_not_count_as_changed(world: World) -> None:
    session = world.session("boris")
    world.portal().people["boris"].broken = True

    page = world.browser.post("/me/refresh", headers=session).text

    assert "Updated just now" not in page
    assert errors_on(page) == ["ERROR_ARGUMENT"]


def test_a_revoked_token_says_how_to_reconnect(world: World) -> None:
    session = world.session("boris")
    with world.database.write_session() as store:
        store.connection().exec_driver_sql("UPDATE people SET chain_state = 'reconnect'")

    page = world.browser.get("/me", headers=session).text

    assert errors_on(page) == ["reconnect"]
    assert "Open the app from your portal's menu" in page.replace("&#39;", "'")
    # The next opening brings a new chain, and nothing is left to say.
    assert errors_on(world.open("boris").text) == []
