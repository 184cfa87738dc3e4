"""Run the worker without importing Flask or pages: `python -m dashboard.commands.worker_process`."""

from __future__ import annotations

import os
import sys

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from dashboard.core import config as configuration
from dashboard.core import logging_setup, process_memory
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.models import PeriodicTask
from dashboard.monitoring import metrics_server
from dashboard.monitoring.metrics import Metrics
from dashboard.services import build_services
from dashboard.sync.worker import Worker


def main() -> None:
    """Work on runs and periodic tasks until SIGTERM or SIGINT."""
    config = configuration.load_or_exit(os.environ)
    logging_setup.configure(level=config.log_level, style=config.log_format)
    parts = build_services(config)
    process_memory.limit_arenas()
    _print_database_error(parts.database)
    _serve_metrics(config, parts.metrics)
    parts.spool.start()
    # Twice the threads, so that no request is refused while other hosts are slow: a refusal would postpone the run.
    # The worker itself reserves threads for portals that are not slow.
    parts.waiting_threads.threads = 2 * config.worker_threads
    Worker(
        sync=parts.sync,
        runs=parts.runs,
        periodic_tasks=parts.periodic_tasks,
        outages=parts.database.outages,
        threads=config.worker_threads,
    ).work()


def _print_database_error(database: Database) -> None:
    """Print one line if the database cannot be used; the worker waits for it."""
    try:
        with database.read_session() as session:
            session.execute(select(PeriodicTask.name))
    except DBAPIError as error:
        sys.stderr.write(f"{describe(error)}\n")


def _serve_metrics(config: Config, metrics: Metrics) -> None:
    if config.metrics_port is not None and config.metrics_token is not None:
        host = "127.0.0.1" if config.trust_loopback else "0.0.0.0"  # noqa: S104  # Prometheus may run on another machine
        metrics_server.start(metrics, config.metrics_token, host=host, port=config.metrics_port)


if __name__ == "__main__":
    main()
