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
from dashboard.monitoring import metrics_server
from dashboard.monitoring.metrics import Metrics
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
    metrics: Metrics,
) -> click.Command:
    """Return the command the Procfile names."""

    @click.command("worker")
    def worker() -> None:
        """Work on runs and periodic tasks until SIGTERM or SIGINT."""
        process_memory.limit_memory()
        _say_what_is_wrong(database)
        _serve_metrics(config, metrics)
        spool.start()
        Worker(
            sync=sync,
            runs=runs,
            periodic_tasks=periodic_tasks,
            outages=database.outages,
            threads=config.worker_threads,
        ).work()

    return worker


def _serve_metrics(config: Config, metrics: Metrics) -> None:
    """Serve this worker's metrics where the configuration names a port."""
    if config.metrics_port is not None and config.metrics_token is not None:
        # In development nothing outside this machine may reach it; in production Prometheus asks from outside.
        host = "127.0.0.1" if config.trust_loopback else "0.0.0.0"  # noqa: S104
        metrics_server.start(metrics, config.metrics_token, host=host, port=config.metrics_port)


def _say_what_is_wrong(database: Database) -> None:
    """Say in one line why the database cannot be used; the worker waits for it all the same."""
    try:
        with database.read_session() as session:
            session.execute(select(PeriodicTask.name))
    except DBAPIError as error:
        output.print_text(describe(error), err=True)
