"""The clock of the tests: it starts at the same moment on every day, or where TEST_CLOCK says.

Everything takes its time from it: the test's own process, the emulator, the browsers, and the processes of
the application, which `command` starts. Only what waits (`time.monotonic`) and what is no Python (Postgres,
TLS) goes by the machine's clock; no test compares the two.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from datetime import datetime

import time_machine

# A Wednesday in the middle of a month, in the middle of the day, in summer time.
START = "2026-09-16T10:00:00Z"
# How far the processes a test starts are from the machine's clock, in seconds.
SHIFT = "TEST_CLOCK_SHIFT"
PRECISION = 0.001


def start() -> time_machine.travel:
    """Start the clock of this process and of those that are started from it; return what stops it."""
    moment = datetime.fromisoformat(os.environ.get("TEST_CLOCK") or START)
    if moment.tzinfo is None:
        raise ValueError("TEST_CLOCK has no offset from UTC: 2028-02-29T23:30:00Z")
    os.environ[SHIFT] = str(moment.timestamp() - time.time())
    return _shifted()


def on_a_working_day() -> time_machine.travel:
    """Set the clock of this process to the moment tests start at unless TEST_CLOCK says otherwise."""
    return time_machine.travel(datetime.fromisoformat(START), tick=True)


def frozen() -> time_machine.travel:
    """Stop the clock of this process inside: buckets leak by it, however busy the machine is."""
    return time_machine.travel(time.time(), tick=False)


def browser_script() -> str:
    """Return the script that gives a document this clock. It has to run before any of the document's own."""
    return f"""(() => {{
      const Machine = Date;
      const now = () => Machine.now() + {round(_shift() * 1000)};
      globalThis.Date = class Date extends Machine {{
        constructor(...given) {{ given.length ? super(...given) : super(now()); }}
        static now() {{ return now(); }}
      }};
    }})()"""


def command(module: str, *arguments: str) -> list[str]:
    """Return what starts a module as a process with this clock, which finds the templates compiled."""
    return [sys.executable, "-m", "tests.clock", module, *arguments]


def _shift() -> float:
    return float(os.environ[SHIFT])


def _shifted() -> time_machine.travel:
    """Shift the clock; a process that did not run for a moment in between starts again.

    Processes share sessions and leases, so their clocks agree as the processes of one machine do.
    """
    while True:
        travel = time_machine.travel(time.time() + _shift(), tick=True)
        travel.start()
        if abs(time.time() - time_machine.escape_hatch.time.time() - _shift()) < PRECISION:
            return travel
        travel.stop()


if __name__ == "__main__":
    from tests import compiled_templates

    _shifted()
    compiled_templates.install()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
