"""*Team* in portals of 100, 1,000 and 10,000 people: the page, in the server."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench import people
from bench.bench import RUNS, Bench
from bench.results import Row

SIZES = (100, 1_000, 10_000)
# Each finds enough people in the smallest portal to fill a page: what is compared draws the same.
ASKED = {
    "first page": "/team",
    "second page": "/team?page=2",
    "search": "/team?q=person",
    "filter": "/team?state=connected&sort=hours",
}
# Found by few in a small portal, by a page in a large one.
RARE = "/team?q=person+99&view=week"


def measure(bench: Bench) -> Iterator[Row]:
    """Read the page by one client, for each size of portal."""
    took: dict[tuple[str, int], list[float]] = {}
    for size in SIZES:
        with bench.store(portals=1, people=size) as url, bench.application(url) as application:
            token = people.session_token(people.open_as(application, bench.upstream, 0, 1))
            for name, path in (ASKED | {"rare search": RARE}).items():
                bench.load(application, clients=1, seconds=1.0, get=path, tokens=[token])
                took[name, size] = [
                    bench.load(application, clients=1, seconds=1.5, get=path, tokens=[token]).median
                    for _ in range(RUNS)
                ]
    for name in (*ASKED, "rare search"):
        small = statistics.median(took[name, 100])
        for size in SIZES:
            row = f"Team, {name}, {size} people"
            goal = 60.0 if size == 10_000 else None
            yield Row(row, "ms", took[name, size], goal=goal, floor=small)
        if name not in ASKED:
            continue
        ratios = [one / small for one in took[name, 10_000]]
        yield Row(f"Team, {name}, 10000 people against 100", "×", ratios, goal=1.5, floor=1.0)
