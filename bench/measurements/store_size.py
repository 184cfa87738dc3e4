"""Openings beside a full store against the same beside a small one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import AbstractContextManager

from bench import stores
from bench.bench import RUNS, Bench
from bench.results import Row

SECONDS = 5.0
PEOPLE = 100
SMALL = 8  # portals, as many as the small store's openings need
FULL = {"SQLite": 1_000, "Postgres": 10_000}  # portals


def measure(bench: Bench) -> Iterator[Row]:
    """Fill, then open at random all over the store."""
    for kind, portals in FULL.items():
        small = _took(bench, _store(bench, kind), SMALL)
        full = _took(bench, _store(bench, kind), portals)
        floor = statistics.median(small)
        name = f"{kind}, {portals * PEOPLE} people"
        yield Row(f"an open, {name}", "ms", full, floor=floor)
        yield Row(f"an open, {name}, against a small store", "×", [one / floor for one in full], goal=1.2)


def _store(bench: Bench, kind: str) -> AbstractContextManager[str]:
    return bench.sqlite() if kind == "SQLite" else stores.postgres()


def _took(bench: Bench, store: AbstractContextManager[str], portals: int) -> list[float]:
    with store as url:
        stores.fill(url, portals=portals, people=PEOPLE, upstream_port=bench.upstream.port)
        with bench.application(url) as application:
            what = {"clients": 2, "portals": portals, "people": PEOPLE}
            bench.load(application, seconds=3.0, **what)
            return [bench.load(application, seconds=SECONDS, **what).median for _ in range(RUNS)]
