"""`worker`: the process that reads everyone, until it is told to stop."""

from __future__ import annotations

import importlib
import threading

import click

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
        # The queue's library is for this process alone; a web process does without it.
        jobs = importlib.import_module("dashboard.jobs")
        url = config.queue_url.get_secret_value()
        stopped = threading.Event()
        threading.Thread(target=_write, args=(tallies, stopped), name="tallies", daemon=True).start()
        jobs.Jobs(url, config.secret_key, sync=sync, runs=runs, chores=chores).work(
            threads=config.worker_threads
        )
        stopped.set()
        tallies.flush()

    return worker


def _write(tallies: Tallies, stopped: threading.Event) -> None:
    """Write the counts now and then; web processes do it between requests, of which there are none here."""
    while not stopped.wait(FLUSH_SECONDS):
        tallies.flush()
