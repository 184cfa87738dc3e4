"""`/metrics`: who may read it, that its counts are true for all processes, and that it names nobody."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from werkzeug.test import TestResponse

from app import create_app
from dashboard.monitoring.metrics import FLUSH_SECONDS, Tallies
from tests.emulator import Emulator, Fault
from tests.world import World

DOCS = Path(__file__).parent.parent / "docs"
TOKEN = "a token for the metrics alone"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Give the application with a token for its metrics; Alpha has installed it."""
    with World(bitrix24, sqlite_url, METRICS_TOKEN=TOKEN) as it:
        it.install("alpha")
        yield it


def ask(world: World, token: str = TOKEN) -> TestResponse:
    return world.browser.get("/metrics", headers={"Authorization": f"Bearer {token}"})


def samples(world: World) -> Samples:
    response = ask(world)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_it_counts_portals_and_chains(measured: World) -> None:
    measured.open("boris")

    found = samples(measured)

    assert value(found, "dashboard_portals", state="active") == 1
    assert value(found, "dashboard_chains", state="live") == 2
    assert value(found, "dashboard_chains", state="reconnect") == 0
    assert value(found, "dashboard_database_up") == 1


def test_it_counts_requests_and_their_time(measured: World) -> None:
    measured.browser.get("/healthz")
    measured.browser.get("/nowhere")
    measured.browser.open("/", method="SOMETHING")

    found = samples(measured)

    health = {"endpoint": "public.healthz", "method": "GET", "status": "200"}
    assert value(found, "dashboard_requests_total", **health) == 1
    assert value(found, "dashboard_requests_total", endpoint="none", method="GET", status="404") == 1
    assert value(found, "dashboard_requests_total", endpoint="none", method="other", status="405") == 1
    assert value(found, "dashboard_request_seconds_count", endpoint="public.healthz") == 1


def test_it_counts_calls_and_renewals_by_outcome(measured: World) -> None:
    session = measured.session("boris")
    measured.portal().expire("boris")
    measured.browser.post("/me/refresh", headers=session)
    measured.bitrix24.faults.add(Fault("error:A_NAME_LIKE_ANNA", where="portal"))
    measured.browser.post("/me/refresh", headers=session)
    with measured.database.write_session() as store:
        store.execute(text("UPDATE portals SET origin = 'https://127.0.0.1:1'"))
    measured.browser.post("/me/refresh", headers=session)

    found = samples(measured)

    assert value(found, "dashboard_refreshes_total", outcome="ok") == 1
    assert value(found, "dashboard_upstream_calls_total", method="batch", outcome="expired_token") == 1
    assert value(found, "dashboard_upstream_calls_total", method="batch", outcome="other") == 1
    assert value(found, "dashboard_upstream_calls_total", method="batch", outcome="connection_refused") == 1
    assert value(found, "dashboard_upstream_seconds_total", method="batch") > 0


def test_what_alerts_watch_is_told_before_it_happens(measured: World) -> None:
    """A counter that begins at one has never increased, as Prometheus sees it."""
    measured.open("boris")

    found = samples(measured)

    opened = {"endpoint": "hooks.opened", "method": "POST"}
    assert value(found, "dashboard_requests_total", **opened, status="200") == 1
    assert value(found, "dashboard_requests_total", **opened, status="500") == 0
    assert value(found, "dashboard_refreshes_total", outcome="invalid_client") == 0


def test_a_dead_workers_lease_is_told_until_the_run_ends(measured: World) -> None:
    measured.parts.runs.request(measured.known(), by=1)
    measured.parts.runs.acquire(measured.known().id)
    measured.bitrix24.clock.advance(1000)
    late = value(samples(measured), "dashboard_lease_overdue_seconds", of="run")

    measured.parts.runs.cancel(measured.known())

    assert 970 < late < 990
    assert value(samples(measured), "dashboard_lease_overdue_seconds", of="run") == 0


def test_every_process_tells_what_all_of_them_counted(measured: World) -> None:
    other = create_app(measured.config, database=measured.database).test_client()
    other.get("/healthz")
    other.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    measured.browser.get("/healthz")

    labels = {"endpoint": "public.healthz", "method": "GET", "status": "200"}
    assert value(samples(measured), "dashboard_requests_total", **labels) == 2


def test_without_a_token_it_does_not_exist(world: World) -> None:
    assert ask(world).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ключ"])
def test_it_is_for_the_bearer_alone(measured: World, header: str) -> None:
    response = measured.browser.get("/metrics", headers={"Authorization": header.encode().decode("latin-1")})

    assert response.status_code == 401
    assert "dashboard_" not in response.text


def test_it_names_no_portal_and_no_person(measured: World) -> None:
    measured.open("boris")
    portal, boris = measured.portal(), measured.portal().people["boris"]

    text = ask(measured).text

    for told in (portal.member_id, portal.domain, boris.name, boris.last_name, boris.email):
        assert told not in text


def test_a_database_that_is_away_is_told(measured: World) -> None:
    rename(measured, "portals", "elsewhere")

    found = samples(measured)

    assert value(found, "dashboard_database_up") == 0


def test_every_series_of_alerts_and_dashboard_is_told(measured: World) -> None:
    measured.session("boris")
    measured.portal().expire("boris")
    measured.open("boris")
    with measured.database.write_session() as session:
        chore = "INSERT INTO chores (name, next_at) VALUES ('heartbeat', '2026-01-01 00:00:00')"
        session.connection().exec_driver_sql(chore)
    told = {line.split()[2] for line in ask(measured).text.splitlines() if line.startswith("# TYPE")}
    told |= {name + suffix for name in told for suffix in ("_bucket", "_count", "_sum", "_total")}

    for name in ("alerts.yml", "dashboard.json"):
        named = set(re.findall(r"\bdashboard_[a-z0-9_]+", (DOCS / name).read_text()))
        assert named, name
        assert named <= told, name


def test_the_endpoints_alerts_watch_exist(measured: World) -> None:
    watched = re.findall(r'endpoint="([^"]+)"', (DOCS / "alerts.yml").read_text())

    assert watched
    assert set(watched) <= set(measured.app.view_functions)


def test_the_dashboard_is_json_with_a_picture_for_every_series(measured: World) -> None:
    panels = json.loads((DOCS / "dashboard.json").read_text())["panels"]

    assert all(target["expr"] for panel in panels for target in panel["targets"])


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_counts_gather_until_it_is_time_and_while_the_store_is_away(world: World) -> None:
    clock = Clock()
    tallies = Tallies(world.database, clock=clock)
    tallies.add("things", "a")

    tallies.flush_if_due()
    assert "things" not in tallies.sums()

    rename(world, "tallies", "elsewhere")
    clock.seconds = FLUSH_SECONDS
    tallies.flush_if_due()
    rename(world, "elsewhere", "tallies")
    tallies.add("things", "a", by=2)
    tallies.flush()

    assert tallies.sums()["things"] == {("a",): 3}


def rename(world: World, table: str, name: str) -> None:
    with world.database.write_session() as session:
        session.connection().exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}")


def test_sums_hold_on_both_databases(each_world: World) -> None:
    first, second = Tallies(each_world.database), Tallies(each_world.database)

    for tallies in (first, second, first):
        tallies.add("things", "a", "b", by=0.5)
        tallies.add("others")
        tallies.flush()

    assert first.sums()["things"] == {("a", "b"): 1.5}
    assert first.sums()["others"] == {(): 3}
