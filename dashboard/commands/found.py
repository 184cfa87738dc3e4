"""What arguments of commands name, found in the store."""

from __future__ import annotations

import click

from dashboard.core.database import Database
from dashboard.models import Portal
from dashboard.portals.installations import Installations


def find_portal(portals: Installations, member_id: str) -> Portal:
    """Return the portal, or end the command with one line."""
    portal = portals.find(member_id)
    if portal is None:
        raise click.ClickException("No portal has this member id. `portals list` shows them all.")
    return portal


def find_portal_by_name(database: Database, portals: Installations, text: str) -> Portal:
    """Return the portal of a member id, or of the number it has in our log, or end the command."""
    if text.isascii() and text.isdecimal() and len(text) < 10:
        with database.read_session() as session:
            portal = session.get(Portal, int(text))
        if portal is not None:
            return portal
    return find_portal(portals, text)
