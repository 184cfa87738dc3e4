"""Store the calls of a unit of work once: with its result, at its end, or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from dashboard.bitrix24.masking import MASK, CallRecord
from dashboard.core.database import Database
from dashboard.portals.call_log import ROW_BYTES, CallLog
from dashboard.portals.call_log_space import (
    MAX_BYTES,
    MAX_DETAILED_BYTES,
    RETENTION_SECONDS,
    LogDetail,
    allocate_bytes,
    used_bytes,
)
from tests.emulator.faults import Fault
from tests.world import World, errors_on


@pytest.fixture
def call_log(world: World) -> CallLog:
    return CallLog(database=world.database, throttle=world.services.throttle)


def call_to(world: World, portal: str = "alpha", **changes: Any) -> CallRecord:
    call = CallRecord(
        at=world.now(),
        origin=world.portal(portal).origin,
        method="profile",
        status=200,
        error=None,
        milliseconds=5,
        sent=100,
        received=200,
        parameters={},
        answer={},
    )
    return replace(call, **changes)


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Lock SQLite against writing, or have Postgres refuse and close connections."""
    address = database.engine.url
    if address.get_backend_name() == "sqlite":
        other = sqlite3.connect(address.database or "", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.close()
        return
    allow = f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS"
    plain = address.set(drivername="postgresql+psycopg", database="postgres")
    server = create_engine(plain, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"{allow} false"))
        ended = text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": address.database})
        yield
        connection.execute(text(f"{allow} true"))
    server.dispose()


def test_calls_during_an_outage_are_not_stored_for_another_portal(
    each_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dashboard.core.sqlite.BUSY_SECONDS", 0.05)
    each_world.install("beta")
    before = each_world.one("SELECT max(id) FROM api_calls")
    with ExitStack() as outage:

        def begin(answer: dict[str, Any]) -> dict[str, Any]:
            outage.enter_context(away(each_world.database))
            return answer

        each_world.bitrix24.faults.add(Fault("answer", method="batch", portal="alpha", change=begin))
        answer = each_world.open("boris")
    clara = each_world.session("clara", "beta")

    assert (answer.status_code, errors_on(answer.text)) == (503, ["database_unavailable"])
    beta = each_world.portal("beta").origin
    rows = each_world.rows(f"SELECT portal_id, origin FROM api_calls WHERE id > {before}")
    assert rows == [{"portal_id": each_world.known("beta").id, "origin": beta}]
    page = each_world.browser.get("/admin/calls", headers=clara).text
    assert each_world.portal("alpha").origin not in page
    (line,) = [record.getMessage() for record in caplog.records if "calls_dropped" in record.getMessage()]
    assert "'count': 1" in line
    assert "batch" not in line


def test_calls_are_stored_if_the_result_is_rolled_back(world: World, call_log: CallLog) -> None:
    before = world.one("SELECT count(*) FROM api_calls")

    with pytest.raises(KeyError), call_log.collect(world.known()) as calls:
        calls.add(call_to(world))
        with world.database.write_session() as session:
            calls.write(session)
            raise KeyError

    assert world.one("SELECT count(*) FROM api_calls") == before + 1


def test_calls_do_not_wait_for_the_database_again(world: World, call_log: CallLog) -> None:
    before = world.one("SELECT count(*) FROM api_calls")

    with pytest.raises(OperationalError), call_log.collect(world.known()) as calls:
        calls.add(call_to(world))
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked"))

    assert world.one("SELECT count(*) FROM api_calls") == before


def test_calls_are_stored_once(world: World, call_log: CallLog) -> None:
    before = world.one("SELECT count(*) FROM api_calls")

    with call_log.collect(world.known()) as calls:
        calls.add(call_to(world, method="first"))
        with world.database.write_session() as session:
            calls.write(session)
        calls.add(call_to(world, method="second"))

    rows = world.rows(f"SELECT method FROM api_calls ORDER BY id LIMIT 9 OFFSET {before}")
    assert [row["method"] for row in rows] == ["first", "second"]


def test_calls_belong_to_the_verified_portal(world: World, call_log: CallLog) -> None:
    with call_log.collect(None, verified=False) as calls:
        calls.add(call_to(world, method="before.proof"))
        with world.database.write_session() as session:
            calls.write(session, portal=world.known())
        calls.add(call_to(world, method="after.proof"))

    rows = world.rows("SELECT portal_id FROM api_calls WHERE method LIKE '%.proof'")
    assert [row["portal_id"] for row in rows] == [world.known().id] * 2


def test_calls_of_an_uninstalled_portal_are_dropped(world: World, call_log: CallLog) -> None:
    with call_log.collect(world.known()) as calls:
        calls.add(call_to(world))
        world.portal().uninstall()
        world.portal().send_event("ONAPPUNINSTALL")
        world.install("alpha")
        after = world.one("SELECT max(id) FROM api_calls")

    assert world.one("SELECT max(id) FROM api_calls") == after


def test_a_refusal_by_the_rate_limit_is_counted_if_the_unit_fails(world: World, call_log: CallLog) -> None:
    rate = "SELECT rate FROM buckets"
    before = world.one("SELECT level FROM buckets"), world.one(rate)

    with pytest.raises(KeyError), call_log.collect(world.known()) as calls:
        calls.add(call_to(world, error="QUERY_LIMIT_EXCEEDED"))
        raise KeyError

    assert (world.one("SELECT level FROM buckets"), world.one(rate)) != before


NOW = 1_800_000_000.0


def test_the_size_of_a_call_log_is_limited() -> None:
    empty_at, stored = 0.0, dict.fromkeys(LogDetail, 0)
    while not stored[LogDetail.NONE]:
        empty_at, detail = allocate_bytes(empty_at, NOW, full=75_000, summary=300)
        stored[detail] += 1

    assert stored[LogDetail.FULL] * 75_000 <= MAX_DETAILED_BYTES
    assert stored[LogDetail.FULL] * 75_000 + stored[LogDetail.SUMMARY] * 300 <= MAX_BYTES
    assert stored[LogDetail.SUMMARY] > 10_000
    assert used_bytes(empty_at, NOW + RETENTION_SECONDS / 2) == pytest.approx(MAX_BYTES / 2, rel=0.001)
    assert allocate_bytes(empty_at, NOW + RETENTION_SECONDS, full=75_000, summary=300)[1] is LogDetail.FULL


def test_a_wrong_clock_does_not_fill_the_call_log() -> None:
    empty_at, _ = allocate_bytes(NOW * 2, NOW, full=1000, summary=300)

    assert allocate_bytes(empty_at, NOW + RETENTION_SECONDS, full=1000, summary=300)[1] is LogDetail.FULL


def test_beyond_its_limit_a_call_log_drops_details_then_calls(
    each_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    each_world.install("beta")
    each_world.portal().bucket = None
    before = each_world.one("SELECT max(id) FROM api_calls")
    monkeypatch.setattr("dashboard.portals.call_log_space.MAX_DETAILED_BYTES", 20_000)
    monkeypatch.setattr("dashboard.portals.call_log_space.MAX_BYTES", 20_000 + 3 * ROW_BYTES)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=4), tick=False):
        for _ in range(20):
            assert each_world.open("boris").status_code == 200
        each_world.open("clara", "beta")

    rows = each_world.rows(f"SELECT portal_id, parameters, answer FROM api_calls WHERE id > {before} ORDER BY id")
    alphas = [stored(row) for row in rows if row["portal_id"] == 1]
    full = [size for size in alphas if size > 100]
    assert sum(full) <= 20_000
    assert 2 < len(full) < len(alphas) < 20
    assert alphas == [*full, *[stored({"parameters": MASK, "answer": MASK})] * (len(alphas) - len(full))]
    assert [stored(row) > 100 for row in rows if row["portal_id"] == 2] == [True]


def stored(row: dict[str, Any]) -> int:
    return len(json.dumps([loaded(row["parameters"]), loaded(row["answer"])]))


def loaded(value: Any) -> Any:
    """Return the JSON, which Postgres's driver has parsed already."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def test_a_long_answer_to_an_unverified_request_is_not_stored(world: World, call_log: CallLog) -> None:
    with call_log.collect(None, verified=False) as calls:
        calls.add(call_to(world, method="short", answer="a" * 100))
        calls.add(call_to(world, method="long", answer="a" * 10_000))

    rows = world.rows("SELECT method, answer FROM api_calls WHERE method IN ('short', 'long') ORDER BY id")
    assert [len(loaded(row["answer"])) for row in rows] == [100, len(MASK)]
