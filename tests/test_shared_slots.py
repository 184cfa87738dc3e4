"""Threads are shared among portals: one whose pages are slow or many leaves some to the others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from dashboard.core import shared_slots
from dashboard.core.shared_slots import BURST_GAP_SECONDS, WAIT_SECONDS, PerKeyQueue, SlotRefused
from dashboard.services import Services
from tests.rest_fixtures import ManualClock, clock
from tests.waiting import wait_until
from tests.world import World, errors_on

__all__ = ["clock"]

OPENING_IN_CALENDAR = "/"
PATHS = (
    *("/team", "/team?q=a", "/team.json", "/team.csv", "/team.xlsx", "/insights", "/insights/hours"),
    *("/admin", "/admin/calls", "/admin/forget", "/admin/export.json", OPENING_IN_CALENDAR),
)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def take(queue: PerKeyQueue, key: str) -> None:
    with queue.hold(key):
        pass


def waiting_in(queue: PerKeyQueue, pool: ThreadPoolExecutor, number: int) -> list[Future[None]]:
    """Start threads that wait for a slot of *slow*; return once all of them do."""
    futures = [pool.submit(take, queue, "slow") for _ in range(number)]
    wait_until(lambda: queue._waiting["slow"] == number)
    return futures


def test_simultaneous_requests_are_all_answered(clock: ManualClock, pool: ThreadPoolExecutor) -> None:
    queue = PerKeyQueue(4, max_waiting=1, clock=clock)
    with ExitStack() as pages:
        for _ in range(4):
            pages.enter_context(queue.hold("slow"))
        pressed = waiting_in(queue, pool, 32)

    for request in pressed:
        request.result()
    assert not queue._held
    assert not queue._waiting


def test_a_slow_key_leaves_threads_to_others(clock: ManualClock, pool: ThreadPoolExecutor) -> None:
    queue = PerKeyQueue(2, max_waiting=1, clock=clock)
    with ExitStack() as pages:
        for _ in range(2):
            pages.enter_context(queue.hold("slow"))
        first = waiting_in(queue, pool, 1)

        clock.seconds += WAIT_SECONDS
        with pytest.raises(SlotRefused):
            take(queue, "slow")
        take(queue, "other")

    first[0].result()
    take(queue, "slow")


def test_a_burst_ends_with_a_pause(clock: ManualClock, pool: ThreadPoolExecutor) -> None:
    queue = PerKeyQueue(1, max_waiting=1, clock=clock)
    for pause, may_wait in ((0.0, True), (BURST_GAP_SECONDS - 1, False), (BURST_GAP_SECONDS, True)):
        clock.seconds += pause
        with queue.hold("slow"):
            futures = waiting_in(queue, pool, 1)
            if may_wait:
                futures += [pool.submit(take, queue, "slow")]
                wait_until(lambda: queue._waiting["slow"] == 2)
            else:
                with pytest.raises(SlotRefused):
                    take(queue, "slow")
        for future in futures:
            future.result()


def test_nobody_waits_for_long(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_slots, "WAIT_SECONDS", 0.01)
    queue = PerKeyQueue(1, max_waiting=1, clock=clock)

    with queue.hold("slow"), pytest.raises(SlotRefused):
        take(queue, "slow")


def test_a_deletion_frees_no_slot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal and its people then have other rows, but hold what they held."""
    monkeypatch.setattr(shared_slots, "WAIT_SECONDS", 0.0)
    services: Services = world.app.extensions["services"]
    anna = world.session("anna")
    member_id, row_id = world.known().member_id, world.known().id

    download = world.browser.get("/admin/export.json", headers=anna)
    form = {"domain": world.portal().domain}
    assert world.browser.post("/admin/forget", data=form, headers=anna).status_code == 200
    anna = world.session("anna")
    assert world.known().id != row_id
    statuses = [world.browser.get("/admin/export.json", headers=anna).status_code]
    with ExitStack() as pages:
        for _ in range(3):  # beside the download, half of a process's threads
            pages.enter_context(services.portal_queue.hold(member_id))
        statuses.append(world.browser.get("/team", headers=anna).status_code)
    with ExitStack() as requests:
        for _ in range(6):  # three quarters
            requests.enter_context(services.person_limit.hold((member_id, 1)))
        statuses.append(world.browser.get("/me", headers=anna).status_code)
    download.close()

    assert statuses == [503, 503, 503]
    assert [world.browser.get(path, headers=anna).status_code for path in ("/admin/export.json", "/me")] == [200, 200]


def test_pages_about_the_team_of_a_busy_portal_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.install("beta")
    anna, clara = world.session("anna"), world.session("clara", "beta")
    monkeypatch.setattr(shared_slots, "WAIT_SECONDS", 0.0)
    services: Services = world.app.extensions["services"]

    for path in PATHS:
        opening = world.portal().open_as("anna", placement="CALENDAR_GRIDVIEW", options={})
        with ExitStack() as pages:
            for _ in range(4):  # half of a process's threads
                pages.enter_context(services.portal_queue.hold(world.known().member_id))
            refused = world.post("/", opening) if path == OPENING_IN_CALENDAR else world.browser.get(path, headers=anna)
            others = [world.browser.get("/me", headers=anna), world.browser.get("/team", headers=clara)]

        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5"), path
        assert errors_on(refused.text) == ["too_many_requests_at_once"], path
        assert [other.status_code for other in others] == [200, 200], path
        assert world.browser.get("/team", headers=anna).status_code == 200, path
