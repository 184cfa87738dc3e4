"""What was counted in a portal is kept for seconds, and counted once for all who ask at the same time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event

import pytest
from sqlalchemy.orm import Session

from dashboard.core.waiting_threads import WaitingThreads
from dashboard.models import Portal
from dashboard.team.portal_cache import MAX_AGE, MAX_RESULTS, PortalCache
from tests.waiting import HANG_SECONDS
from tests.world import World


def test_simultaneous_requests_share_one_computation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.install()
    portal, started, may_end, counted = world.known(), Event(), Event(), list[int]()

    def count(session: Session, counted_portal: Portal, now: datetime) -> int:
        counted.append(counted_portal.id)
        started.set()
        assert may_end.wait(timeout=HANG_SECONDS)
        return len(counted)

    cache = PortalCache(count, WaitingThreads(8).quota(4))
    wait_for_first = cache._running._wait

    def wait_for_it(running: Future[int], began: float) -> int:
        may_end.set()
        return wait_for_first(running, began)

    monkeypatch.setattr(cache._running, "_wait", wait_for_it)

    def get() -> int:
        with world.database.read_session() as session:
            return cache.get(session, portal, now=world.now())

    with ThreadPoolExecutor() as threads:
        first = threads.submit(get)
        assert started.wait(timeout=HANG_SECONDS)
        second = threads.submit(get)

        assert [first.result(), second.result(), get()] == [1, 1, 1]
    assert counted == [portal.id]


def test_results_are_few_and_do_not_outlive_their_age(world: World) -> None:
    world.install()
    portal, now = world.known(), world.now()
    cache = PortalCache(lambda _session, counted_portal, _now: counted_portal.id, WaitingThreads(8).quota(4))

    with world.database.read_session() as session:
        for number in range(MAX_RESULTS + 5):
            cache.get(session, Portal(id=1000 + number, generation=1), now=now)
        assert len(cache._cache) == MAX_RESULTS

        assert cache.get(session, portal, now=now + MAX_AGE) == portal.id
        assert [*cache._cache] == [(portal.id, None)]

        # A clock that was set back leaves nothing behind.
        assert cache.get(session, portal, now=now - timedelta(days=1)) == portal.id
        assert [*cache._cache] == [(portal.id, None)]


def test_a_part_of_the_people_has_a_result_of_its_own(world: World) -> None:
    world.install()
    portal, now = world.known(), world.now()
    cache = PortalCache(lambda *_: "everyone", WaitingThreads(8).quota(4))

    with world.database.read_session() as session:
        parts = [cache.get(session, portal, now=now, part=one, compute=lambda *_, one=one: one) for one in "ab"]
        again = cache.get(session, portal, now=now, part="a", compute=lambda *_: "counted again")

        assert [*parts, again, cache.get(session, portal, now=now)] == ["a", "b", "a", "everyone"]
