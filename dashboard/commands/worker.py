"""`worker`: the process that reads everyone, until it is told to stop."""

from __future__ import annotations

import importlib
import sys
import threading

import click

from dashboard import memory
from dashboard.chores import Chores
from dashboard.config import Config
from dashboard.runs import Runs
from dashboard.sync import Sync
from dashboard.tallies import FLUSH_SECONDS, Tallies


def command(config: Config, *, sync: Sync, runs: Runs, chores: Chores, tallies: Tallies) -> click.Command:
    """Return the command the Procfile names."""

    @click.command("worker")
    def worker() -> None:
        """Work on runs and chores until SIGTERM or SIGINT."""
        url = config.queue_url.get_secret_value()
        _leave_out_drivers(url, config.database_url.get_secret_value())
        # The queue's library is for this process alone; a web process does without it.
        jobs = importlib.import_module("dashboard.jobs")
        memory.settle()
        stopped = threading.Event()
        threading.Thread(target=_write, args=(tallies, stopped), name="tallies", daemon=True).start()
        jobs.Jobs(url, config.secret_key, sync=sync, runs=runs, chores=chores).work(
            threads=config.worker_threads
        )
        stopped.set()
        tallies.flush()

    return worker


def _leave_out_drivers(*urls: str) -> None:
    """Keep drivers nobody asked for out of memory: the queue's library imports whatever is installed.

    A name that stands for None cannot be imported; it saves a worker on SQLite some 15 of its 108 MiB.
    """
    for driver, scheme in (("redis", "redis"), ("psycopg", "postgresql")):
        if not any(url.startswith(scheme) for url in urls):
            sys.modules.setdefault(driver, None)  # type: ignore[arg-type]  # None is what blocks it


def _write(tallies: Tallies, stopped: threading.Event) -> None:
    """Write the counts now and then; web processes do it between requests, of which there are none here."""
    while not stopped.wait(FLUSH_SECONDS):
        tallies.flush()
