"""`make bench`, all of it or the measurements named: `BENCH="opens memory" make bench`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import authority, processes, results
from bench.bench import Bench
from bench.measurements import (
    budget,
    first_page,
    handshakes,
    many_portals,
    memory,
    open_time,
    opens,
    requests_per_open,
    run,
    start,
    store_size,
    team,
)
from bench.results import Row

FILE = processes.ROOT / "var" / "bench.json"
MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "requests": requests_per_open.measure,
    "open": open_time.measure,
    "budget": budget.measure,
    "handshakes": handshakes.measure,
    "opens": opens.measure,
    "team": team.measure,
    "run": run.measure,
    "portals": many_portals.measure,
    "store": store_size.measure,
    "memory": memory.measure,
    "page": first_page.measure,
    "start": start.measure,
}


def main(wanted: list[str]) -> int:
    """Measure what is wanted, or everything; print as it comes, then the table."""
    if strangers := [name for name in wanted if name not in MEASUREMENTS]:
        print(f"There is no {', '.join(strangers)}; there are {', '.join(MEASUREMENTS)}.", file=sys.stderr)
        return 2
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        trusted, certificate = authority.make(folder)
        # Measurements that run in this process trust it as the application's processes do.
        os.environ["SSL_CERT_FILE"] = str(trusted)
        upstream = stack.enter_context(processes.upstream(certificate, trusted))
        for name in wanted or MEASUREMENTS:
            began = time.monotonic()
            print(f"{name} …", flush=True)
            for row in MEASUREMENTS[name](Bench(folder, upstream)):
                rows.append(row)
                print(f"  {row.name}: {results.number(row.value)} {row.unit} {row.verdict}", flush=True)
            print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    results.write(rows, FILE)
    print(f"\n{results.table(rows)}\n\nAlso in {FILE.relative_to(processes.ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
