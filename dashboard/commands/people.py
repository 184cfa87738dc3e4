"""`people`: list people by connection state, by their ids and without their names."""

from __future__ import annotations

import click
from sqlalchemy import select

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, find_portal, services
from dashboard.models import Person, Portal
from dashboard.people.connection_state import STATES, state_expression

group = OperatorGroup("people", help="The people of the portals.")


@group.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--portal", "member_id", help="Only those of this portal.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
@output.as_json
def list_people(state: str | None, member_id: str | None, limit: int, as_json: bool) -> None:
    """List people: portal, user id, state, last opening, last update, error.

    connected: updated within two days. stale: not updated for longer. reconnect: the person has to open the
    application again. never: listed by the portal, has not opened it yet.
    """
    current_state = state_expression(services().now())
    query = select(Person, Portal.member_id, current_state).join(Portal).order_by(Portal.id, Person.user_id)
    if member_id is not None:
        query = query.where(Portal.id == find_portal(member_id).id)
    if state is not None:
        query = query.where(current_state == state)
    with services().database.read_session() as session:
        rows = [
            {
                "portal": portal,
                "user": person.user_id,
                "state": person_state,
                "opened": person.opened_at,
                "read": person.settings_at,
                "problem": person.problem,
            }
            for person, portal, person_state in session.execute(query.limit(limit + 1))
        ]
    output.print_rows(rows[:limit], as_json=as_json, empty="Nobody.")
    if len(rows) > limit:
        output.print_text(f"These are the first {limit}; --limit shows more.", err=True)
