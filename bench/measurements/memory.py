"""Memory of a web process and of the worker, at rest and after work."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from bench import processes, stores
from bench.bench import Bench
from bench.results import Row

MEBIBYTE = 2**20
GOAL = 100.0


def measure(bench: Bench) -> Iterator[Row]:
    """Read what the system says: resident memory, and the part of it that is a process's own."""
    with bench.store(portals=50, people=40) as url:
        stores.connect(url)
        with bench.application(url) as application:
            yield from _rows("a web process, at rest", application.workers())
            bench.load(application, clients=32, seconds=10.0, portals=50, people=40)
            yield from _rows("a web process, after load", application.workers())
        with processes.worker(bench.upstream, url) as worker:
            time.sleep(6.0)
            yield from _rows("the worker, at rest", [psutil.Process(worker.pid)])
            stores.ask_for_runs(url)
            time.sleep(10.0)
            yield from _rows("the worker, at work", [psutil.Process(worker.pid)])


def _rows(name: str, running: list[psutil.Process]) -> Iterator[Row]:
    told = [one.memory_full_info() for one in running]
    yield Row(f"memory of {name}", "MiB", [max(one.rss for one in told) / MEBIBYTE], goal=GOAL)
    yield Row(f"memory of {name}, its own", "MiB", [max(one.uss for one in told) / MEBIBYTE])
