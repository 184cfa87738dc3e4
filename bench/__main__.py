"""Run `make bench`: all measurements but `machine`, or those named as in `make bench BENCH="latency memory"`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import comparisons, measurements, processes, results, single_machine
from bench.measurements import Bench
from bench.results import Row

FILE = processes.ROOT / "var" / "bench.json"
USUAL = measurements.MEASUREMENTS | comparisons.MEASUREMENTS
MEASUREMENTS = USUAL | single_machine.MEASUREMENTS


def main(names: list[str]) -> int:
    """Measure and print row by row, then the whole table."""
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        print(f"There is no {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}.", file=sys.stderr)
        return 2
    rows: list[Row] = []
    with TemporaryDirectory(prefix="bench-") as folder, processes.run_upstream(Path(folder)) as upstream:
        # What is measured in this process trusts the upstream as the application's processes do.
        os.environ["SSL_CERT_FILE"] = str(upstream.authority)
        for name in names or USUAL:
            began = time.monotonic()
            print(f"{name} …", flush=True)
            for row in MEASUREMENTS[name](Bench(Path(folder), upstream)):
                rows.append(row)
                print(f"  {results.line(row)}", flush=True)
            print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    results.write(rows, FILE)
    print("\n".join(["", *map(results.line, rows), "", f"Also in {FILE.relative_to(processes.ROOT)}."]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
