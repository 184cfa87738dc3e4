"""Slow hosts, however many, leave threads to hosts that respond."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import Timeouts
from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.host_limit import (
    GIVE_UP_AFTER,
    MAX_HOSTS,
    MAX_WAIT,
    MAX_WAITED,
    SILENT_AFTER,
    SLOW_AFTER,
    SUSPECTED_FOR,
    PerHostLimit,
    Slot,
)
from dashboard.bitrix24.transport import Transport
from dashboard.core import migrations
from dashboard.core.database import Database
from dashboard.core.waiting_threads import WaitingThreads
from tests.emulator import Emulator, Fault
from tests.emulator.opening import Opening
from tests.processes import free_port, serve, wait_for
from tests.rest_fixtures import ManualClock, clock
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World, environment_for

__all__ = ["clock"]

THREADS = 20


@pytest.fixture
def waiting() -> WaitingThreads:
    """Give the count of a process with twenty threads."""
    return WaitingThreads(THREADS)


@pytest.fixture
def limit(waiting: WaitingThreads, clock: ManualClock) -> PerHostLimit:
    """Give the limit of a process with twenty threads."""
    return PerHostLimit(waiting, clock=clock)


def occupy(limit: PerHostLimit, host: str, stack: ExitStack, *, at_most: int = THREADS) -> int:
    """Take all free slots of a host and keep them; return their number."""
    for taken in range(at_most):
        if not has_room(limit, host):
            return taken
        stack.enter_context(limit.slot(host))
    return at_most


def has_room(limit: PerHostLimit, host: str) -> bool:
    """Tell whether a host has a free slot."""
    with limit._changed:
        result = limit._find(host)
        return len(result.started) < limit._max_requests(result)


def answer(limit: PerHostLimit, host: str) -> None:
    with limit.slot(host) as slot:
        limit.record_answer(slot)


def time_out(limit: PerHostLimit, host: str) -> None:
    with limit.slot(host) as slot:
        limit.record_timeout(slot)


def test_silent_hosts_leave_a_quarter_of_the_threads(limit: PerHostLimit, clock: ManualClock) -> None:
    answer(limit, "good")
    with ExitStack() as stack:
        taken = 0
        for number in range(30):
            taken += occupy(limit, f"silent{number}", stack)
            clock.seconds += SLOW_AFTER

        assert THREADS // 2 < taken <= THREADS - THREADS // 4
        assert occupy(limit, "good", stack) >= 3


def test_trusted_hosts_that_fall_silent_leave_some_threads(limit: PerHostLimit, clock: ManualClock) -> None:
    for host in ("a", "b", "c", "good"):
        answer(limit, host)
    with ExitStack() as stack:
        for host in ("a", "b", "c"):
            occupy(limit, host, stack)
            clock.seconds += SLOW_AFTER

        assert has_room(limit, "good")


def test_a_host_that_timed_out_gets_one_slot_until_it_responds(limit: PerHostLimit, clock: ManualClock) -> None:
    time_out(limit, "portal")
    with ExitStack() as stack:
        assert occupy(limit, "portal", stack) == 1
    with limit.slot("portal") as slot:
        assert slot.suspected
        limit.record_answer(slot)
    with limit.slot("portal") as slot:
        assert not slot.suspected
    with ExitStack() as stack:
        assert occupy(limit, "portal", stack) == THREADS * 3 // 4


def test_a_suspicion_expires(limit: PerHostLimit, clock: ManualClock) -> None:
    time_out(limit, "portal")
    clock.seconds += SUSPECTED_FOR + 1

    with limit.slot("portal") as slot:
        assert not slot.suspected


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_process_with_few_threads_calls_every_host(threads: int, clock: ManualClock) -> None:
    limit = PerHostLimit(WaitingThreads(threads), clock=clock)
    for host in ("a", "b"):
        answer(limit, host)
        time_out(limit, host)
        answer(limit, host)


def test_the_number_of_known_hosts_is_bounded(limit: PerHostLimit) -> None:
    with limit.slot("busy"):
        for number in range(MAX_HOSTS + 10):
            answer(limit, f"portal{number}")

        assert len(limit._hosts) == MAX_HOSTS
        assert "busy" in limit._hosts
    assert limit._active == set()


def test_a_request_to_a_silent_host_is_given_up_for_one_that_waits(limit: PerHostLimit, clock: ManualClock) -> None:
    answer(limit, "silent")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        slots = [stack.enter_context(limit.slot("silent")) for _ in range(15)]
        clock.seconds += SILENT_AFTER
        assert not any(limit.should_give_up(slot) for slot in slots)
        occupy(limit, "new", stack)
        waiting = threading.Event()

        def ask() -> None:
            waiting.set()
            with suppress(TimeoutError), limit.slot("new"):
                pass

        sent = pool.submit(ask)
        wait_until(lambda: waiting.is_set() and limit._find("new").waiting == 1)

        assert limit.should_give_up(slots[0])
        clock.seconds += MAX_WAIT
        with limit._changed:
            limit._changed.notify_all()
        sent.result(timeout=HANG_SECONDS)


def test_hosts_that_fall_silent_together_give_up_a_quarter(limit: PerHostLimit, clock: ManualClock) -> None:
    """They use every thread, so no other host can even wait for a slot."""
    hosts = ("a", "b", "c", "d")
    for host in (*hosts, "good"):
        answer(limit, host)
    with ExitStack() as stack:
        slots = [stack.enter_context(limit.slot(host)) for host in hosts for _ in range(THREADS // 4)]
        clock.seconds += SLOW_AFTER
        assert not any(limit.should_give_up(slot) for slot in slots)
        clock.seconds += GIVE_UP_AFTER

        given_up = [slot for slot in slots if limit.should_give_up(slot)]

        assert len(given_up) == THREADS // 4
        assert all(limit.should_give_up(slot) for slot in given_up)
        assert not has_room(limit, "a")
        assert has_room(limit, "good")
    assert limit._active == set()


@pytest.mark.parametrize("held", [0, THREADS // 2, THREADS * 3 // 4 - 1])
def test_silent_hosts_get_only_threads_that_others_leave(
    held: int, waiting: WaitingThreads, limit: PerHostLimit, clock: ManualClock
) -> None:
    answer(limit, "good")
    with ExitStack() as stack:
        taken = sum(stack.enter_context(waiting.quota(held).try_acquire()) for _ in range(held))
        for number in range(30):
            taken += occupy(limit, f"silent{number}", stack)
            clock.seconds += SLOW_AFTER

        assert max(held, THREADS // 2) <= taken <= THREADS - THREADS // 4
        assert has_room(limit, "good")


def test_requests_give_up_if_others_need_the_quarter(
    waiting: WaitingThreads, limit: PerHostLimit, clock: ManualClock
) -> None:
    answer(limit, "silent")
    with ExitStack() as stack:
        slots = [stack.enter_context(limit.slot("silent")) for _ in range(10)]
        # As long as their host is not slow, they count for nobody.
        held = sum(stack.enter_context(waiting.quota(THREADS).try_acquire()) for _ in range(THREADS))
        clock.seconds += GIVE_UP_AFTER

        assert held == THREADS * 3 // 4 - 1
        assert sum(limit.should_give_up(slot) for slot in slots) == len(slots) - 1


def test_slow_requests_leave_no_thread_to_slow_clients(
    waiting: WaitingThreads, limit: PerHostLimit, clock: ManualClock
) -> None:
    answer(limit, "silent")
    with ExitStack() as stack:
        slow = occupy(limit, "silent", stack)
        clock.seconds += SLOW_AFTER

        assert slow == THREADS * 3 // 4
        assert not stack.enter_context(waiting.quota(1).try_acquire())


def test_reads_from_a_host_that_timed_out_are_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refresh keeps the long timeout: a request that is given up may have been executed."""
    monkeypatch.setattr("dashboard.bitrix24.transport.SHORT_TIMEOUTS", Timeouts(connect=0.1, read=0.1, total=0.1))
    transport = Transport(AddressPolicy(loopback=True), timeouts=Timeouts(connect=1.5, read=1.5, total=1.5))

    def seconds(*, read_only: bool) -> float:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="timeout"):
            transport.post(url, json={}, read_only=read_only)
        return time.monotonic() - began

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        first, brief, whole = (seconds(read_only=read_only) for read_only in (True, True, False))

    assert brief < 1.4 < min(first, whole)


@pytest.mark.parametrize("asked", ["bindings", "permissions"])
def test_every_read_from_a_portal_can_be_given_up(world: World, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """A portal that stops responding at this request keeps no thread that others need."""
    monkeypatch.setattr(PerHostLimit, "should_give_up", lambda _, slot: time.monotonic() - slot.started > 0.2)

    def then_hang(answer: dict[str, Any]) -> dict[str, Any]:
        world.bitrix24.faults.add(Fault("hang"))
        return answer

    if asked == "bindings":
        world.bitrix24.faults.add(Fault("answer", method="batch", change=then_hang))
        began, answer = time.monotonic(), world.install("beta")
    else:
        session = world.session("anna")
        world.bitrix24.faults.add(Fault("hang", method="profile"))
        began, answer = time.monotonic(), world.browser.get("/team.json", headers=session)

    assert answer.status_code == 502
    assert time.monotonic() - began < 5


# Waiting for a slot: only waiting takes time.


def while_waiting(limit: PerHostLimit, patch: pytest.MonkeyPatch, happens: Callable[[float], None]) -> None:
    """Call ``happens`` with the seconds of each wait for a slot, instead of waiting."""

    def wait(timeout: float | None = None) -> bool:
        assert timeout is not None
        happens(timeout)
        return True

    patch.setattr(limit._changed, "wait", wait)


def seconds_for_slot(limit: PerHostLimit, clock: ManualClock, host: str) -> tuple[bool, float]:
    """Return whether there was a slot, and after how many seconds."""
    began = clock.seconds
    try:
        with limit.slot(host):
            return True, clock.seconds - began
    except TimeoutError:
        return False, clock.seconds - began


@pytest.mark.parametrize("has_answered", [True, False])
def test_a_host_that_responds_in_a_second_refuses_nobody(
    has_answered: bool, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests above the host's share wait for the responses of the others."""
    limit = PerHostLimit(WaitingThreads(8), clock=clock)
    if has_answered:
        answer(limit, "portal")
    requests_under_way = ExitStack()
    answers_at = clock.seconds + 1

    def happens(seconds: float) -> None:
        clock.seconds += seconds
        if clock.seconds >= answers_at:
            requests_under_way.close()

    while_waiting(limit, monkeypatch, happens)
    share = occupy(limit, "portal", requests_under_way)
    clock.seconds += 0.7
    limit._find("portal").waiting = 8 - share - 1  # the other threads wait too

    served, seconds = seconds_for_slot(limit, clock, "portal")

    assert served
    assert seconds == pytest.approx(0.3, abs=0.15)


def test_nobody_waits_for_a_slot_of_a_silent_host(
    limit: PerHostLimit, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another host is silent, it takes half a second to notice, not two."""
    while_waiting(limit, monkeypatch, lambda seconds: setattr(clock, "seconds", clock.seconds + seconds))
    for host in ("a", "b"):
        answer(limit, host)
    clock.seconds += SILENT_AFTER
    with ExitStack() as stack:
        occupy(limit, "a", stack)
        served, seconds = seconds_for_slot(limit, clock, "a")
        assert not served
        assert seconds == pytest.approx(SILENT_AFTER, abs=0.15)
        assert seconds_for_slot(limit, clock, "a") == (False, 0.0)

        occupy(limit, "b", stack)
        served, seconds = seconds_for_slot(limit, clock, "b")
        assert not served
        assert seconds == pytest.approx(SLOW_AFTER, abs=0.15)


def test_a_busy_slow_host_leaves_threads_to_others(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = PerHostLimit(WaitingThreads(4), clock=clock)
    answer(limit, "portal")

    def happens(seconds: float) -> None:
        clock.seconds += seconds
        limit._find("portal").answered_at = clock.seconds

    while_waiting(limit, monkeypatch, happens)
    with ExitStack() as stack:
        occupy(limit, "portal", stack)
        clock.seconds += SLOW_AFTER
        began = clock.seconds
        while seconds_for_slot(limit, clock, "portal")[1] > 0:
            assert clock.seconds - began < 60

        assert clock.seconds - began > MAX_WAITED
        clock.seconds += MAX_WAITED
        limit._find("portal").answered_at = clock.seconds
        assert seconds_for_slot(limit, clock, "portal")[1] > 0


def test_a_slow_host_that_responds_never_gives_up_a_request(limit: PerHostLimit, clock: ManualClock) -> None:
    answer(limit, "portal")
    with ExitStack() as stack:
        slots = [stack.enter_context(limit.slot("portal")) for _ in range(15)]
        clock.seconds += 1
        limit._find("new").waiting = 1
        limit._active.add(limit._find("new"))

        assert not any(limit.should_give_up(slot) for slot in slots)


@pytest.mark.parametrize("threads", [2, 4, 8, 20])
@pytest.mark.parametrize("hosts", [("silent",), ("silent", "silent2"), ("silent", "answering")])
@pytest.mark.parametrize("kinds", [0, 1, 2])
def test_slow_clients_and_slow_hosts_refuse_no_unknown_host(
    threads: int, hosts: tuple[str, ...], kinds: int, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow clients hold their share, other waits as much as they may, and slow hosts try to use all the rest."""
    waiting = WaitingThreads(threads)
    limit = PerHostLimit(waiting, clock=clock)
    requests_under_way: list[tuple[str, Slot, ExitStack]] = []

    def begin() -> None:
        for host in hosts:
            while len(requests_under_way) < threads - waiting.count - 1 and has_room(limit, host):
                stack = ExitStack()
                requests_under_way.append((host, stack.enter_context(limit.slot(host)), stack))

    def happens(seconds: float) -> None:
        """Let the hosts behave, and replace each request that ends."""
        clock.seconds += seconds
        for request in list(requests_under_way):
            host, slot, stack = request
            if host == "answering" and clock.seconds >= slot.started + 1:
                limit.record_answer(slot)
            elif limit.should_give_up(slot):
                limit.record_timeout(slot)
            else:
                continue
            requests_under_way.remove(request)
            stack.close()
        begin()

    while_waiting(limit, monkeypatch, happens)
    with ExitStack() as stack:
        for quota in (waiting.quota(threads // 2), waiting.quota(threads))[:kinds]:
            for _ in range(threads):
                stack.enter_context(quota.try_acquire())
        begin()
        for number in range(5):
            served, seconds = seconds_for_slot(limit, clock, f"new{number}")
            assert served
            assert seconds < MAX_WAIT
            happens(SLOW_AFTER)
        for _, _, request in requests_under_way:
            request.close()


def test_a_request_given_up_is_for_the_host_that_waits(
    waiting: WaitingThreads, limit: PerHostLimit, clock: ManualClock
) -> None:
    """A slow host that responds gives up nothing, and may have more requests than the silent one."""
    with ExitStack() as stack:
        for _ in range(THREADS // 2):
            stack.enter_context(waiting.quota(THREADS).try_acquire())
        slot = stack.enter_context(limit.slot("silent"))
        assert occupy(limit, "answering", stack, at_most=4) == 4
        clock.seconds += SILENT_AFTER
        limit._find("answering").answered_at = clock.seconds
        limit._find("new").waiting = 1
        limit._active.add(limit._find("new"))

        assert limit.should_give_up(slot)
        limit.record_timeout(slot)
        assert not has_room(limit, "silent")
        assert has_room(limit, "new")


# A web process


@pytest.fixture
def threads() -> int:
    """Give the number of threads of the process."""
    return 20


@pytest.fixture
def process(bitrix24: Emulator, sqlite_url: str, threads: int) -> Iterator[str]:
    """Give the URL of a web process."""
    database = Database(sqlite_url)
    migrations.upgrade(database)
    database.engine.dispose()
    port = free_port()
    address = bitrix24.app_url = f"http://127.0.0.1:{port}"
    running = serve(environment_for(bitrix24, sqlite_url), port, threads=threads)
    wait_for(address)
    yield address
    # Ends the connections that still wait for a silent host.
    bitrix24.stop()
    running.terminate()
    assert running.wait(timeout=HANG_SECONDS) == 0


def test_silent_hosts_do_not_delay_others(bitrix24: Emulator, process: str) -> None:
    """Three portals and the authorization server never respond, and twenty people wait for each."""
    silent = [bitrix24.add_portal(name) for name in ("gamma", "delta", "epsilon")]
    alpha = bitrix24.portal("alpha")
    for portal, person in ((alpha, "anna"), *((portal, "clara") for portal in silent)):
        install = portal.open_installer_as(person)
        assert post(f"{process}/install", install).status_code == 200
        portal.finish_install()
    for portal in silent:
        bitrix24.faults.add(Fault("hang", portal=portal.name, times=None))
    bitrix24.faults.add(Fault("hang", where="authorization", times=None))
    opening = alpha.open_as("boris")
    openings = [portal.open_as("clara") for portal in silent for _ in range(20)]
    beta = bitrix24.portal("beta")
    beta.install()  # unknown to the application, so it asks the authorization server
    unknown = [beta.open_as("clara") for _ in range(20)]
    bitrix24.clear()

    for one in (*openings, *unknown):
        threading.Thread(target=post_in_vain, args=(f"{process}/", one), daemon=True).start()
    wait_until(lambda: len(bitrix24.requests) >= 5)
    began = time.monotonic()
    answer = post(f"{process}/", opening)
    seconds = time.monotonic() - began

    assert answer.status_code == 200
    # It takes three seconds on an idle machine, and half a minute without the limit.
    assert seconds < 15


@pytest.mark.parametrize("threads", [4])
def test_a_slow_portal_refuses_none_of_its_users(bitrix24: Emulator, process: str) -> None:
    """Seven people open at once in a process with four threads."""
    alpha = bitrix24.portal("alpha")
    assert post(f"{process}/install", alpha.open_installer_as("anna")).status_code == 200
    alpha.finish_install()
    bitrix24.faults.add(Fault("slow:0.8", method="batch", times=None))
    openings = [alpha.open_as("boris") for _ in range(7)]

    with ThreadPoolExecutor(len(openings)) as pool:
        answers = list(pool.map(lambda opening: post(f"{process}/", opening).status_code, openings))

    assert answers == [200] * len(openings)


def post(url: str, opening: Opening) -> requests.Response:
    return requests.post(url, params=opening.query, data=opening.form, timeout=HANG_SECONDS)


def post_in_vain(url: str, opening: Opening) -> None:
    with suppress(requests.ConnectionError):
        post(url, opening)
