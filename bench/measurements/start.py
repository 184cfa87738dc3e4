"""From nothing to the first answer, and from there to the first page."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench import people, processes
from bench.bench import RUNS, Bench
from bench.results import Row


def measure(bench: Bench) -> Iterator[Row]:
    """Start the application several times on a migrated store."""
    started: list[float] = []
    first: list[float] = []
    second: list[float] = []
    with bench.sqlite() as url:
        for portal in range(RUNS):
            began = time.monotonic()
            with bench.application(url, WEB_CONCURRENCY="1") as application:
                started.append((time.monotonic() - began) * 1000)
                for took in (first, second):
                    opening = time.monotonic()
                    people.open_as(application, bench.upstream, 0, 1 + portal)
                    took.append((time.monotonic() - opening) * 1000)
        bare = [_bare() for _ in range(RUNS)]
        imported = [_imported(bench, url) for _ in range(RUNS)]
    yield Row("start: to the first answer", "ms", started, floor=sorted(bare)[RUNS // 2])
    yield Row("start: making the application", "ms", imported)
    yield Row("start: the first open of a process", "ms", first)
    yield Row("start: the next open", "ms", second)


def _bare() -> float:
    """Return what starting Python with the libraries alone takes."""
    began = time.monotonic()
    libraries = "import flask, sqlalchemy.orm, requests, pydantic, cryptography.fernet, babel, structlog"
    subprocess.run([sys.executable, "-c", libraries], check=True)
    return (time.monotonic() - began) * 1000


def _imported(bench: Bench, url: str) -> float:
    environment = processes.environment(bench.upstream, url, port=8000)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from app import create_app; create_app()"],
        check=True, env=environment, cwd=processes.ROOT,
    )  # fmt: skip
    return (time.monotonic() - began) * 1000
