"""Lock the portal's row first on Postgres, and retry a transaction that lost a conflict."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from dashboard.core import postgres
from dashboard.launch.event_spool import EventSpool
from dashboard.portals import deletion
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.periodic_tasks import RECOMPUTE
from tests.emulator import Emulator
from tests.emulator.cast import crowd
from tests.team_fixtures import Session as Headers
from tests.waiting import replace_sleep, wait_until
from tests.world import World, errors_on

TABLES = ("portals", "people", "chains", "snapshots", "runs", "buckets", "api_calls")
EVERYTHING_OF_PEOPLE = TABLES[1:]
# What a transaction of ours locks, and nobody else's: a row that it has just made, or skips when it is taken.
WRITES = re.compile(
    r"(?s)^(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)|FROM (\w+)\b.*FOR (?:(?:NO KEY )?UPDATE(?! OF \w+ SKIP)|KEY SHARE)"
)


@pytest.fixture
def portals(bitrix24: Emulator, migrated_postgres_url: str) -> Iterator[World]:
    """Return eight portals on Postgres with Clara as administrator and a due first run."""
    with World(bitrix24, migrated_postgres_url) as world:
        for number in range(8):
            bitrix24.add_portal(f"portal{number}")
            world.install(f"portal{number}")
        yield world


def names() -> list[str]:
    return [f"portal{number}" for number in range(8)]


@contextmanager
def repeated(*actions: Callable[[], object]) -> Iterator[None]:
    """Repeat each action in its own thread; raise here what one raises."""
    stopping = threading.Event()

    def repeat(action: Callable[[], object]) -> None:
        while not stopping.is_set():
            action()

    with ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(repeat, action) for action in actions]
        try:
            yield
        finally:
            stopping.set()
        for future in futures:
            future.result()


def work(world: World) -> None:
    """Run the due slices, as a worker's thread does."""
    for lease in world.services.runs.acquire():
        world.services.sync.run_slice(lease)


def test_uninstallations_succeed_beside_clicks_and_runs(portals: World) -> None:
    headers = {name: portals.session("clara", name) for name in names()}
    statuses: set[int] = set()

    def click(headers: Headers) -> None:
        browser = portals.app.test_client()
        for path in ("/team/sync", "/team/sync/cancel"):
            statuses.add(browser.post(path, headers=headers).status_code)

    def uninstall(name: str) -> list[int]:
        portals.portal(name).uninstall()
        return [status for event, status, _ in portals.portal(name).deliver_events() if "UN" in event]

    clicks = [partial(click, headers[name]) for name in names()]
    with repeated(*clicks, partial(work, portals)), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(uninstall, names()))

    assert answers == [[200]] * 8
    assert statuses <= {200, 202, 401}
    assert {row["state"] for row in portals.rows("SELECT state FROM portals")} == {"uninstalled"}
    for table in EVERYTHING_OF_PEOPLE:
        stored = " WHERE portal_id IS NOT NULL" if table == "api_calls" else ""
        assert portals.one(f"SELECT count(*) FROM {table}{stored}") == 0, table


def test_openings_succeed_beside_first_runs(portals: World) -> None:
    for name in names():
        portals.portal(name).add_people(*crowd(25))
        portals.portal(name).bucket = None

    def come(number: int) -> int:
        opening = portals.portal(names()[number % 8]).open_as(f"person{number // 8}")
        return portals.app.test_client().post("/", query_string=opening.query, data=opening.form).status_code

    def work_and_forget_the_plan() -> None:
        """Have the next opening plan a run, as a portal's first does, while another one ends."""
        work(portals)
        # One row a transaction: all of them together, in an order of their own, could deadlock with two openings.
        for portal_id in range(1, 9):
            with portals.database.engine.begin() as connection:
                connection.execute(text(f"UPDATE portals SET next_run_at = NULL WHERE id = {portal_id}"))

    with repeated(*[work_and_forget_the_plan] * 3), ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(come, range(200)))

    assert answers == [200] * 200
    assert portals.one("SELECT count(*) FROM chains") == 8 + 200


def test_each_transaction_locks_the_portal_first(bitrix24: Emulator, migrated_postgres_url: str) -> None:
    with World(bitrix24, migrated_postgres_url) as world, recorded(world) as transactions:
        world.install()
        world.open("boris")
        anna = world.session("anna")
        world.bitrix24.clock.advance(60)
        world.portal().expire("boris")
        world.sync()
        world.services.runs.request(world.known(), by=None)
        world.browser.post("/team/sync/cancel", headers=anna)
        world.browser.post("/me/refresh", headers=anna)
        world.portal().expire("boris")
        world.portal().kill_refresh("boris")
        world.sync()
        with world.database.engine.begin() as connection:
            connection.execute(text("UPDATE portals SET next_run_at = '2001-01-01'"))
            connection.execute(text("UPDATE people SET facts_version = 0"))
        for name in ("plan", RECOMPUTE, "idle", "purge"):
            world.services.periodic_tasks.run(name)
        world.browser.post("/admin/forget", data={"domain": world.portal().domain}, headers=anna)
        world.open("anna")
        world.portal().uninstall()
        world.portal().deliver_events()

    several = [tables for tables in transactions if len(tables) > 1]
    assert len(several) > 10
    assert [tables for tables in several if tables[0] != "portals"] == []


@contextmanager
def recorded(world: World) -> Iterator[list[list[str]]]:
    """Yield a list that is filled at the end: the tables each transaction locked, in order."""
    transactions: list[list[str]] = []
    engine = world.database.engine

    def begun(connection: Connection) -> None:
        transactions.append([])
        connection.info["locked"] = transactions[-1]

    def sent(connection: Connection, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        result = WRITES.search(statement)
        if result and (table := result[1] or result[2]) in TABLES:
            connection.info["locked"] += [table] * (len(values) if many else 1)

    event.listen(engine, "begin", begun)
    event.listen(engine, "before_cursor_execute", sent)
    yield transactions
    event.remove(engine, "begin", begun)
    event.remove(engine, "before_cursor_execute", sent)


# What lost is run again

DEADLOCK = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"


def lose(world: World) -> None:
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql(DEADLOCK)


@pytest.fixture
def alpha(
    bitrix24: Emulator, migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Return Alpha on Postgres, without the thread that handles stored events."""
    monkeypatch.setattr(EventSpool, "start", lambda self: None)
    with World(bitrix24, migrated_postgres_url, STATE_DIRECTORY=str(tmp_path)) as world:
        world.install()
        yield world


def test_a_retried_opening_asks_bitrix24_once(alpha: World) -> None:
    alpha.bitrix24.clear()
    alpha.before_next_write(lambda: lose(alpha))

    assert alpha.open("boris").status_code == 200
    assert alpha.bitrix24.count(where="portal") == 1
    assert alpha.one("SELECT count(*) FROM chains") == 2


def test_a_retried_uninstallation_deletes_everything(alpha: World) -> None:
    alpha.portal().uninstall()
    alpha.before_next_write(lambda: lose(alpha))

    assert [status for event, status, _ in alpha.portal().deliver_events() if "UN" in event] == [200]
    assert alpha.one("SELECT count(*) FROM people") == 0


def test_retries_of_a_transaction_end(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.core.database.CONFLICT_PAUSES", (0.0, 0.0))
    tries: list[Session] = []

    def always_lose(session: Session) -> None:
        tries.append(session)
        session.connection().exec_driver_sql(DEADLOCK)

    with pytest.raises(DBAPIError):
        alpha.database.write(always_lose)

    assert len(tries) == 3
    assert not alpha.database.outages._failures, "a conflict is no outage"


# A lock that is not available in time


def test_nobody_waits_long_for_a_lock(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    with alpha.database.engine.begin() as holder:
        holder.execute(text("SELECT id FROM portals FOR UPDATE"))

        answer = alpha.open("boris")

    assert (answer.status_code, errors_on(answer.text)) == (503, ["too_many_requests_at_once"])
    assert int(answer.headers["Retry-After"]) > 0
    assert not alpha.database.outages._failures, "a lock is no outage"
    assert alpha.open("boris").status_code == 200


def test_openings_of_one_portal_do_not_wait_for_each_other(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha.open("boris")
    alpha.sync()
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    with alpha.database.write_session() as session:
        assert lock_portal(session, alpha.known(), shared=True)

        assert alpha.open("boris").status_code == 200
        with pytest.raises(OperationalError), alpha.database.write_session() as other:
            lock_portal(other, alpha.known())


def test_an_opening_that_changes_the_portals_row_locks_it_alone(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to begin again: with the shared lock it has locked its person, whom a run may lock after the portal."""
    alpha.open("boris")
    alpha.sync()
    alpha.portal().people["boris"].settings["timezoneName"] = "America/Argentina/Buenos_Aires"
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    with alpha.database.write_session() as session:
        assert lock_portal(session, alpha.known(), shared=True)
        assert alpha.open("boris").status_code == 503

    assert alpha.open("boris").status_code == 200
    assert alpha.one("SELECT count(*) FROM setting_changes WHERE how = 'synced'") > 0


def test_an_opening_succeeds_after_a_short_wait_for_a_lock(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    holder = alpha.database.engine.connect()
    holder.execute(text("SELECT id FROM portals FOR UPDATE"))
    replace_sleep(monkeypatch, "dashboard.core.database", lambda _: holder.close())

    assert alpha.open("boris").status_code == 200


def test_an_uninstallation_that_waits_for_a_lock_is_kept(alpha: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    spool = alpha.app.extensions["services"].spool
    with alpha.database.engine.begin() as holder:
        holder.execute(text("SELECT id FROM portals FOR UPDATE"))
        assert alpha.portal().send_event("ONAPPUNINSTALL")[0] == 200

    spool.retry()

    assert alpha.known().state == "uninstalled"


def test_an_opening_waits_for_a_deletion_and_finds_the_new_row(alpha: World) -> None:
    """Postgres then returns no row to it: what it waited for no longer has the member id."""
    portal = alpha.known()
    with ThreadPoolExecutor(1) as pool, alpha.database.write_session() as session:
        assert deletion.replace_portal_row(session, portal, generation=2)
        opening = pool.submit(alpha.open, "boris")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        wait_until(lambda: alpha.one(waits) == 1)
        session.commit()
        answer = opening.result()

    assert answer.status_code == 200
    assert alpha.rows("SELECT user_id FROM people JOIN portals ON portals.id = portal_id WHERE state = 'active'") == [
        {"user_id": 7}
    ]


@pytest.mark.parametrize("limit", ["LOCK_SECONDS", "STATEMENT_SECONDS"])
def test_a_canceled_statement_closes_the_database_to_nobody(
    alpha: World, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(postgres, limit, 0.1)
    with alpha.database.engine.begin() as holder:
        holder.execute(text("SELECT id FROM portals FOR UPDATE"))
        for _ in range(3):
            with pytest.raises(OperationalError), alpha.database.write_session() as session:
                session.execute(text("UPDATE portals SET app_status = 'L'"))

        dialect: Any = alpha.database.engine.dialect
        assert not dialect._connect_breaker._is_open
        assert not dialect._response_breaker._is_open
        assert alpha.app.test_client().get("/readyz").status_code == 200
