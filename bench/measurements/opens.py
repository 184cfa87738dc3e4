"""Openings a second, by clients and by the upstream's latency, against the upstream alone."""

from __future__ import annotations

from collections.abc import Iterator

from bench.bench import PORTALS, RUNS, Bench
from bench.results import Row

CLIENTS = (1, 8, 32, 64)
MILLISECONDS = (0, 100, 340)
SECONDS = 4.0
GOALS = {(100, 32): 150.0}


def measure(bench: Bench) -> Iterator[Row]:
    """Load the application in every combination, a connection for each request.

    So does the proxy in docs/deploy. Kept ones stay with the process that took them, and by chance one
    process has most of the clients while another rests.
    """
    with bench.application() as application:
        bench.load(application, clients=32, seconds=3.0, portals=PORTALS, keeps=False)
        for latency in MILLISECONDS:
            bench.upstream.set(latency=latency / 1000)
            for clients in CLIENTS:
                name = f"opens, {clients} clients, upstream {latency} ms"
                floor = bench.bare(clients=clients, seconds=1.5, portals=PORTALS).a_second
                runs = [
                    bench.load(application, clients=clients, seconds=SECONDS, portals=PORTALS, keeps=False)
                    for _ in range(RUNS)
                ]
                goal = GOALS.get((latency, clients))
                yield Row(name, "a second", [run.a_second for run in runs], goal=goal, floor=floor, more=True)
                yield Row(f"{name}: 99 of 100 within", "ms", [run.quantile(0.99) for run in runs])
                yield Row(f"{name}: not answered", "requests", [sum(run.wrong for run in runs)], goal=0)
    bench.upstream.set(latency=0.0)
