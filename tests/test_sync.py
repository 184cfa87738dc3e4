"""Runs: who is synced, what an error ends or postpones, and what the rate limit allows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, update

from dashboard import models
from dashboard.bitrix24 import users
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.transport import DEFAULT_LIMIT, ResponseLimit
from dashboard.models import OAuthToken, Portal, Run, RunState
from dashboard.portals import rate_limits
from dashboard.sync.engine import SyncEngine
from dashboard.sync.runs import LostLease, change_run
from dashboard.tokens.refresh import RefreshInProgress
from tests import clock
from tests.emulator import Fault
from tests.emulator.cast import crowd
from tests.emulator.people import Person, fresh_settings
from tests.team_fixtures import open_to_everyone
from tests.world import World

SETTINGS = "calendar.user.settings.get"


def people_by_key(world: World, portal: str = "alpha") -> dict[str, dict[str, Any]]:
    """Return the stored people of a portal by the emulator's keys."""
    there = world.portal(portal)
    rows = world.rows(f"SELECT * FROM people WHERE portal_id = {world.known(portal).id}")
    stored = {row["user_id"]: row for row in rows}
    return {key: stored[person.user_id] for key, person in there.people.items() if person.user_id in stored}


def open_as_crowd(world: World, count: int, *, of: int | None = None) -> None:
    """Add a crowd of employees and let some of them open the application."""
    world.portal().add_people(*crowd(of or count))
    for number in range(count):
        assert world.open(f"person{number}").status_code == 200
        world.bitrix24.clock.advance(0.5)


def test_everyone_is_synced_once(world: World) -> None:
    open_as_crowd(world, 45, of=60)
    for number in range(45):
        world.portal().people[f"person{number}"].settings["view"] = "day"
    # The openings were before the run starts, and the bucket is empty again.
    world.bitrix24.clock.advance(60)
    world.bitrix24.clear()

    run = world.sync()

    assert (run["state"], run["total"], run["done"], run["failed"]) == ("done", 46, 46, 0)
    assert world.bitrix24.count(method="batch", inner=SETTINGS) == 46
    assert world.bitrix24.count(error="QUERY_LIMIT_EXCEEDED") == 0
    stored = people_by_key(world)
    assert {stored[f"person{number}"]["view"] for number in range(45)} == {"day"}
    assert {stored[f"person{number}"]["chain_state"] for number in range(45, 60)} == {None}
    active = {key for key, one in world.portal().people.items() if one.active and not one.extranet}
    assert {key for key, row in stored.items() if row["listed"]} == active


def test_a_run_leaves_requests_for_people_who_click(world: World) -> None:
    open_as_crowd(world, 60)
    world.bitrix24.clock.advance(60)
    world.bitrix24.clear()

    with clock.frozen():
        world.services.runs.request(world.known(), by=None)
        for _ in range(12):
            world.run_slice()
        sent = world.bitrix24.count(where="portal")
        clicks = [world.open("boris").status_code for _ in range(14)]

    assert 30 <= sent <= 40
    assert clicks == [200] * 14
    assert world.bitrix24.count(error="QUERY_LIMIT_EXCEEDED") == 0


def test_expired_tokens_are_refreshed_once_each(world: World) -> None:
    open_as_crowd(world, 5)
    world.bitrix24.clock.advance(4000)
    world.bitrix24.clear()

    run = world.sync()

    assert (run["done"], run["failed"]) == (6, 0)
    assert world.bitrix24.refreshes() == 6


def test_one_persons_error_does_not_end_the_run(world: World) -> None:
    open_as_crowd(world, 6)
    alpha = world.portal()
    alpha.restrict("person0")
    alpha.people["person1"].broken = True
    alpha.expire("person2")
    alpha.kill_refresh("person2")
    world.bitrix24.clock.advance(60)

    run = world.sync()

    stored = people_by_key(world)
    assert (run["state"], run["total"], run["done"], run["failed"]) == ("done", 7, 4, 3)
    assert stored["person0"]["problem"] == "user_access_error"
    assert stored["person1"]["problem"] == "ERROR_ARGUMENT"
    assert stored["person2"]["chain_state"] == "reconnect"
    assert stored["person3"]["problem"] is None


def test_an_error_is_cleared_by_the_next_success(world: World) -> None:
    open_as_crowd(world, 1)
    world.portal().people["person0"].broken = True
    world.bitrix24.clock.advance(60)
    world.sync()
    world.portal().people["person0"].broken = False
    world.bitrix24.clock.advance(60)

    world.sync()

    assert people_by_key(world)["person0"]["problem"] is None


def test_a_former_employee_is_deleted_with_their_token(world: World) -> None:
    open_as_crowd(world, 3)
    world.sync()
    world.portal().dismiss("person1")
    world.bitrix24.clock.advance(60)

    world.sync()

    assert "person1" not in people_by_key(world)
    assert world.one("SELECT count(*) FROM chains") == 3
    assert world.browser.get("/me", headers=world.session("person2")).status_code == 200


def test_a_person_who_moves_to_another_page_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_CHECKED_USERS", 1)  # at once, and only once
    open_as_crowd(world, 2, of=80)
    world.sync()
    removed = world.portal().people["person60"].user_id

    def without_one(body: dict[str, Any]) -> dict[str, Any]:
        pages = body["result"]["result"]
        for page in pages.values() if isinstance(pages, dict) else pages:
            page[:] = [row for row in page if row["ID"] != str(removed)]
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", person="anna", change=without_one))
    world.sync()

    assert people_by_key(world)["person60"]["listed"]


def uncounted(body: dict[str, Any]) -> None:
    """Sync although an older portal sends no totals, and the last row is unusable."""
    body["result"]["result_total"] = []
    for page in body["result"]["result"].values():
        page[-1:] = [None] * bool(page)


def numbered(body: dict[str, Any]) -> None:
    for page in body["result"]["result"].values():
        for row in page:
            row["ID"] = int(row["ID"])


def with_gaps(body: dict[str, Any]) -> None:
    pages = body["result"]["result"]
    for key, page in pages.items():
        pages[key] = {str(2 * place): row for place, row in enumerate(page)}


def emptied(body: dict[str, Any]) -> None:
    """Empty fields come as null, false or an empty object, or not at all."""
    for page in body["result"]["result"].values():
        for row in page:
            row |= {"NAME": None, "LAST_NAME": False, "TIME_ZONE": {}, "ACTIVE": "Y"}
            del row["UF_DEPARTMENT"]


@pytest.mark.parametrize("shape", [uncounted, numbered, with_gaps, emptied])
def test_the_list_is_read_in_every_format(world: World, shape: Callable[[dict[str, Any]], None]) -> None:
    world.portal().add_people(*crowd(70))

    def shaped(body: dict[str, Any]) -> dict[str, Any]:
        if "page0" in body["result"]["result"]:
            shape(body)
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=shaped))
    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("done", None)
    stored = people_by_key(world)
    # Without totals the last row of each page is unusable, but the second page is read.
    assert stored["person60"]["listed"]
    assert sum(f"person{number}" in stored for number in range(70)) >= 68


def test_after_a_full_page_the_next_one_is_read_whatever_the_total(world: World) -> None:
    """`total` counts only the page: 50 of 230 people."""
    world.portal().add_people(*crowd(230))
    world.bitrix24.world.strictness.counts_page_only = True

    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("done", None)
    assert sum(key.startswith("person") for key in people_by_key(world)) == 230


def test_a_list_that_repeats_its_pages_is_incomplete(world: World) -> None:
    open_as_crowd(world, 2, of=230)
    world.open("otto")
    world.sync()
    anna = world.session("anna")
    assert "data-incomplete" not in world.browser.get("/team", headers=anna).text
    world.open("person229")
    with world.database.write_session() as session:
        # A person who is not on the first page is not marked as a guest for that.
        session.connection().exec_driver_sql("UPDATE people SET listed = NULL WHERE name LIKE '%229%'")
    world.portal().dismiss("person228")
    world.bitrix24.world.strictness.ignores_start = True
    world.bitrix24.clock.advance(60)
    world.bitrix24.clear()

    run = world.sync()

    assert run["state"] == "done"
    assert world.one("SELECT directory_error FROM portals") == "directory_incomplete"
    assert world.bitrix24.count(inner="user.get") < 20
    stored = people_by_key(world)
    assert sum(bool(row["listed"]) for key, row in stored.items() if key.startswith("person")) == 229
    assert stored["person229"]["listed"] is None
    for path in ("/team", "/admin"):
        assert "The list of employees is incomplete" in world.browser.get(path, headers=anna).text
    world.bitrix24.world.strictness.ignores_start = False
    world.sync()
    assert world.one("SELECT directory_error FROM portals") is None
    assert "person228" not in people_by_key(world)
    assert people_by_key(world)["person229"]["listed"]


def short_with_next(body: dict[str, Any]) -> None:
    """Pages of twenty instead of fifty."""
    for key, page in body["result"]["result"].items():
        body["result"]["result_next"] = {**(body["result"]["result_next"] or {}), key: 20}
        body["result"]["result_total"] = []
        del page[20:]


def counted_but_withheld(body: dict[str, Any]) -> None:
    for page in body["result"]["result"].values():
        body["result"]["result_next"] = []
        del page[10:]


@pytest.mark.parametrize("shape", [short_with_next, counted_but_withheld])
def test_a_list_that_is_cut_short_is_incomplete_and_deletes_nobody(
    world: World, shape: Callable[[dict[str, Any]], None]
) -> None:
    open_as_crowd(world, 1, of=120)
    world.sync()

    def cut(body: dict[str, Any]) -> dict[str, Any]:
        if "page0" in body["result"]["result"]:
            shape(body)
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=cut))
    world.sync()

    assert world.one("SELECT directory_error FROM portals") == "directory_incomplete"
    assert sum(key.startswith("person") for key in people_by_key(world)) == 120


def test_an_endless_list_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise workers would run out of memory again and again, and all runs would stop."""
    monkeypatch.setattr(users, "MAX_LIST_SIZE", 20_000)
    numbers = count(10_000)

    def endless(body: dict[str, Any]) -> dict[str, Any]:
        for key in body["result"]["result"]:
            if key.startswith("page"):
                rows = [{"ID": next(numbers), "NAME": "N" * 200, "UF_DEPARTMENT": [*range(1, 1000)]} for _ in range(50)]
                body["result"]["result"][key] = rows
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=endless))
    world.sync()

    assert world.one("SELECT directory_error FROM portals") == "directory_incomplete"
    assert world.one("SELECT count(*) FROM people WHERE user_id >= 10000") == 100
    (stored, *_) = world.rows("SELECT departments FROM people WHERE user_id = 10000")
    assert len(json.loads(stored["departments"])) == users.MAX_DEPARTMENTS_OF_USER


def in_slow_slices(world: World) -> SyncEngine:
    """Return an engine whose slices have time for one request each."""
    return replace(world.services.sync, clock=partial(next, count(step=3.0)))


def list_requests(world: World) -> int:
    return world.bitrix24.count(inner="user.get")


def test_a_long_list_is_read_in_several_slices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice stores a part, so that neither a thread nor the memory is held by a list of any length."""
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    monkeypatch.setattr(users, "MAX_CHECKED_USERS", 1)
    open_as_crowd(world, 1, of=120)
    world.sync()
    for number in (7, 8):
        world.portal().dismiss(f"person{number}")
    world.portal().people["person100"].name = "Renamed"
    world.bitrix24.clock.advance(60)
    world.bitrix24.clear()
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    read, remaining = [], []

    while world.one("SELECT count(*) FROM runs WHERE NOT directory_read"):
        (lease,) = runs.acquire()
        engine.run_slice(lease)
        world.bitrix24.clock.advance(1)
        read.append(list_requests(world))
        remaining.append(sum(f"person{number}" in people_by_key(world) for number in (7, 8)))
    run = world.sync()

    # Three parts of the list, the last one with the first of the two who left; then the other one, then nothing.
    assert (read, remaining) == ([1, 2, 4, 5, 5], [2, 2, 1, 0, 0])
    assert (run["state"], run["done"], run["list_position"]) == ("done", 2, None)
    assert people_by_key(world)["person100"]["name"].startswith("Renamed")
    assert world.one("SELECT directory_error FROM portals") is None


def test_a_list_that_repeats_pages_in_later_requests_is_incomplete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    monkeypatch.setattr(users, "MAX_USERS", 1000)
    world.portal().add_people(*crowd(120))
    world.bitrix24.world.strictness.ignores_start = True

    world.sync()

    assert world.one("SELECT directory_error FROM portals") == "directory_incomplete"
    assert list_requests(world) == 2


def test_a_reader_who_is_refused_later_is_followed_by_another_from_the_beginning(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their lists may differ, so nobody is deleted because two readers saw different parts."""
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    open_as_crowd(world, 1, of=120)
    world.sync()
    world.bitrix24.clear()
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    engine.run_slice(*runs.acquire())
    world.portal().restrict("anna")
    world.bitrix24.clock.advance(60)

    run = world.sync()

    assert run["state"] == "done"
    assert world.one("SELECT directory_error FROM portals") is None
    assert list_readers(world) == ["anna", "anna", *["person0"] * 3]  # a part, a refusal, and all parts
    assert sum(key.startswith("person") for key in people_by_key(world)) == 120


def list_readers(world: World) -> list[str | None]:
    return [record.person for record in world.bitrix24.requests if "user.get" in record.inner]


def test_one_reader_reads_all_parts_although_others_come_and_go(
    each_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is refused is left out of later queries, and whoever opens the application is added to them."""
    world = each_world
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    open_as_crowd(world, 2, of=120)
    world.portal().expire("anna")
    world.portal().kill_refresh("anna")
    world.bitrix24.clear()
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    engine.run_slice(*runs.acquire())
    assert people_by_key(world)["anna"]["chain_state"] == "reconnect"
    for key in ("anna", "person0"):
        world.open(key)
    world.bitrix24.clock.advance(5)
    engine.run_slice(*runs.acquire())
    revoked = people_by_key(world)["person1"]["id"]
    with world.database.write_session() as session:
        session.execute(update(models.Person).where(models.Person.id == revoked).values(chain_state="reconnect"))
    world.bitrix24.clock.advance(60)

    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("done", None)
    # Two parts of the first reader after Anna; the next one begins anew, because their lists may differ.
    assert list_readers(world) == ["anna", *["person1"] * 2, *["person0"] * 3]
    assert sum(key.startswith("person") for key in people_by_key(world)) == 120


def test_at_most_three_people_are_asked_for_one_list(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    open_as_crowd(world, 4, of=120)
    world.portal().restrict("anna")
    world.bitrix24.clear()
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    engine.run_slice(*runs.acquire())
    for key in ("person3", "person2"):
        world.portal().restrict(key)
    world.bitrix24.clock.advance(60)

    world.sync()

    assert list_readers(world) == ["anna", "person3", "person3", "person2"]
    assert world.one("SELECT directory_error FROM portals") is not None


def test_a_position_that_another_version_stored_begins_anew(world: World) -> None:
    open_as_crowd(world, 1, of=60)
    world.services.runs.request(world.known(), by=None)
    with world.database.write_session() as session:
        session.execute(update(Run).values(list_position={"start": 50, "pages": 1, "readers": 1}))

    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("done", None)
    assert sum(key.startswith("person") for key in people_by_key(world)) == 60


def test_a_list_that_ended_early_is_not_shown_as_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_BATCH_COMMANDS", 1)
    anna = world.session("anna")
    world.portal().add_people(*crowd(120))
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    engine.run_slice(*runs.acquire())
    assert "data-incomplete" not in world.browser.get("/team", headers=anna).text  # the run is still reading
    with world.database.write_session() as session:
        session.execute(update(models.Person).values(chain_state="reconnect"))
    world.bitrix24.clock.advance(60)

    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("done", "reconnect")
    for path in ("/team", "/admin"):
        text = world.browser.get(path, headers=anna).text
        assert "The list of employees couldn't be read" in text
        assert "Some people may be missing." in text


def test_a_first_run_that_failed_leaves_no_whole_list(world: World) -> None:
    anna = world.session("anna")
    world.bitrix24.faults.add(Fault("error:PAYMENT_REQUIRED:401", "portal", method="batch", times=None))

    run = world.sync()

    assert (run["state"], world.one("SELECT directory_error FROM portals")) == ("failed", None)
    for path in ("/team", "/admin"):
        text = world.browser.get(path, headers=anna).text
        assert "The list of employees hasn't been read yet." in text
        assert "Some people may be missing." in text


def test_a_slow_portal_leaves_its_thread_to_others_after_each_person(world: World) -> None:
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(60)
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    done = []

    while world.one("SELECT count(*) FROM runs WHERE finished_at IS NULL"):
        (lease,) = runs.acquire()
        engine.run_slice(lease)
        world.bitrix24.clock.advance(5)
        done.append(world.one("SELECT done FROM runs"))

    assert done == [0, 1, 2, 3, 4]


def test_a_slow_portal_that_is_down_is_found_in_one_slice(world: World) -> None:
    """Although the time of the slice ends with the first person: otherwise it would be tried for ever."""
    open_as_crowd(world, 3)
    world.sync()
    world.bitrix24.clock.advance(4000)
    runs, engine = world.services.runs, in_slow_slices(world)
    runs.request(world.known(), by=None)
    engine.run_slice(*runs.acquire())
    world.bitrix24.clock.advance(5)
    world.bitrix24.faults.add(Fault("reset", times=None))

    engine.run_slice(*runs.acquire())

    assert world.rows("SELECT state, attempts FROM runs WHERE finished_at IS NULL") == [
        {"state": "postponed", "attempts": 1}
    ]


def test_a_worker_that_stops_does_not_wait_for_another_process_to_refresh(world: World) -> None:
    refresher = world.services.snapshots.token_refresher
    stopping, waited = threading.Event(), list[float]()
    stopping.set()
    lease_token_elsewhere(world, "anna")
    with world.database.read_session() as session:
        anna = session.scalars(select(models.Person)).one()

    with pytest.raises(RefreshInProgress):
        replace(refresher, stopping=stopping, sleep=waited.append).refresh(
            world.known(), anna, record_call=record_nothing
        )

    assert waited == []


def test_an_oversized_page_is_cut_to_the_page_size(world: World) -> None:
    def too_long(body: dict[str, Any]) -> dict[str, Any]:
        for key in body["result"]["result"]:
            if key.startswith("page"):
                body["result"]["result"][key] = [{"ID": number} for number in range(10_000, 11_000)]
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=too_long))
    world.sync()

    assert world.one("SELECT directory_error FROM portals") == "directory_incomplete"
    assert world.one("SELECT count(*) FROM people WHERE user_id >= 10000") == users.PAGE_SIZE


@pytest.mark.parametrize("value", ["x" * (DEFAULT_LIMIT.bytes // 50), [1] * (DEFAULT_LIMIT.values // 50)])
def test_a_list_with_fields_that_were_not_requested_is_read(world: World, value: Any) -> None:
    """Some portals ignore the selection; a part of a list may be larger than other responses."""
    open_as_crowd(world, 1, of=60)

    def with_all_fields(body: dict[str, Any]) -> dict[str, Any]:
        for row in body["result"]["result"].get("page0", []):
            row["UF_SKILLS"] = value
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=with_all_fields))
    world.sync()

    assert world.one("SELECT directory_error FROM portals") is None
    assert sum(key.startswith("person") for key in people_by_key(world)) == 60


@pytest.mark.parametrize("asked", ["everyone", "the missing"])
def test_an_answer_too_large_to_read_postpones_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The stored list stays, and the stored people are synced."""
    open_as_crowd(world, 1, of=60)
    world.sync()
    world.portal().dismiss("person59")
    monkeypatch.setattr(users, "LIST_LIMIT", ResponseLimit(bytes=200_000, values=200_000))

    def oversized(body: dict[str, Any]) -> dict[str, Any]:
        pages = body["result"]["result"]
        if "page0" in pages and bool(pages["page0"]) == (asked == "everyone"):
            pages["page0"] = [{"ID": "1", "NAME": "N" * 300_000}]
        return body

    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=oversized))
    run = world.sync()

    assert (run["state"], run["done"]) == ("done", run["total"])
    assert run["total"] > 0
    error = world.one("SELECT directory_error FROM portals")
    assert error == ("directory_incomplete" if asked == "everyone" else None)
    assert sum(key.startswith("person") for key in people_by_key(world)) == 60


def test_an_answer_about_other_people_deletes_nobody(world: World) -> None:
    """People missing from the list are requested by id; a response about others is ignored."""
    open_as_crowd(world, 1, of=60)
    world.sync()

    def others(body: dict[str, Any]) -> dict[str, Any]:
        pages = body["result"]["result"]
        if "page0" in pages:
            pages |= dict.fromkeys(pages, first_page)
            body["result"]["result_total"] = body["result"]["result_next"] = []
        return body

    first_page = [{"ID": "1", "ACTIVE": True, "NAME": "Anna"}]
    world.bitrix24.faults.add(Fault("answer", "portal", method="batch", times=None, change=others))
    world.sync()

    assert sum(key.startswith("person") for key in people_by_key(world)) == 60


def test_a_guest_is_not_listed_as_an_employee(world: World) -> None:
    guest = Person("guest", 900, "Gu", "Est", fresh_settings("UTC"), "UTC", extranet=True)
    world.portal().add_people(guest)
    assert world.open("guest").status_code == 200

    world.sync()

    assert people_by_key(world)["guest"]["listed"] in (False, 0)
    assert world.one("SELECT count(*) FROM chains") == 2


def test_an_employee_who_has_become_a_guest_is_no_employee_before_the_first_list(world: World) -> None:
    world.open("boris")
    assert people_by_key(world)["boris"]["listed"] in (True, 1)
    world.portal().people["boris"].extranet = True

    world.open("boris")

    assert people_by_key(world)["boris"]["listed"] is None


def test_an_employee_who_has_become_a_guest_loses_the_team_at_an_opening(world: World) -> None:
    open_to_everyone(world, "boris")
    world.sync()
    session = world.session("boris")
    world.portal().people["boris"].extranet = True
    assert world.browser.get("/team", headers=session).status_code == 200

    world.open("boris")

    assert people_by_key(world)["boris"]["listed"] is None
    assert world.browser.get("/team", headers=session).status_code == 403
    assert world.browser.get("/team.csv", headers=session).status_code == 403


def test_a_guest_does_not_change_the_companys_hours(world: World) -> None:
    """Bitrix24 answers a guest with 9 to 19, whatever the company's hours are."""
    world.portal().add_people(Person("guest", 900, "Gu", "Est", fresh_settings("UTC"), "UTC", extranet=True))
    world.open("anna")

    world.open("guest")
    world.sync()

    assert world.rows("SELECT work_start, work_end FROM portals") == [{"work_start": 540, "work_end": 1110}]


def test_a_list_read_by_a_guest_deletes_nobody(world: World) -> None:
    """A guest sees only themselves, so their list must not delete the others."""
    open_as_crowd(world, 2)
    world.sync()
    for person in world.portal().people.values():
        person.extranet = True

    world.sync()

    assert people_by_key(world)["person0"]["listed"]
    assert world.one("SELECT directory_error FROM portals") == "directory_without_reader"


def test_after_a_guest_another_person_reads_the_list(world: World) -> None:
    open_as_crowd(world, 1)
    world.portal().people["anna"].extranet = True

    world.sync()

    assert world.one("SELECT directory_error FROM portals") is None


def test_without_the_scope_the_people_who_opened_are_synced(world: World) -> None:
    open_as_crowd(world, 2, of=5)
    world.portal().drop_scope("user_brief")
    world.bitrix24.clock.advance(60)

    run = world.sync()

    assert (run["state"], run["done"]) == ("done", 3)
    assert world.one("SELECT directory_error FROM portals") == "insufficient_scope"


@pytest.mark.parametrize(
    ("fault", "state", "code"),
    [
        ("error:PAYMENT_REQUIRED:401", "failed", "PAYMENT_REQUIRED"),
        ("error:OVERLOAD_LIMIT:503", "postponed", "OVERLOAD_LIMIT"),
        ("error:PORTAL_DELETED:403", "postponed", "PORTAL_DELETED"),
        ("reset", "postponed", "unreachable"),
        ("html:502", "postponed", "http_502"),
    ],
)
def test_the_portals_failure_ends_or_postpones_the_run(world: World, fault: str, state: str, code: str) -> None:
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(60)
    world.bitrix24.faults.add(Fault(fault, "portal", method="batch", times=None))

    run = world.sync()

    assert (run["state"], run["error"]) == (state, code)
    assert (run["done"], run["failed"]) == (0, 0)
    assert world.one("SELECT count(*) FROM chains WHERE state = 'live'") == 4


def test_a_postponed_run_continues_where_it_stopped(world: World) -> None:
    open_as_crowd(world, 5)
    world.bitrix24.clock.advance(60)
    fault = world.bitrix24.faults.add(Fault("reset", "portal", method="batch", person="person2", times=None))
    world.bitrix24.faults.add(Fault("reset", "portal", method="batch", person="person3", times=None))
    run = world.sync()
    assert (run["state"], run["done"]) == ("postponed", 3)
    world.bitrix24.faults.clear()
    assert fault.times is None
    world.bitrix24.clock.advance(61)
    world.bitrix24.clear()

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 6, 0)
    assert world.bitrix24.count(inner=SETTINGS) == 3


def test_one_unanswered_person_fails_alone(world: World) -> None:
    open_as_crowd(world, 4)
    world.bitrix24.clock.advance(60)
    world.bitrix24.faults.add(Fault("reset", "portal", method="batch", person="person1", times=None))

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 4, 1)
    assert people_by_key(world)["person1"]["problem"] == "unreachable"


@pytest.mark.parametrize("first", [1, 2])  # with and without a person after them
def test_two_unanswered_neighbors_do_not_block_the_people_after_them(world: World, first: int) -> None:
    open_as_crowd(world, 4)
    world.bitrix24.clock.advance(60)
    for number in (first, first + 1):
        world.bitrix24.faults.add(Fault("html:500", "portal", method="batch", person=f"person{number}", times=None))
    assert world.sync()["state"] == "postponed"
    world.bitrix24.clock.advance(61)

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 3, 2)
    assert people_by_key(world)[f"person{first}"]["problem"] == "http_500"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error:", "portal", method="batch", person="person1"),
        Fault("error:", "portal", inner=SETTINGS, person="person1"),
    ],
    ids=["of all", "of the settings"],
)
def test_an_error_without_a_code_is_stored(world: World, fault: Fault) -> None:
    open_as_crowd(world, 2)
    world.bitrix24.clock.advance(60)
    world.bitrix24.faults.add(fault)

    assert world.sync()["failed"] == 1

    assert people_by_key(world)["person1"]["problem"] == "empty_error_code"


def test_a_query_limit_slows_the_run_down_and_skips_nobody(world: World) -> None:
    open_as_crowd(world, 5)
    world.bitrix24.clock.advance(60)
    world.bitrix24.faults.add(
        Fault("error:QUERY_LIMIT_EXCEEDED:503", "portal", method="batch", person="person2", times=2)
    )

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 6, 0)
    assert world.one("SELECT rate FROM buckets") < 2


def test_a_run_waits_until_the_rate_limit_allows_more(world: World) -> None:
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(600)
    world.bitrix24.faults.add(Fault("error:QUERY_LIMIT_EXCEEDED:503", "portal", method="batch", person="person2"))
    world.services.runs.request(world.known(), by=None)

    world.run_slice()

    assert world.bitrix24.count(error="QUERY_LIMIT_EXCEEDED") == 1
    assert 5 < world.services.runs.seconds_to_next(at_most=60) < 60


def test_a_paused_method_postpones_the_run(world: World) -> None:
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(60)
    world.bitrix24.faults.add(
        Fault("error:OPERATION_TIME_LIMIT:429", "portal", inner=SETTINGS, person="person1", times=1)
    )

    run = world.sync()

    assert (run["state"], run["error"]) == ("postponed", "OPERATION_TIME_LIMIT")
    pauses = json.loads(world.one("SELECT pauses FROM buckets"))
    assert 590 < pauses[SETTINGS] - world.bitrix24.clock.now() <= 600
    world.bitrix24.clock.advance(601)
    assert world.sync()["done"] == 4


def test_an_uninstallation_found_by_a_run_deletes_everything(world: World) -> None:
    open_as_crowd(world, 2)
    world.bitrix24.clock.advance(60)
    world.services.runs.request(world.known(), by=None)
    world.portal().uninstall()

    world.run_slice()

    assert world.one("SELECT state FROM portals") == "uninstalled"
    assert world.one("SELECT count(*) FROM people") == 0
    assert world.one("SELECT count(*) FROM runs") == 0
    assert world.one("SELECT count(*) FROM api_calls WHERE portal_id IS NOT NULL") == 0


def test_an_uninstallation_ends_a_run_under_way(world: World) -> None:
    open_as_crowd(world, 14)
    world.bitrix24.clock.advance(60)
    world.services.runs.request(world.known(), by=None)
    world.run_slice()
    world.services.installations.uninstall(world.known())

    world.run_slice()

    assert world.one("SELECT count(*) FROM runs") == 0
    assert world.one("SELECT count(*) FROM snapshots") == 0


def test_two_requests_create_one_run(each_world: World) -> None:
    portal = each_world.known()
    each_world.services.runs.request(portal, by=1)
    each_world.services.runs.request(portal, by=7)

    assert each_world.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 1


def test_a_leased_run_is_not_acquired_again(each_world: World) -> None:
    portal = each_world.known()
    each_world.services.runs.request(portal, by=None)
    first, second = each_world.services.runs.acquire(), each_world.services.runs.acquire()

    assert [lease.portal.id for lease in first] == [portal.id]
    assert second == []


def test_portals_take_turns(world: World) -> None:
    names = ["alpha", "beta", "gamma"]
    world.bitrix24.add_portal("gamma")
    for name in names:
        world.install(name)
        world.portal(name).add_people(*crowd(24))
        for number in range(24):
            world.open(f"person{number}", name)
    world.bitrix24.clock.advance(120)
    world.bitrix24.clear()
    for name in names:
        world.services.runs.request(world.known(name), by=None)

    for _ in range(6):
        (lease,) = world.services.runs.acquire()
        world.services.sync.run_slice(lease)

    done = world.rows("SELECT done FROM runs WHERE finished_at IS NULL")
    assert [row["done"] for row in done] == [20, 20, 20]


def test_workers_that_acquire_at_once_get_different_runs(each_world: World) -> None:
    runs, portal = each_world.services.runs, each_world.known()
    columns = {column.name for column in Portal.__table__.columns} - {"id", "member_id"}
    same = {name: getattr(portal, name) for name in columns}
    with each_world.database.write_session() as session:
        for number in range(40):
            session.add(there := Portal(member_id=f"{number:032}", **same))
            session.flush()
            runs.ensure(session, there, by=None)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: runs.acquire(limit=5), range(24)))

    claimed = [lease.run.id for leases in claims for lease in leases]
    assert len(claimed) == len(set(claimed)) == 41


def test_a_dead_workers_run_continues_after_its_lease(each_world: World) -> None:
    open_as_crowd(each_world, 3)
    each_world.bitrix24.clock.advance(60)
    portal = each_world.known()
    each_world.services.runs.request(portal, by=None)
    (dead,) = each_world.services.runs.acquire()
    each_world.bitrix24.clock.advance(21)

    run = each_world.sync()

    assert (run["state"], run["done"]) == ("done", 4)
    with pytest.raises(LostLease), each_world.database.write_session() as session:
        change_run(session, dead, done=99)
    assert each_world.one("SELECT max(done) FROM runs") == 4


def test_a_run_of_an_earlier_installation_fails(world: World) -> None:
    world.services.runs.request(world.known(), by=None)
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE portals SET generation = 2")

    world.run_slice()

    assert world.rows("SELECT state, error FROM runs") == [{"state": "failed", "error": "installation_ended"}]


def test_a_run_is_canceled_between_two_people(world: World) -> None:
    open_as_crowd(world, 14)
    world.bitrix24.clock.advance(60)
    portal = world.known()
    world.services.runs.request(portal, by=1)
    world.run_slice()

    world.services.runs.cancel(portal)
    world.run_slice()

    progress = world.services.runs.progress(portal)
    assert progress is not None
    assert (progress.state, progress.done) == (RunState.CANCELED, 10)


def test_the_newest_run_is_shown_after_a_clock_was_ahead(world: World) -> None:
    portal = world.known()
    world.sync()
    with world.database.write_session() as session:
        session.execute(update(Run).values(created_at=world.now() + timedelta(hours=1)))
    world.services.runs.request(portal, by=1)

    progress = world.services.runs.progress(portal)

    assert progress is not None
    assert progress.state == RunState.WAITING


def test_a_run_canceled_while_a_worker_has_it_is_not_released(world: World) -> None:
    """Otherwise it would be shown as postponed, and continue later."""
    portal = world.known()
    world.services.runs.request(portal, by=1)
    (lease,) = world.services.runs.acquire()
    world.services.runs.cancel(portal)

    with pytest.raises(LostLease):
        world.services.runs.release(lease, at=world.now(), state=RunState.POSTPONED)


def test_the_eta_follows_the_rate_limit(world: World) -> None:
    open_as_crowd(world, 60)
    world.bitrix24.clock.advance(60)
    portal = world.known()
    with clock.frozen():
        world.services.runs.request(portal, by=1)
        world.run_slice()

        progress = world.services.runs.progress(portal)

    assert progress is not None
    assert progress.eta_seconds is not None
    assert 12 <= progress.eta_seconds <= 40


def test_the_eta_follows_a_slow_portals_response_times(world: World) -> None:
    open_as_crowd(world, 30)
    world.bitrix24.clock.advance(60)
    portal = world.known()
    world.services.runs.request(portal, by=1)
    world.run_slice()
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE api_calls SET milliseconds = 5000")

    progress = world.services.runs.progress(portal)

    assert progress is not None
    assert progress.eta_seconds == 5 * (31 - progress.done)


def test_the_next_run_is_at_night_in_the_most_common_time_zone(world: World) -> None:
    world.sync()

    planned = world.known().next_run_at

    assert planned is not None
    # Anna, the only connected person, lives in Moscow (UTC+3).
    assert (planned.hour * 60 + planned.minute) >= 22 * 60 + 30 or planned.hour < 2


def lease_token_elsewhere(world: World, person: str) -> None:
    """Let another process hold the lease of a person's token."""
    chain = select(models.Person.id).where(models.Person.user_id == world.portal().people[person].user_id)
    lease = {"lease_owner": "somebody", "lease_until": world.now() + timedelta(seconds=40)}
    with world.database.write_session() as session:
        session.execute(update(OAuthToken).where(OAuthToken.person_id.in_(chain)).values(lease))


def test_a_run_returns_to_a_person_whose_token_a_killed_process_refreshed(
    each_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.tokens.refresh.MAX_LEASE_WAIT_SECONDS", 0.01)
    open_as_crowd(each_world, 3)
    each_world.bitrix24.clock.advance(60)
    each_world.portal().expire("person1")
    lease_token_elsewhere(each_world, "person1")

    run = each_world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 4, 0)
    assert each_world.bitrix24.refreshes("person1") == 1


def test_a_token_that_is_always_being_refreshed_fails_one_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.tokens.refresh.MAX_LEASE_WAIT_SECONDS", 0.01)
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(60)
    world.portal().expire("person1")
    world.services.runs.request(world.known(), by=None)

    for _ in range(6):
        lease_token_elsewhere(world, "person1")
        world.run_slice()
        world.bitrix24.clock.advance(41)

    assert world.rows("SELECT state, done, failed FROM runs WHERE id > 1 OR done > 0") == [
        {"state": "done", "done": 3, "failed": 1}
    ]
    assert people_by_key(world)["person1"]["problem"] == "renewal_busy"


# A clock that was ahead


@pytest.mark.parametrize("state", ["waiting", "between slices", "leased", "postponed"])
def test_a_run_is_due_after_the_clock_was_set_back(each_world: World, state: str) -> None:
    each_world.bitrix24.clock.advance(60)
    runs, portal = each_world.services.runs, each_world.known()
    runs.request(portal, by=None)
    if state != "waiting":
        (lease,) = runs.acquire()
    if state == "between slices":
        runs.release(lease, at=each_world.now() + timedelta(seconds=2))
    if state == "postponed":
        runs.release(lease, at=each_world.now() + timedelta(minutes=1), state=RunState.POSTPONED)
    each_world.bitrix24.clock.advance(-3 * 3600)

    assert runs.seconds_to_next(at_most=60) == 0
    assert len(runs.acquire()) == 1


def test_a_run_keeps_its_pace_after_the_clock_was_set_back(world: World) -> None:
    open_as_crowd(world, 45)
    world.bitrix24.clock.advance(60)
    world.services.runs.request(world.known(), by=None)
    for _ in range(4):
        world.run_slice()
    world.bitrix24.clock.advance(-3 * 3600)
    world.portal().bucket = None  # the portal's clock is right, so its bucket is empty
    began = world.bitrix24.clock.now()

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 46, 0)
    assert world.bitrix24.clock.now() - began < 60


def test_a_person_synced_by_a_clock_that_was_ahead_is_synced_again(world: World) -> None:
    open_as_crowd(world, 3)
    world.bitrix24.clock.advance(-3 * 3600)
    world.portal().bucket = None
    world.bitrix24.clear()

    assert world.sync()["done"] == 4

    assert world.bitrix24.count(inner=SETTINGS) == 4


def test_a_method_is_paused_no_longer_than_its_window(world: World) -> None:
    portal_id, until = world.known().id, world.now() + timedelta(hours=3)
    with world.database.write_session() as session:
        rate_limits.pause(session, portal_id, SETTINGS, until=until.timestamp())
    open_as_crowd(world, 1)
    world.bitrix24.clock.advance(60)

    assert world.sync()["state"] == "done"
