"""What arguments of commands name, found in the store."""

from __future__ import annotations

import click

from dashboard.models import Portal
from dashboard.portals import Portals


def portal_of(portals: Portals, member_id: str) -> Portal:
    """Return the portal, or end the command with one line."""
    portal = portals.known(member_id)
    if portal is None:
        raise click.ClickException("No portal has this member id. `portals list` shows them all.")
    return portal
