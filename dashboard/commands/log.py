"""`log`: delete old entries of the call log."""

from __future__ import annotations

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, services
from dashboard.portals import call_log

group = OperatorGroup("log", help="The log of REST calls.")


@group.command()
def purge() -> None:
    """Delete the calls older than three days. The worker does this every hour."""
    count = call_log.purge(services().database, now=services().now())
    output.print_text(f"Deleted {count} calls.")
