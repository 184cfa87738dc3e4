"""Measure what `make bench` prints; each function yields the rows of one part of the table."""

from __future__ import annotations

import gzip
import re
import statistics
import threading
import time
import timeit
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin

import psutil
import requests
from requests.adapters import HTTPAdapter

from bench import portals, processes, stores
from bench.load import COMMANDS
from bench.methods import LIST_REQUESTS
from bench.portals import HOSTS, host, renamed_host, token_of
from bench.processes import Application, RunningUpstream
from bench.results import Row
from dashboard.bitrix24.leaky_bucket import DEPTH, INTERACTIVE_HEADROOM, RATE

SAMPLES = 3
PORTALS, PEOPLE = 8, 100
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    folder: Path
    upstream: RunningUpstream

    @contextmanager
    def store(self, *, portals: int = PORTALS, people: int = PEOPLE) -> Iterator[str]:
        """Yield the URL of a SQLite database whose settings were updated yesterday."""
        with stores.sqlite(self.folder) as url:
            stores.fill(url, portals=portals, people=people, upstream_port=self.upstream.port)
            yield url

    @contextmanager
    def run_application(self) -> Iterator[Application]:
        """Run the application on a small store."""
        with self.store() as url, processes.run_application(self.upstream, url) as application:
            yield application

    @contextmanager
    def behavior(self, **fields: float) -> Iterator[None]:
        """Have the upstream behave differently for a while."""
        self.upstream.set(**fields)
        yield
        self.upstream.set(latency=0.0, people=100, limited=False, renamed=False)


def measure_requests(bench: Bench) -> Iterator[Row]:
    """Count the requests to Bitrix24 of an opening: each waits for the one before."""
    with stores.sqlite(bench.folder) as url, processes.run_application(bench.upstream, url) as application:

        def count(user: int, address: Callable[[int], str]) -> list[float]:
            counts = []
            for portal in range(SAMPLES):
                bench.upstream.set()
                domain = address(portal)
                portals.open_as(portal, user, url=application.url, port=bench.upstream.port, domain=domain)
                counts.append(float(sum(bench.upstream.set().values())))
            return counts

        yield Row("requests, unknown portal", "requests", count(1, host), goal=3)
        yield Row("requests, known portal", "requests", count(2, host), goal=1, floor=1)
        with bench.behavior(renamed=True):
            yield Row("requests, after a rename", "requests", count(3, renamed_host), goal=4)
            yield Row("requests, renamed, next time", "requests", count(4, renamed_host), goal=1)


def measure_opening_latency(bench: Bench) -> Iterator[Row]:
    """Time an opening against one bare pooled request: one client, in turns, so that both see the same machine."""
    with bench.behavior(latency=0.1), bench.run_application() as application, _bare_session(bench) as session:
        application.load(clients=2, seconds=2.0)
        ours, floors = [], []
        for _ in range(SAMPLES):
            seconds = timeit.repeat(lambda: _send(session, bench, 0), number=1, repeat=20)
            floors.append(statistics.median(seconds) * 1000)
            ours.append(application.load(clients=1, seconds=5.0).median)
    floor = statistics.median(floors)
    yield Row("an opening, one client, upstream 100 ms", "ms", ours, floor=floor)
    ratios = [mine / bare for mine, bare in zip(ours, floors, strict=True)]
    yield Row("an opening against a bare request", "×", ratios, goal=1.06, floor=1.0)


def measure_opening_throughput(bench: Bench) -> Iterator[Row]:
    """Count openings per second by clients and latency, with a connection each, as the proxy in docs/deploy does.

    Kept connections stay with the process that accepted them, and by chance one process may have most of them.
    """
    with bench.run_application() as application:
        application.load(clients=32, seconds=3.0, portals=PORTALS, keep_alive=False)
        for latency, clients in ((0, 32), (100, 8), (100, 32), (340, 32)):
            with bench.behavior(latency=latency / 1000):
                name = f"openings, {clients} clients, upstream {latency} ms"
                floor = bench.upstream.load(clients=clients, seconds=1.5, portals=PORTALS).per_second
                runs = [
                    application.load(clients=clients, seconds=3.0, portals=PORTALS, keep_alive=False)
                    for _ in range(SAMPLES)
                ]
                goal = 270.0 if (latency, clients) == (100, 32) else None
                openings = [run.per_second for run in runs]
                yield Row(name, "per second", openings, goal=goal, floor=floor, higher_is_better=True)
                yield Row(f"{name}: 99 of 100 within", "ms", [run.p99 for run in runs])
                yield Row(f"{name}: failures", "requests", [sum(run.failures for run in runs)], goal=0)


def measure_team(bench: Bench) -> Iterator[Row]:
    """Read *Team* and *Plan* in portals of 100 and 10,000 people, by one client, in turns."""
    # Each finds enough people in the small portal to fill a page, so that both sizes draw the same.
    today = datetime.now(UTC).date()
    wednesday = today + timedelta(days=(2 - today.weekday()) % 7)
    pages = {
        "Team, first page": "/team",
        "Team, second page": "/team?page=2",
        "Team, search": "/team?q=person",
        "Team, filter": "/team?state=connected&sort=hours",
        "Plan, 20 people, a date": f"/plan?people={','.join(map(str, range(1, 21)))}&date={wednesday}",
    }
    with ExitStack() as stack:

        def reader(size: int) -> Callable[[str], float]:
            url = stack.enter_context(bench.store(portals=1, people=size))
            application = stack.enter_context(processes.run_application(bench.upstream, url))
            page = portals.open_as(0, 1, url=application.url, port=bench.upstream.port)
            token = portals.session_token(page)
            return lambda path: application.load(clients=1, seconds=1.5, path=path, token=token).median

        small, large = reader(100), reader(10_000)
        for name, path in pages.items():
            rounds = [(small(path), large(path)) for _ in range(SAMPLES + 1)][1:]  # the first warms up
            of_small, of_large = zip(*rounds, strict=True)
            floor = statistics.median(of_small)
            yield Row(f"{name}, 10000 people", "ms", of_large, goal=40.0, floor=floor)
            ratios = [more / fewer for fewer, more in rounds]
            yield Row(f"{name}, 10000 people against 100", "×", ratios, goal=1.2, floor=1.0)


def measure_run(bench: Bench) -> Iterator[Row]:
    """Update 200 people of each of three portals, all at once, under the request limit that the upstream enforces."""
    people = 200
    requests = people + LIST_REQUESTS
    min_seconds = (requests - (DEPTH - INTERACTIVE_HEADROOM)) / RATE
    with bench.behavior(people=people, limited=True), bench.store(portals=SAMPLES, people=people) as url:
        stores.store_tokens(url)
        with processes.run_worker(bench.upstream, url):
            time.sleep(6.0)  # until it is warm
            stores.request_runs(url)
            seconds = stores.seconds_of_runs(url, at_most=3 * min_seconds)
        counts = bench.upstream.set()
    yield Row("a run of 200", "s", seconds, floor=min_seconds)
    ratios = [min_seconds / one for one in seconds]
    yield Row("a run of 200 against the request limit", "×", ratios, goal=0.98, higher_is_better=True)
    yield Row(f"{SAMPLES} runs of 200: requests", "requests", [counts["portal"]], floor=SAMPLES * requests)
    yield Row(f"{SAMPLES} runs of 200: refused for the limit", "requests", [counts["refused"]], goal=0)


def measure_portals(bench: Bench) -> Iterator[Row]:
    """Update 200 portals at once against a bare pooled loop with as many threads."""
    threads, seconds = 8, 8.0
    people = 34  # as many as the request limit allows at once, so that the worker is measured and not the limit

    def worker() -> float:
        with bench.store(portals=HOSTS, people=people) as url:
            stores.store_tokens(url)
            stores.request_runs(url)
            with processes.run_worker(bench.upstream, url, WORKER_THREADS=str(threads)):
                time.sleep(6.0)  # until it is warm
                bench.upstream.set()
                began = time.monotonic()
                time.sleep(seconds)
                return bench.upstream.set()["portal"] / (time.monotonic() - began)

    with bench.behavior(latency=0.1, people=people):
        floors = [_bare_requests_per_second(bench, threads, seconds) for _ in range(SAMPLES)]
        ours = [worker() for _ in range(SAMPLES)]
    floor = statistics.median(floors)
    name, ratios = f"{HOSTS} portals at once", [one / floor for one in ours]
    yield Row(f"{name}, {threads} threads", "calls per second", ours, floor=floor, higher_is_better=True)
    yield Row(f"{name}, against a bare loop", "×", ratios, goal=0.9, higher_is_better=True)


def measure_store(bench: Bench) -> Iterator[Row]:
    """Open beside a full store and beside a small one, in turns."""
    for kind, number in {"SQLite": 1_000, "Postgres": 10_000}.items():
        with ExitStack() as stack:

            def opener(size: int, kind: str = kind, stack: ExitStack = stack) -> Callable[[], float]:
                url = stack.enter_context(stores.sqlite(bench.folder) if kind == "SQLite" else stores.postgres())
                stores.fill(url, portals=size, people=PEOPLE, upstream_port=bench.upstream.port)
                application = stack.enter_context(processes.run_application(bench.upstream, url))
                application.load(clients=1, seconds=3.0, portals=size)
                return lambda: application.load(clients=1, seconds=3.0, portals=size).median

            small, full = opener(PORTALS), opener(number)
            rounds = [(small(), full()) for _ in range(SAMPLES)]
        of_small, of_full = zip(*rounds, strict=True)
        name = f"an opening, {kind}, {number * PEOPLE} people"
        yield Row(name, "ms", of_full, floor=statistics.median(of_small))
        yield Row(f"{name}, against a small store", "×", [more / fewer for fewer, more in rounds], goal=1.1)


def measure_memory(bench: Bench) -> Iterator[Row]:
    """Read resident memory, and its proportional share, of a web process and a worker, at rest and after work."""

    def rows(name: str, running: list[psutil.Process], *, goal: float) -> Iterator[Row]:
        memory = [process.memory_full_info() for process in running]
        yield Row(f"memory of {name}, resident", "MiB", [max(one.rss for one in memory) / MEBIBYTE], goal=goal)
        yield Row(f"memory of {name}, its share", "MiB", [max(one.pss for one in memory) / MEBIBYTE], goal=goal)

    with bench.store(portals=50, people=40) as url:
        stores.store_tokens(url)
        with processes.run_application(bench.upstream, url) as application:
            yield from rows("a web process, at rest", application.workers(), goal=90.0)
            application.load(clients=32, seconds=10.0, portals=50, people=40)
            yield from rows("a web process, after load", application.workers(), goal=90.0)
        with processes.run_worker(bench.upstream, url) as worker:
            time.sleep(6.0)
            yield from rows("the worker, at rest", [worker], goal=80.0)
            stores.request_runs(url)
            time.sleep(10.0)
            yield from rows("the worker, at work", [worker], goal=80.0)


def measure_page(bench: Bench) -> Iterator[Row]:
    """Fetch the first page and its files, as a proxy that compresses sends them; Bitrix24's library is not ours."""
    with bench.run_application() as application:
        page = portals.open_as(0, 1, url=application.url, port=bench.upstream.port)
        names = re.findall(r'<(?:link[^>]+href|script[^>]+src)="([^"]+)"', page)
        addresses = {urljoin(application.url, name) for name in names}
        files = [page.encode()]
        for address in addresses:
            if address.startswith(application.url):
                with urllib.request.urlopen(address, timeout=10) as response:
                    files.append(response.read())
    compressed = sum(len(gzip.compress(content, 6)) for content in files)
    yield Row("first page: our files", "files", [len(files)], goal=6)
    yield Row("first page: bytes, compressed", "KB", [compressed / 1000], goal=25)


@contextmanager
def _bare_session(bench: Bench, threads: int = 1) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(bench.upstream.authority)
        session.mount("https://", HTTPAdapter(pool_connections=HOSTS, pool_maxsize=threads))
        yield session


def _send(session: requests.Session, bench: Bench, portal: int) -> None:
    url = f"https://{host(portal)}:{bench.upstream.port}/rest/batch"
    body = {"halt": 0, "cmd": COMMANDS, "auth": token_of(portal, 7)}
    session.post(url, json=body, timeout=10).raise_for_status()


def _bare_requests_per_second(bench: Bench, threads: int, seconds: float) -> float:
    """Send to each portal in turn by so many threads over kept connections."""
    sent = [0] * threads
    until = time.monotonic() + seconds
    with _bare_session(bench, threads) as session:

        def send(thread: int) -> None:
            while time.monotonic() < until:
                _send(session, bench, (thread + threads * sent[thread]) % HOSTS)
                sent[thread] += 1

        began = time.monotonic()
        running = [threading.Thread(target=send, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return sum(sent) / (time.monotonic() - began)


MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "requests": measure_requests,
    "latency": measure_opening_latency,
    "throughput": measure_opening_throughput,
    "team": measure_team,
    "run": measure_run,
    "portals": measure_portals,
    "store": measure_store,
    "memory": measure_memory,
    "page": measure_page,
}
