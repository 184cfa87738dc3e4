"""`people`: list and show people by connection state, by their ids and without their names."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Row, Select, select

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, find_portal, portal_option, services
from dashboard.models import Person, Portal
from dashboard.people.connection_state import STATES, state_expression
from dashboard.portals.deletion import FORMER_GENERATION

MAX_NUMBER = 2**63 - 1  # of a person in the database

group = OperatorGroup("people", help="The people of the portals.")


@group.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@portal_option
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
@output.as_json
def list_people(state: str | None, portal: str | None, limit: int, as_json: bool) -> None:
    """List people: number in the log, portal, user id, state, last opening, last update, error.

    connected: updated within two days. stale: not updated for longer. reconnect: the person has to open the
    application again. never: listed by the portal, has not opened it yet.
    """
    query = _people().order_by(Portal.id, Person.user_id)
    if portal is not None:
        query = query.where(Portal.id == find_portal(portal).id)
    if state is not None:
        query = query.where(state_expression(services().now()) == state)
    with services().database.read_session() as session:
        rows = [_summary(row) for row in session.execute(query.limit(limit + 1))]
    output.print_rows(rows[:limit], as_json=as_json, empty="Nobody.")
    if len(rows) > limit:
        output.print_text(f"These are the first {limit}; --limit shows more.", err=True)


@group.command()
@click.argument("number", type=click.IntRange(1, MAX_NUMBER))
@output.as_json
def show(number: int, as_json: bool) -> None:
    """Show the person whom the log names by this number."""
    with services().database.read_session() as session:
        row = session.execute(_people().where(Person.id == number)).one_or_none()
    if row is None:
        raise click.ClickException("Nobody has this number; the person's data may have been deleted.")
    output.print_row(_summary(row) | {"is_admin": row[0].is_admin, "employee": row[0].listed}, as_json=as_json)


def _people() -> Select[Person, str, str]:
    columns = select(Person, Portal.member_id, state_expression(services().now()))
    return columns.join(Portal).where(Portal.generation != FORMER_GENERATION)


def _summary(row: Row[Person, str, str]) -> dict[str, Any]:
    person, member_id, state = row
    return {
        "number": person.id,
        "portal": member_id,
        "user": person.user_id,
        "state": state,
        "opened": person.opened_at,
        "read": person.settings_at,
        "problem": person.problem,
    }
