"""`runs` and `sync`: list the runs that update portals' people, and request one."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, find_portal, portal_option, services
from dashboard.models import Portal, PortalState, Run, RunState

group = OperatorGroup("runs", help="The updates of portals' people.")
sync_group = OperatorGroup("sync", help="Request updates of portals' people, which a worker then runs.")


@group.command("list")
@click.option("--state", type=click.Choice([state.value for state in RunState]), help="Only those in this state.")
@portal_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@output.as_json
def list_runs(state: str | None, portal: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first: number in the log, portal, state, people done, failed and in total, times, error."""
    query = select(Run, Portal.member_id).join(Portal, Portal.id == Run.portal_id)
    query = query.order_by(Run.id.desc()).limit(limit)
    if portal is not None:
        query = query.where(Portal.id == find_portal(portal).id)
    if state is not None:
        query = query.where(Run.state == state)
    with services().database.read_session() as session:
        rows = [
            {
                "number": run.id,
                "portal": member_id,
                "state": run.state,
                "done": run.done,
                "failed": run.failed,
                "total": run.total,
                "asked": run.created_at,
                "ended": run.finished_at,
                "error": run.error,
            }
            for run, member_id in session.execute(query)
        ]
    output.print_rows(rows, as_json=as_json, empty="No runs.")


@sync_group.command("run")
@click.argument("portal", metavar="[MEMBER_OR_NUMBER]", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every active portal.")
@output.as_json
def request_runs(portal: str | None, is_all: bool, as_json: bool) -> None:
    """Request a run of one portal or of all, or show the run that is already in progress."""
    if is_all == (portal is not None):
        raise click.UsageError("Name one portal by its member id or number, or use --all.")
    portals = [find_portal(portal)] if portal else _active_portals()
    output.print_rows(map(_request_run, portals), as_json=as_json, empty="No active portals.")


def _active_portals() -> list[Portal]:
    with services().database.read_session() as session:
        return list(session.scalars(select(Portal).where(Portal.state == PortalState.ACTIVE)))


def _request_run(portal: Portal) -> dict[str, Any]:
    if portal.state == PortalState.UNINSTALLED:
        raise click.ClickException("This portal has uninstalled the application; it has no people to update.")
    progress = services().runs.request(portal, by=None)
    if progress is None:
        raise click.ClickException("This portal has just uninstalled the application.")
    return {
        "portal": portal.member_id,
        "state": progress.state,
        "done": progress.done,
        "failed": progress.failed,
        "total": progress.total,
        "error": progress.error,
    }
