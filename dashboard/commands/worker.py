"""`worker`: the process that reads everyone, until it is told to stop."""

from __future__ import annotations

import click

from dashboard import memory
from dashboard.chores import Chores
from dashboard.config import Config
from dashboard.runs import Runs
from dashboard.sync import Sync
from dashboard.tallies import Tallies
from dashboard.worker import Worker


def command(config: Config, *, sync: Sync, runs: Runs, chores: Chores, tallies: Tallies) -> click.Command:
    """Return the command the Procfile names."""

    @click.command("worker")
    def worker() -> None:
        """Work on runs and periodic tasks until SIGTERM or SIGINT."""
        memory.settle()
        Worker(sync=sync, runs=runs, chores=chores, tallies=tallies, threads=config.worker_threads).work()

    return worker
