"""The time of an opening against one bare pooled request for the same, one client, upstream at 100 ms."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import requests

from bench.addresses import host, token_of
from bench.bench import RUNS, Bench
from bench.load import COMMANDS
from bench.results import Row

LATENCY = 0.1
SECONDS = 5.0


def measure(bench: Bench) -> Iterator[Row]:
    """Time openings and bare requests in turns, so that both see the same machine."""
    bench.upstream.set(latency=LATENCY)
    with bench.application() as application, requests.Session() as session:
        ask = _bare(session, bench)
        bench.load(application, clients=2, seconds=2.0)
        ask()
        ours, floors = [], []
        for _ in range(RUNS):
            floors.append(statistics.median(_timed(ask) for _ in range(20)))
            ours.append(bench.load(application, clients=1, seconds=SECONDS).median)
    bench.upstream.set(latency=0.0)
    ratios = [mine / floor for mine, floor in zip(ours, floors, strict=True)]
    floor = statistics.median(floors)
    yield Row("an open, one client, upstream 100 ms", "ms", ours, floor=floor)
    yield Row("an open against a bare request", "×", ratios, goal=1.10, floor=1.0)


def _bare(session: requests.Session, bench: Bench) -> Callable[[], None]:
    session.trust_env = False
    session.verify = str(bench.upstream.authority)
    url = f"https://{host(0)}:{bench.upstream.port}/rest/batch"

    def ask() -> None:
        body = {"halt": 0, "cmd": COMMANDS, "auth": token_of(0, 7)}
        session.post(url, json=body, timeout=10).raise_for_status()

    return ask


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
