"""Hosts that are slow to answer leave threads to those that answer, however many they are."""

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
)
from dashboard.bitrix24.transport import Transport
from dashboard.core import migrations
from dashboard.core.database import Database
from tests.emulator import Emulator, Fault
from tests.emulator.opening import Opening
from tests.processes import free_port, serve, wait_for
from tests.waiting import wait_until
from tests.world import World, environment_for

THREADS = 20


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> PerHostLimit:
    """Give the limit of a process with twenty threads."""
    return PerHostLimit(THREADS, clock=clock)


def occupy(limit: PerHostLimit, host: str, stack: ExitStack, *, at_most: int = THREADS) -> int:
    """Take slots of a host until there are none, and keep them; return how many there were."""
    for taken in range(at_most):
        if not has_room(limit, host):
            return taken
        stack.enter_context(limit.slot(host))
    return at_most


def has_room(limit: PerHostLimit, host: str) -> bool:
    """Tell whether a host has a slot left, without waiting for one."""
    with limit._changed:
        found = limit._find(host)
        return len(found.started) < limit._max_requests(found)


def answer(limit: PerHostLimit, host: str) -> None:
    with limit.slot(host) as slot:
        limit.record_answer(slot)


def time_out(limit: PerHostLimit, host: str) -> None:
    with limit.slot(host) as slot:
        limit.record_timeout(slot)


def test_any_number_of_silent_hosts_leaves_a_quarter(limit: PerHostLimit, clock: Clock) -> None:
    answer(limit, "good")
    with ExitStack() as stack:
        taken = 0
        for number in range(30):
            taken += occupy(limit, f"silent{number}", stack)
            clock.seconds += SLOW_AFTER

        assert THREADS // 2 < taken <= THREADS - THREADS // 4
        assert occupy(limit, "good", stack) >= 3


def test_hosts_that_answered_and_fall_silent_leave_some(limit: PerHostLimit, clock: Clock) -> None:
    for host in ("a", "b", "c", "good"):
        answer(limit, host)
    with ExitStack() as stack:
        for host in ("a", "b", "c"):
            occupy(limit, host, stack)
            clock.seconds += SLOW_AFTER

        assert has_room(limit, "good")


def test_a_host_that_timed_out_gets_one_until_it_answers(limit: PerHostLimit, clock: Clock) -> None:
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


def test_a_suspicion_ends_by_itself(limit: PerHostLimit, clock: Clock) -> None:
    time_out(limit, "portal")
    clock.seconds += SUSPECTED_FOR + 1

    with limit.slot("portal") as slot:
        assert not slot.suspected


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_process_with_few_threads_calls_everybody(threads: int, clock: Clock) -> None:
    limit = PerHostLimit(threads, clock=clock)
    for host in ("a", "b"):
        answer(limit, host)
        time_out(limit, host)
        answer(limit, host)


def test_what_is_known_of_hosts_is_bounded(limit: PerHostLimit) -> None:
    with limit.slot("busy"):
        for number in range(MAX_HOSTS + 10):
            answer(limit, f"portal{number}")

        assert len(limit._hosts) == MAX_HOSTS
        assert "busy" in limit._hosts
    assert limit._active == set()


def test_a_call_to_a_slow_host_yields_to_one_that_waits(limit: PerHostLimit, clock: Clock) -> None:
    answer(limit, "silent")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        slots = [stack.enter_context(limit.slot("silent")) for _ in range(15)]
        clock.seconds += SILENT_AFTER
        assert not any(limit.should_yield(slot) for slot in slots)
        occupy(limit, "new", stack)
        waiting = threading.Event()

        def ask() -> None:
            waiting.set()
            with suppress(TimeoutError), limit.slot("new"):
                pass

        asked = pool.submit(ask)
        wait_until(lambda: waiting.is_set() and limit._find("new").waiting == 1)

        assert limit.should_yield(slots[0])
        clock.seconds += MAX_WAIT
        with limit._changed:
            limit._changed.notify_all()
        asked.result(timeout=20)


def test_hosts_that_fall_silent_at_once_give_a_quarter_back(limit: PerHostLimit, clock: Clock) -> None:
    """They hold every thread, so that nobody else gets as far as to wait for a slot."""
    hosts = ("a", "b", "c", "d")
    for host in (*hosts, "good"):
        answer(limit, host)
    with ExitStack() as stack:
        slots = [stack.enter_context(limit.slot(host)) for host in hosts for _ in range(THREADS // 4)]
        clock.seconds += SLOW_AFTER
        assert not any(limit.should_yield(slot) for slot in slots)
        clock.seconds += GIVE_UP_AFTER

        given_up = [slot for slot in slots if limit.should_yield(slot)]

        assert len(given_up) == THREADS // 4
        assert all(limit.should_yield(slot) for slot in given_up)
        assert not has_room(limit, "a")
        assert has_room(limit, "good")
    assert limit._active == set()


def test_a_host_that_timed_out_gets_little_time_for_what_may_be_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refresh gets all of its time: what is given up may have been executed."""
    monkeypatch.setattr("dashboard.bitrix24.transport.SHORT_TIMEOUTS", Timeouts(connect=0.1, read=0.1, total=0.1))
    transport = Transport(AddressPolicy(loopback=True), timeouts=Timeouts(connect=0.5, read=0.6, total=0.6))

    def seconds(*, read_only: bool) -> float:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="timeout"):
            transport.post(url, json={}, read_only=read_only)
        return time.monotonic() - began

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        first, brief, whole = (seconds(read_only=read_only) for read_only in (True, True, False))

    assert brief < 0.5 < min(first, whole)


@pytest.mark.parametrize("asked", ["bindings", "permissions"])
def test_whatever_is_asked_of_a_portal_can_be_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """A portal that answers until it is asked for this holds no thread that others need."""
    monkeypatch.setattr(PerHostLimit, "should_yield", lambda _, slot: time.monotonic() - slot.started > 0.2)

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


# Waits for a slot: time goes by while somebody waits, and by that alone.


def while_waiting(limit: PerHostLimit, patch: pytest.MonkeyPatch, happens: Callable[[float], None]) -> None:
    """Call something with the seconds that a wait for a slot takes each time, instead of waiting."""

    def wait(timeout: float | None = None) -> bool:
        assert timeout is not None
        happens(timeout)
        return True

    patch.setattr(limit._changed, "wait", wait)


def ask_seconds(limit: PerHostLimit, clock: Clock, host: str) -> tuple[bool, float]:
    """Ask for a slot; return whether there was one, and after how long."""
    began = clock.seconds
    try:
        with limit.slot(host):
            return True, clock.seconds - began
    except TimeoutError:
        return False, clock.seconds - began


@pytest.mark.parametrize("has_answered", [True, False])
def test_a_host_that_answers_in_a_second_refuses_nobody(
    has_answered: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is more than the host's share waits for one of the others' answers."""
    limit = PerHostLimit(8, clock=clock)
    if has_answered:
        answer(limit, "portal")
    under_way = ExitStack()
    answers_at = clock.seconds + 1

    def happens(seconds: float) -> None:
        clock.seconds += seconds
        if clock.seconds >= answers_at:
            under_way.close()

    while_waiting(limit, monkeypatch, happens)
    share = occupy(limit, "portal", under_way)
    clock.seconds += 0.7
    limit._find("portal").waiting = 8 - share - 1  # so do the others

    served, seconds = ask_seconds(limit, clock, "portal")

    assert served
    assert seconds == pytest.approx(0.3, abs=0.15)


def test_nobody_waits_for_a_slot_of_a_silent_host(
    limit: PerHostLimit, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where several are silent, each takes half a second to be found out, not two."""
    while_waiting(limit, monkeypatch, lambda seconds: setattr(clock, "seconds", clock.seconds + seconds))
    for host in ("a", "b"):
        answer(limit, host)
    clock.seconds += SILENT_AFTER
    with ExitStack() as stack:
        occupy(limit, "a", stack)
        served, seconds = ask_seconds(limit, clock, "a")
        assert not served
        assert seconds == pytest.approx(SILENT_AFTER, abs=0.15)
        assert ask_seconds(limit, clock, "a") == (False, 0.0)

        occupy(limit, "b", stack)
        served, seconds = ask_seconds(limit, clock, "b")
        assert not served
        assert seconds == pytest.approx(SLOW_AFTER, abs=0.15)


def test_a_slow_host_that_is_asked_without_end_leaves_threads_to_others(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = PerHostLimit(4, clock=clock)
    answer(limit, "portal")

    def happens(seconds: float) -> None:
        clock.seconds += seconds
        limit._find("portal").answered_at = clock.seconds

    while_waiting(limit, monkeypatch, happens)
    with ExitStack() as stack:
        occupy(limit, "portal", stack)
        clock.seconds += SLOW_AFTER
        began = clock.seconds
        while ask_seconds(limit, clock, "portal")[1] > 0:
            assert clock.seconds - began < 60

        assert clock.seconds - began > MAX_WAITED
        clock.seconds += MAX_WAITED
        limit._find("portal").answered_at = clock.seconds
        assert ask_seconds(limit, clock, "portal")[1] > 0


def test_a_slow_host_that_answers_yields_to_nobody(limit: PerHostLimit, clock: Clock) -> None:
    answer(limit, "portal")
    with ExitStack() as stack:
        slots = [stack.enter_context(limit.slot("portal")) for _ in range(15)]
        clock.seconds += 1
        limit._find("new").waiting = 1
        limit._active.add(limit._find("new"))

        assert not any(limit.should_yield(slot) for slot in slots)


# A whole process


@pytest.fixture
def threads() -> int:
    """Give how many threads the process has."""
    return 20


@pytest.fixture
def process(bitrix24: Emulator, sqlite_url: str, threads: int) -> Iterator[str]:
    """Give the address of a web process."""
    database = Database(sqlite_url)
    migrations.upgrade(database)
    database.engine.dispose()
    port = free_port()
    address = bitrix24.app_url = f"http://127.0.0.1:{port}"
    running = serve(environment_for(bitrix24, sqlite_url), port, threads=threads)
    wait_for(address)
    yield address
    # Whoever waits for somebody silent sees the connection end.
    bitrix24.stop()
    running.terminate()
    assert running.wait(timeout=60) == 0


def test_silent_hosts_hold_up_nobody_else(bitrix24: Emulator, process: str) -> None:
    """Three portals and the authorization server answer nobody, and twenty people wait for each."""
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
    beta.install()  # the application has not heard of it, so that it asks the authorization server
    unknown = [beta.open_as("clara") for _ in range(20)]
    bitrix24.clear()

    for one in (*openings, *unknown):
        threading.Thread(target=ask_in_vain, args=(f"{process}/", one), daemon=True).start()
    wait_until(lambda: len(bitrix24.requests) >= 5)
    began = time.monotonic()
    answer = post(f"{process}/", opening)
    took = time.monotonic() - began

    assert answer.status_code == 200
    # Three seconds on a machine of its own; without a limit it is half a minute.
    assert took < 6


@pytest.mark.parametrize("threads", [4])
def test_a_portal_that_answers_slowly_refuses_none_of_its_people(bitrix24: Emulator, process: str) -> None:
    """Seven people open at once, and a process with four threads asks for three."""
    alpha = bitrix24.portal("alpha")
    assert post(f"{process}/install", alpha.open_installer_as("anna")).status_code == 200
    alpha.finish_install()
    bitrix24.faults.add(Fault("slow:0.8", method="batch", times=None))
    openings = [alpha.open_as("boris") for _ in range(7)]

    with ThreadPoolExecutor(len(openings)) as pool:
        answers = list(pool.map(lambda opening: post(f"{process}/", opening).status_code, openings))

    assert answers == [200] * len(openings)


def post(url: str, opening: Opening) -> requests.Response:
    return requests.post(url, params=opening.query, data=opening.form, timeout=60)


def ask_in_vain(url: str, opening: Opening) -> None:
    with suppress(requests.ConnectionError):
        post(url, opening)
