"""Updating everyone from the page: start, progress, cancel."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.team_fixtures import Session
from tests.world import World


@pytest.fixture
def synced_world(world: World) -> World:
    """Give a world in which the first run is over."""
    world.bitrix24.clock.advance(60)
    world.sync()
    return world


def send(world: World, method: str, path: str, session: Session) -> tuple[int, dict[str, Any]]:
    response = world.browser.open(path, method=method, headers=session)
    return response.status_code, response.json or {}


def test_an_update_from_start_to_end(synced_world: World) -> None:
    anna = synced_world.session("anna")

    status, begun = send(synced_world, "POST", "/team/sync", anna)
    assert (status, begun["state"], begun["under_way"]) == (202, "waiting", True)
    assert send(synced_world, "GET", "/team/sync", anna) == (200, begun)

    synced_world.sync()
    _, body = send(synced_world, "GET", "/team/sync", anna)

    assert {name: body[name] for name in ("state", "total", "done", "failed", "eta_seconds")} == {
        "state": "done", "total": 1, "done": 1, "failed": 0, "eta_seconds": 0,
    }  # fmt: skip
    assert body["words"].startswith("Updated at ")
    assert synced_world.one("SELECT asked_by FROM runs ORDER BY id DESC LIMIT 1") == 1


def test_two_requests_start_one_update(synced_world: World) -> None:
    anna = synced_world.session("anna")
    before = synced_world.one("SELECT count(*) FROM runs")

    for _ in range(3):
        assert send(synced_world, "POST", "/team/sync", anna)[0] == 202

    assert synced_world.one("SELECT count(*) FROM runs") == before + 1


def test_an_update_can_be_canceled(synced_world: World) -> None:
    anna = synced_world.session("anna")
    send(synced_world, "POST", "/team/sync", anna)
    assert "data-as-of" not in synced_world.browser.get("/team", headers=anna).text  # the page is not up to date yet

    status, body = send(synced_world, "POST", "/team/sync/cancel", anna)

    assert (status, body["state"], body["under_way"]) == (200, "cancelled", False)
    assert "The last update was canceled" in synced_world.browser.get("/team", headers=anna).text


def test_canceling_without_an_update_changes_nothing(synced_world: World) -> None:
    status, body = send(synced_world, "POST", "/team/sync/cancel", synced_world.session("anna"))

    assert (status, body["state"]) == (200, "done")


def test_the_status_before_the_first_update(world: World) -> None:
    anna = world.session("anna")
    with world.database.write_session() as session:
        session.execute(text("DELETE FROM runs"))

    _, body = send(world, "GET", "/team/sync", anna)

    assert (body["state"], body["total"], body["eta_seconds"]) == ("none", 0, None)
    assert world.browser.get("/team", headers=anna).status_code == 200


def test_the_page_shows_the_progress(synced_world: World) -> None:
    anna = synced_world.session("anna")
    send(synced_world, "POST", "/team/sync", anna)
    with synced_world.database.write_session() as session:
        session.execute(
            text(
                "UPDATE runs SET state = 'running', directory_read = true, total = 200, done = 30, failed = 2"
                " WHERE finished_at IS NULL"
            )
        )

    page = synced_world.browser.get("/team", headers=anna).text

    assert "data-under-way" in page
    assert 'max="200" value="32"' in page
    assert "32 of 200 updated" in page
    assert "2 people could not be updated" in page


def test_others_may_only_see_the_progress(synced_world: World) -> None:
    boris = synced_world.session("boris")
    for method, path in (("GET", "/team/sync"), ("POST", "/team/sync"), ("POST", "/team/sync/cancel")):
        assert send(synced_world, method, path, boris) == (403, {"error": "team_not_allowed"})

    synced_world.browser.post("/admin/team", data={"who": "everyone"}, headers=synced_world.session("anna"))

    assert send(synced_world, "GET", "/team/sync", boris)[0] == 200
    for path in ("/team/sync", "/team/sync/cancel"):
        assert send(synced_world, "POST", path, boris) == (403, {"error": "admin_only"})
    assert synced_world.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0


@pytest.mark.parametrize("path", ["/team/sync", "/team/sync/cancel"])
def test_a_click_after_an_uninstallation_changes_nothing(each_world: World, path: str) -> None:
    anna = each_world.session("anna")
    each_world.before_next_write(lambda: each_world.services.installations.uninstall(each_world.known()))

    assert send(each_world, "POST", path, anna) == (401, {"error": "session_invalid"})

    assert each_world.one("SELECT count(*) FROM runs") == 0
    each_world.install()
    assert each_world.sync()["state"] == "done"


def test_a_click_after_a_reinstallation_changes_nothing(each_world: World) -> None:
    anna = each_world.session("anna")

    def install_again() -> None:
        each_world.services.installations.uninstall(each_world.known())
        each_world.install()

    each_world.before_next_write(install_again)

    assert send(each_world, "POST", "/team/sync/cancel", anna) == (401, {"error": "session_invalid"})

    assert each_world.rows("SELECT state, generation, cancel FROM runs") == [
        {"state": "waiting", "generation": 2, "cancel": False}
    ]
