"""Runs of 200 portals at once against a bare pooled loop with as many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import requests
from requests.adapters import HTTPAdapter

from bench import processes, stores
from bench.addresses import HOSTS, host, token_of
from bench.bench import RUNS, Bench
from bench.load import COMMANDS
from bench.results import Row

THREADS = 8
LATENCY = 0.1
WARM, SECONDS = 6.0, 8.0
PEOPLE = 34  # as many as a bucket allows at once: what is measured is the worker, not the limit


def measure(bench: Bench) -> Iterator[Row]:
    """Count the upstream's requests while every portal has a run under way."""
    bench.upstream.set(latency=LATENCY, people=PEOPLE)
    floors = [_bare(bench) for _ in range(RUNS)]
    ours = [_worked(bench) for _ in range(RUNS)]
    bench.upstream.set(latency=0.0, people=100)
    floor = sorted(floors)[RUNS // 2]
    yield Row(f"{HOSTS} portals at once, {THREADS} threads", "calls a second", ours, floor=floor, more=True)
    ratios = [one / floor for one in ours]
    yield Row(f"{HOSTS} portals at once, against a bare loop", "×", ratios, goal=0.6, more=True)


def _worked(bench: Bench) -> float:
    with bench.store(portals=HOSTS, people=PEOPLE) as url:
        stores.connect(url)
        stores.ask_for_runs(url)
        with processes.worker(bench.upstream, url, WORKER_THREADS=str(THREADS)):
            time.sleep(WARM)
            bench.upstream.set()
            began = time.monotonic()
            time.sleep(SECONDS)
            return bench.upstream.set()["portal"] / (time.monotonic() - began)


def _bare(bench: Bench) -> float:
    """Ask each portal in turn by so many threads, over connections that are kept."""
    asked: list[int] = []
    stop = time.monotonic() + SECONDS
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(bench.upstream.authority)
        session.mount("https://", HTTPAdapter(pool_connections=HOSTS, pool_maxsize=THREADS))

        def ask(thread: int) -> None:
            portal = thread
            while time.monotonic() < stop:
                url = f"https://{host(portal % HOSTS)}:{bench.upstream.port}/rest/batch"
                session.post(url, json={"cmd": COMMANDS, "auth": token_of(portal % HOSTS, 7)}, timeout=10)
                asked.append(portal)
                portal += THREADS

        began = time.monotonic()
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(asked) / (time.monotonic() - began)
