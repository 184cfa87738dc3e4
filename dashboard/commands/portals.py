"""`portals`: list, show and delete the portals that installed the application."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from sqlalchemy import func, select

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, find_portal, portal_argument, services
from dashboard.models import Department, Person, Portal, PortalState, TokenState
from dashboard.people import access, storage_limit
from dashboard.portals.deletion import FORMER_GENERATION

group = OperatorGroup("portals", help="The portals that installed the application.")


@group.command("list")
@click.option("--state", type=click.Choice([state.value for state in PortalState]), help="Only those in this state.")
@output.as_json
def list_portals(state: str | None, as_json: bool) -> None:
    """List portals: number in the log, member id, state, generation, people, address."""
    people = select(func.count()).where(Person.portal_id == Portal.id).scalar_subquery()
    query = select(Portal, people).where(Portal.generation != FORMER_GENERATION).order_by(Portal.id)
    if state is not None:
        query = query.where(Portal.state == state)
    with services().database.read_session() as session:
        rows = [
            {
                "number": portal.id,
                "member_id": portal.member_id,
                "state": portal.state,
                "generation": portal.generation,
                "people": count,
                "address": portal.origin,
            }
            for portal, count in session.execute(query)
        ]
    output.print_rows(rows, as_json=as_json, empty="No portals.")


@group.command()
@portal_argument
@output.as_json
def show(portal: str, as_json: bool) -> None:
    """Show one portal, and count its tokens by state."""
    output.print_row(_details(find_portal(portal)), as_json=as_json)


@group.command()
@portal_argument
@click.confirmation_option(prompt="This deletes everything about the people of this portal. Continue?")
def forget(portal: str) -> None:
    """Delete everything about a portal's people, as if it had uninstalled the application."""
    is_done = services().installations.uninstall(find_portal(portal), should_stop=lambda: False)
    output.print_text("Deleted." if is_done else "Hidden from everybody; the worker deletes the rest.")


def _details(portal: Portal) -> dict[str, Any]:
    with services().database.read_session() as session:
        query = select(Person.chain_state, Person.opened_at).where(Person.portal_id == portal.id)
        people = session.execute(query).all()
        count = select(func.count()).where(Department.portal_id == portal.id)
        departments = session.scalar(count)
    tokens = Counter(state for state, _ in people)
    return {
        "number": portal.id,
        "member_id": portal.member_id,
        "address": portal.origin,
        "authorization": portal.authorization_server,
        "state": portal.state,
        "generation": portal.generation,
        "installed": portal.installed_at,
        "uninstalled": portal.uninstalled_at,
        "people": len(people),
        "opened": sum(opened_at is not None for _, opened_at in people),
        "token_pairs": ", ".join(f"{tokens[state]} {state}" for state in TokenState),
        "team_access": str(access.team_access(portal)),
        "departments": departments,
        "directory_read": portal.directory_at,
        "directory_error": portal.directory_error,
        "next_run": portal.next_run_at,
        "stored_bytes": portal.stored_bytes,
        "max_stored_bytes": storage_limit.MAX_PORTAL_BYTES,
    }
