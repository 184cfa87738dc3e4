"""What every measurement is given: a folder, the upstream, and the application when it asks for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes, stores
from bench.processes import Application, Loaded, Upstream

RUNS = 3  # samples of each figure; the median counts
# What docs/scaling.md gives a machine with two cores.
SIZES = {"WEB_CONCURRENCY": "2", "WEB_THREADS": "24"}

PORTALS, PEOPLE = 8, 100

_numbers = itertools.count()


@dataclass(frozen=True)
class Bench:
    """The workbench."""

    folder: Path
    upstream: Upstream

    @contextmanager
    def application(self, database_url: str | None = None, **environment: str) -> Iterator[Application]:
        """Run the application, on a small store in a SQLite file unless another database is given."""
        if database_url is not None:
            with processes.application(self.upstream, database_url, **{**SIZES, **environment}) as it:
                yield it
            return
        with self.store(portals=PORTALS, people=PEOPLE) as url, self.application(url, **environment) as it:
            yield it

    @contextmanager
    def sqlite(self) -> Iterator[str]:
        """Give an empty store."""
        with stores.sqlite(self.folder, f"store{next(_numbers)}") as url:
            yield url

    @contextmanager
    def store(self, *, portals: int, people: int) -> Iterator[str]:
        """Give a store with people in it, as a worker keeps it that has done today's work."""
        with self.sqlite() as url:
            stores.fill(url, portals=portals, people=people, upstream_port=self.upstream.port)
            yield url

    def load(self, application: Application, **what: Any) -> Loaded:
        """Open the application by a number of clients for a while."""
        return processes.load(application, self.upstream, **what)

    def bare(self, **what: Any) -> Loaded:
        """Ask the upstream for the same by the same load maker, with nothing of ours between."""
        return processes.load(None, self.upstream, **what)
