"""Openings beside a full store against the same beside a small one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bench import stores
from bench.bench import RUNS, Bench
from bench.results import Row

SECONDS = 5.0
PEOPLE = 100
SMALL = 8  # portals, as many as the small store's openings need
FULL = {"SQLite": 1_000, "Postgres": 10_000}  # portals


def measure(bench: Bench) -> Iterator[Row]:
    """Fill both, then open at random all over each by turns, so that both see the same machine."""
    for kind, portals in FULL.items():
        with _opened(bench, kind, SMALL) as small, _opened(bench, kind, portals) as full:
            pairs = [(small(), full()) for _ in range(RUNS)]
        name = f"{kind}, {portals * PEOPLE} people"
        floor = statistics.median(floor for floor, _ in pairs)
        yield Row(f"an open, {name}", "ms", [took for _, took in pairs], floor=floor)
        ratios = [took / floor for floor, took in pairs]
        yield Row(f"an open, {name}, against a small store", "×", ratios, goal=1.2)


def _store(bench: Bench, kind: str) -> AbstractContextManager[str]:
    return bench.sqlite() if kind == "SQLite" else stores.postgres()


@contextmanager
def _opened(bench: Bench, kind: str, portals: int) -> Iterator[Callable[[], float]]:
    """Give a way to open in a store of so many portals; it returns the median's milliseconds."""
    # One client: of two, a process may get both or one, and that is most of what would be measured.
    what = {"clients": 1, "portals": portals, "people": PEOPLE}
    with _store(bench, kind) as url:
        stores.fill(url, portals=portals, people=PEOPLE, upstream_port=bench.upstream.port)
        with bench.application(url) as application:
            bench.load(application, seconds=3.0, **what)
            yield lambda: bench.load(application, seconds=SECONDS, **what).median
