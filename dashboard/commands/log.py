"""`log`: the remembered REST calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask.cli import AppGroup

from dashboard.commands import output
from dashboard.core.database import Database
from dashboard.portals import call_log


def group(database: Database, now: Callable[[], datetime]) -> AppGroup:
    """Return the group."""
    commands = AppGroup("log", help="The remembered REST calls.")

    @commands.command()
    def purge() -> None:
        """Delete the calls older than three days. The worker does it by itself every hour."""
        with database.write_session() as session:
            count = call_log.purge(session, now=now())
        output.print_text(f"Deleted {count} calls.")

    return commands
