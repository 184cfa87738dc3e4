"""Updating everyone from the page: start, progress, cancel."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.team_fixtures import Session
from tests.world import World


@pytest.fixture
def calm(world: World) -> World:
    """Give a world in which the first run is over."""
    world.bitrix24.clock.advance(60)
    world.sync()
    return world


def ask(world: World, method: str, path: str, session: Session) -> tuple[int, dict[str, Any]]:
    response = world.browser.open(path, method=method, headers=session)
    return response.status_code, response.json or {}


def test_an_update_from_start_to_end(calm: World) -> None:
    anna = calm.session("anna")

    status, begun = ask(calm, "POST", "/team/sync", anna)
    assert (status, begun["state"], begun["under_way"]) == (202, "waiting", True)
    assert ask(calm, "GET", "/team/sync", anna) == (200, begun)

    calm.sync()
    _, told = ask(calm, "GET", "/team/sync", anna)

    assert {name: told[name] for name in ("state", "total", "done", "failed", "eta_seconds")} == {
        "state": "done", "total": 1, "done": 1, "failed": 0, "eta_seconds": 0,
    }  # fmt: skip
    assert told["words"].startswith("Updated at ")
    assert calm.one("SELECT asked_by FROM runs ORDER BY id DESC LIMIT 1") == 1


def test_two_requests_start_one_update(calm: World) -> None:
    anna = calm.session("anna")
    before = calm.one("SELECT count(*) FROM runs")

    for _ in range(3):
        assert ask(calm, "POST", "/team/sync", anna)[0] == 202

    assert calm.one("SELECT count(*) FROM runs") == before + 1


def test_an_update_can_be_canceled(calm: World) -> None:
    anna = calm.session("anna")
    ask(calm, "POST", "/team/sync", anna)
    assert "data-as-of" not in calm.browser.get("/team", headers=anna).text  # the page is not up to date yet

    status, told = ask(calm, "POST", "/team/sync/cancel", anna)

    assert (status, told["state"], told["under_way"]) == (200, "cancelled", False)
    assert "The last update was canceled" in calm.browser.get("/team", headers=anna).text


def test_canceling_without_an_update_changes_nothing(calm: World) -> None:
    status, told = ask(calm, "POST", "/team/sync/cancel", calm.session("anna"))

    assert (status, told["state"]) == (200, "done")


def test_the_status_before_the_first_update(world: World) -> None:
    anna = world.session("anna")
    with world.database.write_session() as session:
        session.execute(text("DELETE FROM runs"))

    _, told = ask(world, "GET", "/team/sync", anna)

    assert (told["state"], told["total"], told["eta_seconds"]) == ("none", 0, None)
    assert world.browser.get("/team", headers=anna).status_code == 200


def test_the_page_shows_the_progress(calm: World) -> None:
    anna = calm.session("anna")
    ask(calm, "POST", "/team/sync", anna)
    with calm.database.write_session() as session:
        session.execute(
            text(
                "UPDATE runs SET state = 'running', directory_read = true, total = 200, done = 30, failed = 2"
                " WHERE finished_at IS NULL"
            )
        )

    shown = calm.browser.get("/team", headers=anna).text

    assert "data-under-way" in shown
    assert 'max="200" value="32"' in shown
    assert "32 of 200 updated" in shown
    assert "2 people could not be updated" in shown


def test_others_may_only_see_the_progress(calm: World) -> None:
    boris = calm.session("boris")
    for method, path in (("GET", "/team/sync"), ("POST", "/team/sync"), ("POST", "/team/sync/cancel")):
        assert ask(calm, method, path, boris) == (403, {"error": "team_not_allowed"})

    calm.browser.post("/admin/team", data={"everyone": "yes"}, headers=calm.session("anna"))

    assert ask(calm, "GET", "/team/sync", boris)[0] == 200
    for path in ("/team/sync", "/team/sync/cancel"):
        assert ask(calm, "POST", path, boris) == (403, {"error": "admin_only"})
    assert calm.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0


@pytest.mark.parametrize("path", ["/team/sync", "/team/sync/cancel"])
def test_a_click_after_an_uninstallation_changes_nothing(each_world: World, path: str) -> None:
    anna = each_world.session("anna")
    each_world.before_next_write(lambda: each_world.services.installations.uninstall(each_world.known()))

    assert ask(each_world, "POST", path, anna) == (401, {"error": "session_invalid"})

    assert each_world.one("SELECT count(*) FROM runs") == 0
    each_world.install()
    assert each_world.sync()["state"] == "done"


def test_a_click_after_a_reinstallation_changes_nothing(each_world: World) -> None:
    anna = each_world.session("anna")

    def install_again() -> None:
        each_world.services.installations.uninstall(each_world.known())
        each_world.install()

    each_world.before_next_write(install_again)

    assert ask(each_world, "POST", "/team/sync/cancel", anna) == (401, {"error": "session_invalid"})

    assert each_world.rows("SELECT state, generation, cancel FROM runs") == [
        {"state": "waiting", "generation": 2, "cancel": False}
    ]
