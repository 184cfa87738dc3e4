"""`worker`: the process that reads everyone, until it is told to stop."""

from __future__ import annotations

import click
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from dashboard.commands import output
from dashboard.core import process_memory
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.launch.event_spool import EventSpool
from dashboard.models import PeriodicTask
from dashboard.monitoring.metrics import Tallies
from dashboard.sync.engine import SyncEngine
from dashboard.sync.periodic_tasks import PeriodicTasks
from dashboard.sync.runs import Runs
from dashboard.sync.worker import Worker


def command(
    config: Config,
    *,
    database: Database,
    spool: EventSpool,
    sync: SyncEngine,
    runs: Runs,
    periodic_tasks: PeriodicTasks,
    tallies: Tallies,
) -> click.Command:
    """Return the command the Procfile names."""

    @click.command("worker")
    def worker() -> None:
        """Work on runs and periodic tasks until SIGTERM or SIGINT."""
        process_memory.limit_memory()
        _say_what_is_wrong(database)
        spool.watch()
        Worker(
            sync=sync,
            runs=runs,
            periodic_tasks=periodic_tasks,
            tallies=tallies,
            outages=database.outages,
            threads=config.worker_threads,
        ).work()

    return worker


def _say_what_is_wrong(database: Database) -> None:
    """Say in one line why the database cannot be used; the worker waits for it all the same."""
    try:
        with database.read_session() as session:
            session.execute(select(PeriodicTask.name))
    except DBAPIError as error:
        output.print_text(describe(error), err=True)
