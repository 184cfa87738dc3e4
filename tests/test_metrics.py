"""`/metrics`: who may read it, what it counts in web processes and in a worker, and that it names nobody."""

from __future__ import annotations

import fcntl
import json
import os
import re
import runpy
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import event, text
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from dashboard.monitoring import metrics_server
from dashboard.monitoring.readiness import HEARTBEAT
from dashboard.portals import rate_limits
from tests.emulator import Emulator, Fault
from tests.processes import free_port, serve, wait_for, work
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import FERNET_KEY, SECRET_KEY, World

DOCS = Path(__file__).parent.parent / "docs"
TOKEN = "a token for the metrics alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Give the application with a token for its metrics; Alpha has installed it."""
    with World(bitrix24, sqlite_url, METRICS_TOKEN=TOKEN) as world:
        world.install("alpha")
        yield world


def scrape(world: World) -> TestResponse:
    return world.browser.get("/metrics", headers=BEARER)


def parse(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def samples(world: World) -> Samples:
    response = scrape(world)
    assert response.status_code == 200
    return parse(response.text)


def value(metrics: Samples, name: str, **labels: str) -> float:
    return metrics[name, frozenset(labels.items())]


HEALTHZ = {"endpoint": "health.healthz", "method": "GET", "status": "200"}


def test_it_counts_portals_and_tokens(measured: World) -> None:
    measured.open("boris")

    metrics = samples(measured)

    assert value(metrics, "dashboard_portals", state="active") == 1
    assert value(metrics, "dashboard_chains", state="live") == 2
    assert value(metrics, "dashboard_chains", state="reconnect") == 0
    assert value(metrics, "dashboard_database_up") == 1


def test_it_counts_requests_and_their_time(measured: World) -> None:
    measured.browser.get("/healthz")
    measured.browser.get("/nowhere")
    measured.browser.open("/", method="SOMETHING")

    metrics = samples(measured)

    assert value(metrics, "dashboard_requests_total", **HEALTHZ) == 1
    assert value(metrics, "dashboard_requests_total", endpoint="none", method="GET", status="404") == 1
    assert value(metrics, "dashboard_requests_total", endpoint="none", method="other", status="405") == 1
    assert value(metrics, "dashboard_request_seconds_count", endpoint="health.healthz") == 1


def test_it_counts_calls_and_token_refreshes_by_outcome(measured: World) -> None:
    session = measured.session("boris")
    measured.portal().expire("boris")
    measured.browser.post("/me/refresh", headers=session)
    measured.bitrix24.faults.add(Fault("error:A_NAME_LIKE_ANNA", where="portal"))
    measured.browser.post("/me/refresh", headers=session)
    with measured.database.write_session() as store:
        store.execute(text("UPDATE portals SET origin = 'https://127.0.0.1:1'"))
    measured.browser.post("/me/refresh", headers=session)

    metrics = samples(measured)

    assert value(metrics, "dashboard_refreshes_total", outcome="ok") == 1
    assert value(metrics, "dashboard_upstream_calls_total", method="batch", outcome="expired_token") == 1
    assert value(metrics, "dashboard_upstream_calls_total", method="batch", outcome="other") == 1
    assert value(metrics, "dashboard_upstream_calls_total", method="batch", outcome="connection_refused") == 1
    assert value(metrics, "dashboard_upstream_call_seconds_count", method="batch") >= 3
    assert value(metrics, "dashboard_upstream_call_seconds_sum", method="batch") > 0


def test_it_times_runs_and_their_waits_for_the_rate_limit(measured: World) -> None:
    measured.sync()  # the first, which the installation requested
    measured.services.runs.request(measured.known(), by=1)
    with measured.database.write_session() as session:
        # The bucket is full now, and has room again some seconds later.
        now = measured.bitrix24.clock.now()
        rate_limits.record(session, measured.known().id, at=now, requests=50)
    measured.sync()

    body, _, _ = measured.services.metrics.respond(BEARER["Authorization"], SecretStr(TOKEN))

    metrics = parse(body.decode())
    waited = value(metrics, "dashboard_rate_limit_wait_seconds_sum")
    assert value(metrics, "dashboard_run_seconds_count", state="done") == 2
    assert 5 < waited < value(metrics, "dashboard_run_seconds_sum", state="done") < 60


def test_counters_of_alerts_start_at_zero(measured: World) -> None:
    """Prometheus sees no increase in a series that begins at one."""
    measured.open("boris")

    metrics = samples(measured)

    opened = {"endpoint": "hooks.open_app", "method": "POST"}
    assert value(metrics, "dashboard_requests_total", **opened, status="200") == 1
    assert value(metrics, "dashboard_requests_total", **opened, status="500") == 0
    assert value(metrics, "dashboard_refreshes_total", outcome="invalid_client") == 0


def test_a_dead_workers_lease_is_overdue_until_the_run_ends(measured: World) -> None:
    measured.services.runs.request(measured.known(), by=1)
    measured.services.runs.acquire()
    measured.bitrix24.clock.advance(1000)
    late = value(samples(measured), "dashboard_lease_overdue_seconds", of="run")

    measured.services.runs.cancel(measured.known())

    assert 970 < late < 990
    assert value(samples(measured), "dashboard_lease_overdue_seconds", of="run") == 0


def test_each_web_process_returns_the_counts_of_all(measured: World) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = serve(measured.environment, port, processes=2)

    def healthz_counts(scrapes: int) -> list[float]:
        # Each scrape has its own connection, so both processes answer some.
        texts = [requests.get(f"{address}/metrics", headers=BEARER, timeout=HANG_SECONDS).text for _ in range(scrapes)]
        return [value(parse(text), "dashboard_requests_total", **HEALTHZ) for text in texts]

    try:
        wait_for(address)
        for _ in range(20):
            assert requests.get(f"{address}/healthz", timeout=HANG_SECONDS).ok
        counts = healthz_counts(8)
        first, second = psutil.Process(server.pid).children()
        arguments = str([process.cmdline() for process in (psutil.Process(server.pid), first, second)])
        first.kill()
        wait_until(lambda: {first, second} < {first, *psutil.Process(server.pid).children()})
        for _ in range(10):
            assert requests.get(f"{address}/healthz", timeout=HANG_SECONDS).ok
        counts_after_kill = healthz_counts(4)
        files = {path.name for path in metrics_files(server.pid)}
    finally:
        server.terminate()
        server.wait()

    assert (counts, counts_after_kill) == ([20] * 8, [30] * 4)
    # The list of processes, which every user of the machine sees, shows no secret.
    assert "gunicorn" in arguments
    keys = (TOKEN, SECRET_KEY, FERNET_KEY, measured.bitrix24.client_secret)
    assert not [key for key in keys if key in arguments]
    # The master's, and two of each process that has served.
    assert files <= {
        "lock",
        *(f"{kind}_{number}.db" for kind in ("counter", "histogram") for number in (0, 1, 2)),
    }
    assert metrics_files(server.pid) == set()


def test_a_web_server_removes_the_metrics_of_a_killed_one(measured: World, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    killed, running = (Path(tempfile.mkdtemp(prefix=f"calendar-dashboard-metrics-0{n}-", dir=parent)) for n in (1, 2))
    for name, setting in (measured.environment | {"PROMETHEUS_MULTIPROC_DIR": ""}).items():
        monkeypatch.setenv(name, setting)
    (killed / "lock").touch()
    with (running / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        runpy.run_path("gunicorn.conf.py")

    assert (killed.exists(), running.exists()) == (False, True)
    shutil.rmtree(running)


def metrics_files(pid: int) -> set[Path]:
    folders = (tempfile.gettempdir(), "/dev/shm")
    return {path for folder in folders for path in Path(folder).glob(f"calendar-dashboard-metrics-{pid}-*/*")}


def test_a_worker_serves_its_own_counts(measured: World) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/metrics"
    worker = work(measured.environment | {"METRICS_PORT": str(port)})
    try:
        wait_until(lambda: measured.one("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") == 1)
        metrics = parse(requests.get(address, headers=BEARER, timeout=HANG_SECONDS).text)
        refused = [
            requests.get(address, headers={"Authorization": text}, timeout=HANG_SECONDS) for text in ("", "Bearer no")
        ]
        elsewhere = requests.get(f"{address}/other", headers=BEARER, timeout=HANG_SECONDS)
    finally:
        worker.terminate()

    assert worker.wait() == 0
    assert value(metrics, "dashboard_upstream_calls_total", method="batch", outcome="ok") >= 1
    assert value(metrics, "dashboard_runs", state="done") == 1
    assert ([response.status_code for response in refused], elsewhere.status_code) == ([401, 401], 404)
    assert "dashboard_" not in "".join(response.text for response in [*refused, elsewhere])


def test_a_second_worker_at_the_same_port_logs_it_and_goes_on(world: World) -> None:
    token, port = SecretStr(TOKEN), free_port()
    first = metrics_server.start(world.services.metrics, token, host="127.0.0.1", port=port)
    assert first is not None

    with capture_logs() as logs:
        second = metrics_server.start(world.services.metrics, token, host="127.0.0.1", port=port)

    assert second is None
    assert [(line["event"], line["port"]) for line in logs] == [("metrics_not_served", port)]
    first.shutdown()
    first.server_close()


@pytest.fixture
def worker_metrics(measured: World) -> Iterator[int]:
    """Give the port of a worker's metrics."""
    port = free_port()
    server = metrics_server.start(measured.services.metrics, SecretStr(TOKEN), host="127.0.0.1", port=port)
    assert server is not None
    yield port
    server.shutdown()
    server.server_close()


def test_a_silent_client_does_not_delay_scrapes(worker_metrics: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "CLIENT_SECONDS", 3600.0)
    with socket.create_connection(("127.0.0.1", worker_metrics)):
        response = requests.get(f"http://127.0.0.1:{worker_metrics}/metrics", headers=BEARER, timeout=HANG_SECONDS)

    assert response.status_code == 200


def test_a_silent_client_is_disconnected(worker_metrics: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "CLIENT_SECONDS", 0.01)
    with socket.create_connection(("127.0.0.1", worker_metrics), timeout=HANG_SECONDS) as client:
        client.sendall(b"GET /metrics")
        assert client.recv(1) == b""


def test_too_many_clients_at_once_are_disconnected(worker_metrics: int) -> None:
    with ExitStack() as clients:
        for _ in range(metrics_server.MAX_CLIENTS + 1):
            client = clients.enter_context(
                socket.create_connection(("127.0.0.1", worker_metrics), timeout=HANG_SECONDS)
            )
        assert client.recv(1) == b""


def test_without_a_token_it_is_404(world: World) -> None:
    assert scrape(world).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ключ"])
def test_it_needs_the_bearer_token(measured: World, header: str) -> None:
    response = measured.browser.get("/metrics", headers={"Authorization": header.encode().decode("latin-1")})

    assert response.status_code == 401
    assert "dashboard_" not in response.text


def test_it_names_no_portal_and_no_person(measured: World) -> None:
    measured.open("boris")
    portal, boris = measured.portal(), measured.portal().people["boris"]

    page = scrape(measured).text

    for name in (portal.member_id, portal.domain, boris.name, boris.last_name, boris.email):
        assert name not in page


def test_without_its_tables_the_database_is_down_and_counters_stay(measured: World) -> None:
    measured.browser.get("/healthz")
    with measured.database.write_session() as session:
        session.connection().exec_driver_sql("ALTER TABLE portals RENAME TO elsewhere")

    metrics = samples(measured)

    assert value(metrics, "dashboard_database_up") == 0
    assert value(metrics, "dashboard_requests_total", **HEALTHZ) == 1


def test_a_scrape_waits_only_once_for_a_database_that_is_away(measured: World) -> None:
    waits = []

    def wait_in_vain(*_: object) -> None:
        waits.append(1)
        raise sqlite3.OperationalError("the server did not answer in time")

    measured.is_database_dirty = True
    measured.database.engine.dispose()
    event.listen(measured.database.engine, "do_connect", wait_in_vain)

    metrics = samples(measured)

    assert value(metrics, "dashboard_database_up") == 0
    assert len(waits) == 1


def test_every_series_of_alerts_and_dashboard_exists(measured: World) -> None:
    measured.session("boris")
    measured.portal().expire("boris")
    measured.open("boris")
    assert HEARTBEAT in measured.services.periodic_tasks.claim_due()
    series = {line.split()[2] for line in scrape(measured).text.splitlines() if line.startswith("# TYPE")}
    series |= {name + suffix for name in series for suffix in ("_bucket", "_count", "_sum", "_total")}

    for name in ("alerts.yml", "dashboard.json"):
        named = set(re.findall(r"\bdashboard_[a-z0-9_]+", (DOCS / name).read_text()))
        assert named, name
        assert named <= series, name


def test_the_endpoints_alerts_watch_exist(measured: World) -> None:
    watched = re.findall(r'endpoint="([^"]+)"', (DOCS / "alerts.yml").read_text())

    assert watched
    assert set(watched) <= set(measured.app.view_functions)


def test_the_dashboard_is_json_with_a_picture_for_every_series(measured: World) -> None:
    panels = json.loads((DOCS / "dashboard.json").read_text())["panels"]

    assert all(target["expr"] for panel in panels for target in panel["targets"])
