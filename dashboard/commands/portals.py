"""`portals`: who installed the application, and how their part of it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import func, select

from dashboard.commands import output
from dashboard.commands.found import find_portal
from dashboard.core.database import Database
from dashboard.models import OAuthToken, Person, Portal, PortalState, TokenState
from dashboard.portals.installations import Installations


def group(database: Database, portals: Installations) -> AppGroup:
    """Return the group."""
    commands = AppGroup("portals", help="The portals that installed the application.")

    @commands.command("list")
    @click.option(
        "--state", type=click.Choice([state.value for state in PortalState]), help="Only those in this state."
    )
    @output.as_json
    def list_(state: str | None, as_json: bool) -> None:
        """List portals: member id, state, generation, people, address."""
        output.print_rows(_listed(database, state), as_json=as_json, nothing="No portals.")

    @commands.command()
    @click.argument("member_id")
    @output.as_json
    def show(member_id: str, as_json: bool) -> None:
        """Show one portal and its chains by state."""
        output.print_row(_shown(database, find_portal(portals, member_id)), as_json=as_json)

    @commands.command()
    @click.argument("member_id")
    @click.confirmation_option(prompt="Everything about the people of this portal is deleted. Go on?")
    def forget(member_id: str) -> None:
        """Delete everything about a portal's people, as if it had uninstalled the application."""
        portals.uninstall(find_portal(portals, member_id))
        output.print_text("Forgotten.")

    return commands


def _listed(database: Database, state: str | None) -> Iterator[dict[str, Any]]:
    people = select(func.count()).where(Person.portal_id == Portal.id).scalar_subquery()
    chosen = select(Portal, people).order_by(Portal.id)
    if state is not None:
        chosen = chosen.where(Portal.state == state)
    with database.read_session() as session:
        for portal, count in session.execute(chosen):
            yield {
                "member_id": portal.member_id,
                "state": portal.state,
                "generation": portal.generation,
                "people": count,
                "address": portal.origin,
            }


def _shown(database: Database, portal: Portal) -> dict[str, Any]:
    of_portal = select(Person.id).where(Person.portal_id == portal.id)
    by_state = (
        select(OAuthToken.state, func.count()).where(OAuthToken.person_id.in_(of_portal)).group_by(OAuthToken.state)
    )
    opened = select(func.count()).where(Person.portal_id == portal.id, Person.opened_at.is_not(None))
    with database.read_session() as session:
        chains = {TokenState(row[0]): row[1] for row in session.execute(by_state)}
        people = session.scalar(select(func.count()).where(Person.portal_id == portal.id))
        ever_here = session.scalar(opened)
    return {
        "member_id": portal.member_id,
        "address": portal.origin,
        "authorization": portal.authorization_server,
        "state": portal.state,
        "generation": portal.generation,
        "installed": portal.installed_at,
        "uninstalled": portal.uninstalled_at,
        "people": people,
        "opened": ever_here,
        "chains": ", ".join(f"{chains.get(state, 0)} {state}" for state in TokenState),
        "team_open": portal.team_open,
        "directory_read": portal.directory_at,
        "directory_error": portal.directory_error,
        "next_run": portal.next_run_at,
    }
