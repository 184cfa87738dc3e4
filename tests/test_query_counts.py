"""Limit the statements, requests, connections and bytes of a page, and forbid scans of large tables.

The bench measures times; these counts are the same on every machine. Each limit is what the page needs
today: fewer is welcome, more needs a reason.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from zoneinfo import available_timezones

import pytest
from sqlalchemy import Connection, Engine, event

from dashboard.models import Department
from tests.emulator.cast import crowd
from tests.team_fixtures import store_people
from tests.world import World

# Tables that grow with people; a page must not scan them.
LARGE = (
    *("people", "chains", "snapshots", "portals", "api_calls", "runs", "buckets"),
    *("setting_changes", "departments", "department_members", "saved_groups"),
)
_TABLES = "|".join(LARGE)
# As the two databases say that they read a table, or an index of it, from one end to the other.
# The index of unfinished runs is always small.
SCAN = re.compile(rf"SCAN ({_TABLES})|Seq Scan on ({_TABLES}) ")
MIN_COUNTS = 8  # statements that count a whole team
TEAM_QUERIES = (
    *("", "q=bo", "state=connected&sort=hours", "view=week&page=2", "at_work=1", "group=timezone&sort=name"),
    *("group=department", "department=2", "sort=-name"),
)
# In a portal of 10,000 people each of these would take seconds if it read a table from one end to the other.
PAGES = (
    *(f"/team?{query}" for query in TEAM_QUERIES),
    *("/plan?people=1,7&date=2027-03-11", "/plan?department=2", "/plan/people?q=bo", "/plan/people"),
    *("/insights", "/insights/hours", "/insights/collapseOffHours", "/reach/7"),
    *("/me/history", "/team/7/history", "/admin", "/admin/changes"),
)


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Yield a list that collects the statements sent to the database."""
    sent: list[tuple[str, Any]] = []

    def record(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", record)
    yield sent
    event.remove(engine, "before_cursor_execute", record)


@pytest.fixture
def synced_world(world: World) -> World:
    """Return a world where Boris has opened the application before, and a sync has run."""
    world.open("anna")
    world.open("boris")
    world.sync()
    return world


def test_an_opening_sends_few_statements(synced_world: World) -> None:
    with statements(synced_world.database.engine) as sent:
        assert synced_world.open("boris").status_code == 200

    # One of them reads what has changed in their settings.
    assert len(sent) <= 11, "\n".join(statement for statement, _ in sent)


def test_an_opening_reads_once_and_writes_once(synced_world: World) -> None:
    counts: Counter[str] = Counter()
    listeners = {name: partial(_count, counts, name) for name in ("begin", "commit")}
    for name, listener in listeners.items():
        event.listen(synced_world.database.engine, name, listener)
    assert synced_world.open("boris").status_code == 200
    for name, listener in listeners.items():
        event.remove(synced_world.database.engine, name, listener)

    assert counts == {"begin": 2, "commit": 1}


def _count(counts: Counter[str], name: str, _connection: Connection) -> None:
    counts[name] += 1


@pytest.mark.parametrize(
    ("path", "max_statements"),
    [
        ("/me", 3),
        ("/reach/7", 4),
        ("/team", 11),
        ("/team?q=bo&view=week&sort=name&page=1", 11),
        ("/plan?people=1,2", 7),
        ("/plan", 9),
    ],
)
def test_a_page_sends_few_statements(synced_world: World, path: str, max_statements: int) -> None:
    session = synced_world.session("anna")

    with statements(synced_world.database.engine) as sent:
        assert synced_world.browser.get(path, headers=session).status_code == 200

    assert len(sent) <= max_statements, "\n".join(statement for statement, _ in sent)


def test_team_sends_as_many_statements_for_many_people_as_for_few(synced_world: World) -> None:
    session = synced_world.session("anna")
    with statements(synced_world.database.engine) as few_sent:
        synced_world.browser.get("/team", headers=session)
    synced_world.portal().add_people(*crowd(120))
    synced_world.sync()

    with statements(synced_world.database.engine) as many_sent:
        page = synced_world.browser.get("/team", headers=session)

    # A longer list has groups: their sizes, and those that are wholly or partly on the page.
    assert len(many_sent) <= len(few_sent) + 3
    assert page.text.count("data-user=") == 50


@pytest.mark.parametrize("path", ["/team", "/team.json"])
def test_many_departments_in_many_zones_need_no_statement_for_each_pair(synced_world: World, path: str) -> None:
    zones = sorted(zone for zone in available_timezones() if zone.startswith("America/"))[:40]
    store_people(synced_world, *({"departments": [1 + n % 60], "calendar_zone": zones[n % 40]} for n in range(120)))
    with synced_world.database.write_session() as database_session:
        database_session.add(Department(portal_id=synced_world.known().id, department_id=1, name="One", sort=1))
    session = synced_world.session("anna")

    with statements(synced_world.database.engine) as sent:
        page = synced_world.browser.get(f"{path}?group=department&sort=timezone&page=2", headers=session)

    assert page.text.count("Colleague") >= 50
    # 60 departments, 40 zones: one statement for each pair would be thousands, one for each zone 40.
    assert len(sent) <= 25


def test_an_opening_in_a_known_portal_sends_one_request(synced_world: World) -> None:
    synced_world.bitrix24.clear()

    synced_world.open("boris")

    assert [record.method for record in synced_world.bitrix24.requests] == ["batch"]


def test_connections_are_reused(synced_world: World) -> None:
    synced_world.bitrix24.clear()

    for _ in range(5):
        synced_world.open("boris")

    assert synced_world.bitrix24.connections == 0


def test_pages_are_small(synced_world: World) -> None:
    synced_world.portal().add_people(*crowd(120))
    synced_world.sync()
    first = synced_world.open("boris").data
    team = synced_world.browser.get("/team", headers=synced_world.session("anna")).data

    assert len(gzip.compress(first, 6)) < 8_000
    assert len(gzip.compress(team, 6)) < 16_000


def test_no_statement_scans_a_large_table(each_world: World) -> None:
    """On SQLite, counts of a whole team are even read from indexes alone; Postgres has other plans for small tables."""
    engine = each_world.database.engine
    with statements(engine) as sent:
        each_world.open("anna")
        session = each_world.session("boris")
        each_world.portal().expire("boris")
        each_world.browser.post("/me/refresh", headers=session)
        each_world.sync()
        for path in PAGES:
            assert each_world.browser.get(path, headers=each_world.session("anna")).status_code == 200, path

    plans = {statement: _plan(engine, statement, parameters) for statement, parameters in sent}
    scanned = [statement for statement, plan in plans.items() if SCAN.search(plan)]
    assert not scanned, "\n\n".join(sorted(scanned))
    counts = [statement for statement in plans if _counts_a_team(statement)]
    assert len(counts) >= MIN_COUNTS
    for statement in counts if engine.dialect.name == "sqlite" else ():
        scans = [line for line in plans[statement].splitlines() if "people" in line and "ix_people" in line]
        assert scans, statement
        assert all("COVERING INDEX" in line for line in scans), statement


def _counts_a_team(statement: str) -> bool:
    is_count = statement.startswith("SELECT") and "sum(count(*)) OVER" in statement
    return is_count and "FROM people" in statement and "people.search" not in statement


def _plan(engine: Engine, statement: str, parameters: Any) -> str:
    """Return the plan of a statement that has one."""
    if statement.split(maxsplit=1)[0] not in ("SELECT", "WITH", "UPDATE", "DELETE") or isinstance(parameters, list):
        return ""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return "\n".join(str(row[3]) for row in plan)
        # Postgres prefers to scan small tables; without that choice, a scan that is left had no index.
        for choice in ("enable_seqscan", "enable_bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL {choice} = off")
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
