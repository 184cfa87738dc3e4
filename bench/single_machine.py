"""Measure one machine with SQLite, and Litestream beside it if it is installed or `LITESTREAM` names its file."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from bench import portals, processes, stores
from bench.measurements import MEBIBYTE, Bench
from bench.processes import ROOT, Application, LoadResult
from bench.results import Row
from dashboard.core import migrations
from dashboard.core.database import Database

SIZES = (10_000, 100_000)
PEOPLE_PER_PORTAL = 100
UPDATED = 200  # portals
# The three requests of a daily update for four days, of which a purge deletes the first, and a change every month.
CALLS, CHANGES = 12, 12
CALL_LOG = """
INSERT INTO api_calls (portal_id, at, origin, method, status, milliseconds, sent, received, parameters, answer)
SELECT 1 + n % {portals}, datetime('now', (-96.0 * n / {last}) || ' hours'), origin, method, status, milliseconds, sent,
    received, CASE WHEN n % 3 = 0 THEN parameters END, CASE WHEN n % 3 = 0 THEN answer END
FROM {numbers} CROSS JOIN (SELECT * FROM api_calls ORDER BY received DESC LIMIT 1)
"""
HISTORY = """
INSERT INTO setting_changes (portal_id, person_id, changed_at, key, before, after, how)
SELECT portal_id, id, datetime('now', (-n) || ' months'), 'view', '"month"', '"week"', 'synced' FROM people, {numbers}
"""


def measure_machine(bench: Bench) -> Iterator[Row]:
    """Measure openings beside updates, a backup, a purge and a recomputation, in stores of several sizes."""
    for people in SIZES:
        with stores.sqlite(bench.folder) as url, bench.behavior(latency=0.1):
            for row in _measure(bench, url, people):
                yield replace(row, name=f"{people} people: {row.name}")


def _measure(bench: Bench, url: str, people: int) -> Iterator[Row]:
    file, number = Path(str(make_url(url).database)), people // PEOPLE_PER_PORTAL

    def size() -> float:
        return file.stat().st_size / MEBIBYTE

    def command(*arguments: str) -> float:
        return processes.run_command(bench.upstream, url, *arguments)

    stores.fill(url, portals=number, people=PEOPLE_PER_PORTAL, upstream_port=bench.upstream.port)
    yield Row("file, people alone", "MiB", [size()])
    migrations.downgrade(Database(url), stores.PREVIOUS_REVISION)
    yield Row(f"upgrade from {stores.PREVIOUS_REVISION}", "s", [command("db", "upgrade")])
    with processes.run_application(bench.upstream, url) as application:
        portals.open_as(0, 1, url=application.url, port=bench.upstream.port)
    _fill_years(url, number, people)
    yield Row("file, with call log and history", "MiB", [size()])
    with ExitStack() as stack:
        application = stack.enter_context(processes.run_application(bench.upstream, url))
        _open(application, number, seconds=5.0)
        yield from _rows("32 clients", application, number)
        replication = stack.enter_context(_run_litestream(file))
        yield from _rows("32 clients, Litestream", application, number, replication)
        # Before the worker starts, which would purge too.
        yield from _during("log purge, of a day", application, number, lambda: command("log", "purge"))
        _set(url, "people", "facts_version = 0")
        worker = stack.enter_context(processes.run_worker(bench.upstream, url))
        began, left = time.monotonic(), people
        yield from _rows("32 clients, while columns are recomputed", application, number)
        left -= _scalar(url, "SELECT count(*) FROM people WHERE facts_version = 0")
        yield Row("recomputed meanwhile", "per second", [left / (time.monotonic() - began)])
        _set(url, "people", "facts_version = (SELECT max(facts_version) FROM people)")
        stores.store_tokens(url, portals=UPDATED)
        stores.request_runs(url, portals=UPDATED)
        time.sleep(5.0)
        began, done = time.monotonic(), _scalar(url, "SELECT sum(done) FROM runs")
        yield from _rows("32 clients, while people are updated", application, number)
        done = _scalar(url, "SELECT sum(done) FROM runs") - done
        yield Row("updated meanwhile", "per second", [done / (time.monotonic() - began)])
        backup = file.with_name("backup")
        yield from _during("db backup", application, number, lambda: command("db", "backup", str(backup)))
        yield Row("file, backup", "MiB", [backup.stat().st_size / MEBIBYTE])
        named = {"a web process": max(application.workers(), key=_memory), "the worker": worker}
        for name, process in {**named, "Litestream": replication}.items():
            if process:
                yield Row(f"memory of {name}", "MiB", [_memory(process)])
        if replication:
            yield Row("Litestream: restore", "s", [_restore(file)])


def _open(application: Application, number: int, *, seconds: float, clients: int = 32) -> LoadResult:
    return application.load(
        clients=clients, seconds=seconds, portals=number, people=PEOPLE_PER_PORTAL, keep_alive=False
    )


def _rows(name: str, application: Application, number: int, replication: psutil.Process | None = None) -> Iterator[Row]:
    runs, costs, replication_costs = [], [], []
    for _ in range(3):
        before, replicated = application.processor_seconds(), _processor(replication)
        runs.append(_open(application, number, seconds=4.0))
        openings = len(runs[-1].milliseconds) / 1000
        costs.append((application.processor_seconds() - before) / openings)
        replication_costs.append((_processor(replication) - replicated) / openings)
    yield Row(f"openings, {name}", "per second", [run.per_second for run in runs], higher_is_better=True)
    yield Row(f"openings, {name}: processor", "ms", costs)
    if replication:
        yield Row(f"openings, {name}: its processor", "ms", replication_costs)
    yield Row(f"openings, {name}: 99 of 100 within", "ms", [run.p99 for run in runs])
    yield Row(f"openings, {name}: failures", "requests", [sum(run.failures for run in runs)], goal=0)


def _during(name: str, application: Application, number: int, work: Callable[[], float]) -> Iterator[Row]:
    """Open while something else happens."""
    loads: list[LoadResult] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        while not loads or not running.done():
            loads.append(_open(application, number, seconds=2.0, clients=8))
    yield Row(name, "s", [running.result()])
    milliseconds = [one for load in loads for one in load.milliseconds]
    yield Row(f"{name}: the slowest of {len(milliseconds)} openings", "ms", [max(milliseconds)])
    yield Row(f"{name}: failures", "requests", [sum(load.failures for load in loads)], goal=0)


def _fill_years(url: str, number: int, people: int) -> None:
    """Fill the call log with copies of one opening's call, and the history."""
    with create_engine(url).begin() as connection:
        for statement, last in ((CALL_LOG, CALLS * people - 1), (HISTORY, CHANGES - 1)):
            rows = stores.NUMBER_SERIES["sqlite"].format(last=last)
            connection.exec_driver_sql(statement.format(portals=number, last=last, numbers=rows))
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _set(url: str, table: str, change: str) -> None:
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {change}")


def _scalar(url: str, query: str) -> int:
    with create_engine(url).connect() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def _processor(process: psutil.Process | None) -> float:
    return float(sum(process.cpu_times()[:2])) if process else 0.0


def _memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss / MEBIBYTE)


def _variables(file: Path) -> dict[str, str]:
    return os.environ | {"DATABASE_FILE": str(file), "LITESTREAM_REPLICA_URL": f"file://{file.parent}/replica"}


def _program() -> str | None:
    return shutil.which(os.environ.get("LITESTREAM", "litestream"))


CONFIG = ("-config", str(ROOT / "docs" / "deploy" / "litestream.yml"))


@contextmanager
def _run_litestream(file: Path) -> Iterator[psutil.Process | None]:
    """Replicate into a folder as docs/litestream.md says, once the first copy is complete."""
    if not (program := _program()):
        yield None
        return
    with subprocess.Popen([program, "replicate", *CONFIG], env=_variables(file)) as running:
        try:
            while not list((file.parent / "replica").rglob("*.ltx")):
                time.sleep(0.1)
            yield psutil.Process(running.pid)
        finally:
            running.terminate()


def _restore(file: Path) -> float:
    began, target = time.monotonic(), file.with_name("restored")
    command = [str(_program()), "restore", *CONFIG, "-o", str(target), str(file)]
    subprocess.run(command, env=_variables(file), check=True)
    with create_engine(f"sqlite:///{target}").connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM people").scalar_one()
    return time.monotonic() - began


MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {"machine": measure_machine}
