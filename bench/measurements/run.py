"""A run of 500 people against what the portal's bucket allows: by arithmetic, and once in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import create_engine, text

from app import assemble
from bench import processes, stores
from bench.bench import Bench
from bench.results import Row
from dashboard.bitrix24.leaky_bucket import DEPTH, INTERACTIVE_RESERVE, RATE
from dashboard.core import config
from dashboard.models import Portal

PEOPLE = 500
LONGEST = 400.0
# The list of employees is a call as well: one page of fifty pages, and its count.
CALLS = PEOPLE + 1
LIMIT = (CALLS - (DEPTH - INTERACTIVE_RESERVE)) / RATE


def measure(bench: Bench) -> Iterator[Row]:
    """Run by a clock that jumps to the next slice, then by the real one under the upstream's own bucket."""
    bench.upstream.set(people=PEOPLE)
    seconds, calls = _by_arithmetic(bench)
    yield Row("a run of 500, clock sped up", "s", [seconds], floor=LIMIT)
    yield Row("a run of 500 against the bucket, clock sped up", "×", [LIMIT / seconds], goal=0.95, more=True)
    yield Row("a run of 500: requests", "requests", [calls], floor=CALLS)
    seconds, refused = _in_real_time(bench)
    yield Row("a run of 500, real time", "s", [seconds], floor=LIMIT)
    yield Row("a run of 500 against the bucket, real time", "×", [LIMIT / seconds], goal=0.95, more=True)
    yield Row("a run of 500: refused for the limit", "requests", [refused], goal=0)
    bench.upstream.set(people=100, limited=False)


@dataclass
class _Clock:
    at: datetime

    def __call__(self) -> datetime:
        return self.at


def _by_arithmetic(bench: Bench) -> tuple[float, int]:
    with bench.store(portals=1, people=PEOPLE) as url:
        stores.connect(url)
        clock = _Clock(datetime.now(UTC))
        settings = config.load(processes.environment(bench.upstream, url, port=8000, LOG_LEVEL="error"))
        parts = assemble(settings, database=None, now=clock)
        began = clock.at
        bench.upstream.set()
        with parts.database.read_session() as session:
            portal = session.get_one(Portal, 1)
        parts.runs.request(portal, by=None)
        while (next_at := _next_slice(url)) is not None:
            clock.at = max(clock.at, next_at)
            parts.sync.run_slice(portal.id)
        parts.database.engine.dispose()
        return (clock.at - began).total_seconds(), bench.upstream.set()["portal"]


def _in_real_time(bench: Bench) -> tuple[float, int]:
    with bench.store(portals=1, people=PEOPLE) as url:
        stores.connect(url)
        bench.upstream.set(limited=True)
        with processes.worker(bench.upstream, url):
            stores.ask_for_runs(url)
            began = time.monotonic()
            while _next_slice(url) is not None and time.monotonic() - began < LONGEST:
                time.sleep(0.25)
            seconds = time.monotonic() - began
    return seconds, bench.upstream.set().get("refused", 0)


def _next_slice(url: str) -> datetime | None:
    """Return when the run is to be looked at again, None when it is over."""
    engine = create_engine(url)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT next_slice_at FROM runs WHERE finished_at IS NULL")).first()
    engine.dispose()
    return datetime.fromisoformat(str(row[0])).replace(tzinfo=UTC) if row else None
