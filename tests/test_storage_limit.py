"""What the people of one portal may take up in the database altogether."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from dashboard.bitrix24 import users
from dashboard.people import storage_limit
from dashboard.people.storage_limit import CHANGE_BYTES, PERSON_BYTES
from dashboard.web.views import team_sync
from tests.emulator.cast import crowd
from tests.emulator.faults import Fault
from tests.waiting import HANG_SECONDS
from tests.world import World, errors_on, settings_on

# Ours and all that is stored, counted from the rows themselves.
ALPHA = "(SELECT min(id) FROM portals)"
COUNTED = f"SELECT stored_bytes FROM portals WHERE id = {ALPHA}"
PEOPLE = f"SELECT count(*) * {PERSON_BYTES} + coalesce(sum(snapshot_bytes), 0) FROM people WHERE portal_id = {ALPHA}"


def leave(monkeypatch: pytest.MonkeyPatch, world: World, room: int) -> None:
    """Set the limit to what is stored now and so many bytes more."""
    monkeypatch.setattr(storage_limit, "MAX_PORTAL_BYTES", world.one(COUNTED) + room)


def test_openings_and_updates_are_counted(each_world: World) -> None:
    world = each_world
    world.open("anna")
    world.open("boris")

    lengths = " + ".join(f"length(cast({name} AS TEXT))" for name in ("settings", "account", "sections"))
    joined = "snapshots JOIN people ON id = person_id"
    punctuation = len("[, , ]")
    assert world.one(f"SELECT max(abs(snapshot_bytes - ({lengths}) - {punctuation})) FROM {joined}") == 0
    assert world.one(COUNTED) == world.one(PEOPLE) > 2 * PERSON_BYTES
    before = world.one(COUNTED)
    world.open("boris")
    assert world.one(COUNTED) == before
    world.portal().people["boris"].settings["view"] = "m" * 1000
    world.open("boris")
    assert world.one(COUNTED) > before + 900
    changes = f"SELECT sum({CHANGE_BYTES} + length(before) + coalesce(length(after), 0)) FROM setting_changes"
    assert world.one(COUNTED) == world.one(PEOPLE) + world.one(changes)
    world.sync()
    assert world.one(COUNTED) == world.one(PEOPLE) + world.one(changes)


def test_a_full_portal_gets_no_new_people_and_the_others_work(
    each_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = each_world
    anna = world.session("anna")
    leave(monkeypatch, world, PERSON_BYTES - 1)

    newcomer = world.open("boris")
    world.sync()

    assert (newcomer.status_code, errors_on(newcomer.text)) == (403, ["portal_full"])
    assert "storage limit" in newcomer.text
    assert world.rows("SELECT user_id FROM people") == [{"user_id": world.portal().people["anna"].user_id}]
    assert sum("'event': 'portal_full'" in record.getMessage() for record in caplog.records) == 2
    assert world.open("anna").status_code == 200
    assert "storage limit is reached" in world.browser.get("/admin", headers=anna).text
    shown = json.loads(world.app.test_cli_runner().invoke(args=["portals", "show", "1", "--json"]).output)
    assert shown["max_stored_bytes"] - shown["stored_bytes"] == PERSON_BYTES - 1
    assert shown["directory_error"] == "portal_full"

    monkeypatch.undo()
    world.sync()
    assert world.one("SELECT directory_error FROM portals") is None
    assert world.open("boris").status_code == 200


def test_a_part_of_a_list_without_room_is_said_at_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    world.portal().add_people(*crowd(120))
    world.sync()
    everyone = world.one("SELECT count(*) FROM people")
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM people WHERE chain_state IS NULL AND user_id < 1000")
        connection.exec_driver_sql(f"UPDATE portals SET stored_bytes = ({PEOPLE})")
    remaining = world.one("SELECT count(*) FROM people")
    leave(monkeypatch, world, 0)
    world.portal().dismiss("person119")

    world.sync()

    assert world.one("SELECT directory_error FROM portals") == "portal_full"
    assert world.one("SELECT count(*) FROM people") == remaining - 1  # those who have left are deleted all the same
    monkeypatch.undo()
    world.sync()
    assert world.one("SELECT directory_error FROM portals") is None
    assert world.one("SELECT count(*) FROM people") == everyone - 1


def test_a_snapshot_without_room_keeps_the_previous_one(each_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = each_world
    anna = world.session("anna")
    before = world.portal().people["anna"].settings["view"]
    leave(monkeypatch, world, 100)
    world.portal().people["anna"].settings["view"] = "m" * 200

    response = world.browser.post("/me/refresh", headers=anna)

    assert (response.status_code, errors_on(response.text)) == (200, ["portal_full"])
    assert settings_on(response.text)["view"] == before
    world.portal().people["anna"].settings["view"] = "month"  # fits, as anything does that is not larger
    assert errors_on(world.open("anna").text) == []
    assert world.one(COUNTED) == world.one(PEOPLE)


def test_the_last_room_is_given_once(each_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two newcomers at once, the second one's transaction finds what the first has left."""
    world = each_world
    world.open("anna")
    leave(monkeypatch, world, 2 * PERSON_BYTES - 1)
    together = Barrier(2)

    def open_as(person: str) -> int:
        posted = world.portal().open_as(person)
        together.wait(timeout=HANG_SECONDS)
        return world.post("/", posted).status_code

    with ThreadPoolExecutor(2) as pool:
        codes = sorted(pool.map(open_as, ["boris", "marcus"]))

    assert codes == [200, 403]
    assert world.one(COUNTED) == world.one(PEOPLE) <= storage_limit.MAX_PORTAL_BYTES


@pytest.mark.parametrize("end", ["uninstalled", "deleted", "left", "dismissed"])
def test_a_deletion_frees_space(each_world: World, end: str) -> None:
    world = each_world
    world.open("boris")
    anna = world.session("anna")
    world.sync()

    if end == "uninstalled":
        world.services.installations.uninstall(world.known())
        assert world.one(COUNTED) == 0
        world.install()
    elif end == "deleted":
        world.browser.post("/admin/forget", headers=anna, data={"domain": world.portal().domain})
        assert world.one(COUNTED) == 0
        world.open("anna")
    elif end == "dismissed":  # a guest, whom no list of employees names
        with world.database.engine.begin() as connection:
            connection.execute(text("UPDATE people SET listed = false WHERE NOT is_admin AND opened_at IS NOT NULL"))
        world.portal().dismiss("boris")
        world.sync()
        assert world.one("SELECT count(*) FROM people WHERE opened_at IS NOT NULL") == 1
    else:
        world.portal().people.pop("boris")
        world.sync()

    assert world.one(COUNTED) == world.one(PEOPLE) > 0


def test_rows_of_another_version_are_counted_by_the_next_sync(each_world: World) -> None:
    """It neither adds nor subtracts."""
    world = each_world
    world.open("anna")
    with world.database.engine.begin() as connection:
        connection.execute(text("UPDATE portals SET stored_bytes = 0"))
        connection.execute(text("UPDATE people SET snapshot_bytes = 0"))

    world.sync()

    assert world.one(COUNTED) == world.one(PEOPLE) > world.one("SELECT count(*) FROM people") * PERSON_BYTES


def test_an_endless_list_fills_only_its_own_share(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(10_000)

    def endless(body: dict[str, Any]) -> dict[str, Any]:
        for key in body["result"]["result"]:
            if key.startswith("page"):
                body["result"]["result"][key] = [{"ID": next(numbers)} for _ in range(50)]
        return body

    monkeypatch.setattr(users, "MAX_USERS", 1000)
    world.open("anna")
    leave(monkeypatch, world, 600 * PERSON_BYTES)
    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=endless))
    world.sync()

    assert 500 < world.one("SELECT count(*) FROM people") <= 601
    assert world.rows("SELECT directory_error, directory_at IS NOT NULL AS is_read FROM portals") == [
        {"directory_error": "portal_full", "is_read": True}
    ]


def test_requested_runs_are_limited(world: World) -> None:
    """Each leaves a row for thirty days."""
    anna = world.session("anna")
    subject = f"runs {world.known().member_id}"
    for _ in range(team_sync.REQUESTED_RUN_LIMIT.depth):
        world.services.throttle.record_failure(subject, team_sync.REQUESTED_RUN_LIMIT)

    response = world.browser.post("/team/sync", headers=anna)

    assert (response.status_code, errors_on(response.text)) == (503, ["too_many_runs"])
    world.bitrix24.clock.advance(team_sync.REQUESTED_RUN_LIMIT.seconds)
    assert world.browser.post("/team/sync", headers=anna).status_code == 202
