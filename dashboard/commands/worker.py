"""`worker`: run the process that updates everyone, until it is stopped."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from dashboard.commands import output
from dashboard.commands.context import services
from dashboard.core import process_memory
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.models import PeriodicTask
from dashboard.monitoring import metrics_server
from dashboard.monitoring.metrics import Metrics
from dashboard.sync.worker import Worker


@click.command("worker")
@with_appcontext
def command() -> None:
    """Work on runs and periodic tasks until SIGTERM or SIGINT."""
    parts = services()
    process_memory.limit_arenas()
    _print_database_error(parts.database)
    _serve_metrics(parts.config, parts.metrics)
    parts.spool.start()
    # Twice the threads, so that no request is refused while other hosts are slow: a refusal would postpone the run.
    # The worker itself reserves threads for portals that are not slow.
    parts.waiting_threads.threads = 2 * parts.config.worker_threads
    Worker(
        sync=parts.sync,
        runs=parts.runs,
        periodic_tasks=parts.periodic_tasks,
        outages=parts.database.outages,
        threads=parts.config.worker_threads,
    ).work()


def _print_database_error(database: Database) -> None:
    """Print one line if the database cannot be used; the worker waits for it."""
    try:
        with database.read_session() as session:
            session.execute(select(PeriodicTask.name))
    except DBAPIError as error:
        output.print_text(describe(error), err=True)


def _serve_metrics(config: Config, metrics: Metrics) -> None:
    if config.metrics_port is not None and config.metrics_token is not None:
        host = "127.0.0.1" if config.trust_loopback else "0.0.0.0"  # noqa: S104  # Prometheus may run on another machine
        metrics_server.start(metrics, config.metrics_token, host=host, port=config.metrics_port)
