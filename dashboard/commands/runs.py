"""`runs` and `sync`: what the synchroniser did, does, and is asked to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import ColumnElement, select

from dashboard.commands import output
from dashboard.commands.found import find_portal
from dashboard.core.database import Database
from dashboard.models import Portal, PortalState, Run, RunState
from dashboard.portals.installations import Installations
from dashboard.sync.runs import Runs


def group(database: Database, portals: Installations) -> AppGroup:
    """Return the group that looks."""
    commands = AppGroup("runs", help="The synchronisations.")

    @commands.command("list")
    @click.option("--state", type=click.Choice([state.value for state in RunState]), help="Only those in this state.")
    @click.option("--portal", "member_id", help="Only those of this portal.")
    @click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
    @output.as_json
    def list_(state: str | None, member_id: str | None, limit: int, as_json: bool) -> None:
        """List runs, the newest first: portal, state, people done and failed of all, times, why it waits."""
        conditions = [Portal.id == find_portal(portals, member_id).id] if member_id else []
        if state is not None:
            conditions.append(Run.state == state)
        output.print_rows(_listed(database, conditions, limit=limit), as_json=as_json, nothing="No runs.")

    return commands


def sync(database: Database, portals: Installations, runs: Runs) -> AppGroup:
    """Return the group that asks."""
    commands = AppGroup("sync", help="Ask for synchronisations; a worker does them.")

    @commands.command()
    @click.argument("member_id", required=False)
    @click.option("--all", "everywhere", is_flag=True, help="Every portal that is active.")
    @output.as_json
    def run(member_id: str | None, everywhere: bool, as_json: bool) -> None:
        """Ask for a run of one portal, or of all; where one is under way, it is shown."""
        if everywhere == (member_id is not None):
            raise click.UsageError("Name one portal by its member id, or say --all.")
        chosen = [find_portal(portals, member_id)] if member_id else _active(database)
        asked = (_asked(runs, portal) for portal in chosen)
        output.print_rows(asked, as_json=as_json, nothing="No active portals.")

    return commands


def _active(database: Database) -> list[Portal]:
    with database.read_session() as session:
        return list(session.scalars(select(Portal).where(Portal.state == PortalState.ACTIVE)))


def _asked(runs: Runs, portal: Portal) -> dict[str, Any]:
    if portal.state == PortalState.UNINSTALLED:
        raise click.ClickException("This portal has uninstalled the application; there is nobody to read.")
    progress = runs.request(portal, by=None)
    if progress is None:
        raise click.ClickException("The portal uninstalled the application at this moment.")
    return {
        "portal": portal.member_id,
        "state": progress.state,
        "done": progress.done,
        "failed": progress.failed,
        "total": progress.total,
        "error": progress.error,
    }


def _listed(database: Database, conditions: list[ColumnElement[bool]], *, limit: int) -> Iterator[dict[str, Any]]:
    chosen = (
        select(Run, Portal.member_id)
        .join(Portal, Portal.id == Run.portal_id)
        .where(*conditions)
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(limit)
    )
    with database.read_session() as session:
        for run, member_id in session.execute(chosen):
            yield {
                "portal": member_id,
                "state": run.state,
                "done": run.done,
                "failed": run.failed,
                "total": run.total,
                "asked": run.created_at,
                "ended": run.finished_at,
                "error": run.error,
            }
