"""Requests to Bitrix24 an opening costs: each waits for the one before, so each is a delay people see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench import people
from bench.addresses import host, moved_host
from bench.bench import RUNS, Bench
from bench.results import Row


def measure(bench: Bench) -> Iterator[Row]:
    """Open in unknown, known and renamed portals, and count at the upstream."""
    with bench.sqlite() as url, bench.application(url) as application:

        def asked(portal: int, user: int, domain: str) -> int:
            bench.upstream.set()
            people.open_as(application, bench.upstream, portal, user, domain=domain)
            counted = bench.upstream.set()
            return counted.get("portal", 0) + counted.get("authorization", 0)

        def each(of: Callable[[int], int]) -> list[float]:
            return [float(of(portal)) for portal in range(RUNS)]

        yield Row("requests, unknown portal", "requests", each(lambda n: asked(n, 1, host(n))), goal=3)
        yield Row("requests, known portal", "requests", each(lambda n: asked(n, 2, host(n))), goal=1, floor=1)
        bench.upstream.set(moved=True)
        yield Row("requests, after a rename", "requests", each(lambda n: asked(n, 3, moved_host(n))), goal=4)
        yield Row("requests, renamed, next time", "requests", each(lambda n: asked(n, 4, moved_host(n))), goal=1)
        bench.upstream.set(moved=False)
