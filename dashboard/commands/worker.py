"""`worker`: run the process that updates everyone, until it is stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
MODULE = "dashboard.commands.worker_process"


@click.command("worker")
def command() -> None:
    """Work on runs and periodic tasks until SIGTERM or SIGINT."""
    # The new program replaces this one, whose pages and translations take up memory.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    os.execve(sys.executable, [sys.executable, "-m", MODULE], environment)  # noqa: S606  # this application
