"""Save the people of a plan as a group of the user, and delete such groups."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.core.json_values import strip_control_characters
from dashboard.people import access, saved_groups
from dashboard.people.saved_groups import MAX_GROUPS, MAX_NAME_LENGTH, TooManyGroups
from dashboard.team import plan_people
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import response_for_code
from dashboard.web.http.context import services
from dashboard.web.http.query_values import InvalidValue
from dashboard.web.i18n.translations import number
from dashboard.web.views import plan

blueprint = Blueprint("plan_groups", __name__)


@blueprint.post("/plan/groups")
@signed_in
@team_viewer
def save_group(user: CurrentUser) -> ResponseReturnValue:
    """Save the people of the plan under a name; a group of the same name is replaced."""
    query = plan.parse_query(user, request.form)
    name = " ".join(strip_control_characters(request.form.get("name", "")).split())
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise InvalidValue("name")

    with services().portal_queue.hold(user.portal.member_id), services().database.read_session() as session:
        restriction = access.visibility_conditions(session, user.portal, user.person)
        chosen = plan_people.chosen_people(
            session, user.portal, user_ids=query.people, department=query.department, visible=restriction
        )
    ids = [person.user_id for person in chosen.people]

    def save(session: Session) -> bool:
        return saved_groups.save(session, user.portal, user.person, name=name, user_ids=ids, now=services().now())

    try:
        is_current = services().database.write(save)
    except TooManyGroups:
        return render_error(response_for_code("too_many_groups", count=number(MAX_GROUPS)))
    if not is_current:
        raise SessionRefused("session_invalid")
    return plan.render_plan(user, query, saved=name, is_saved_cut=len(ids) > saved_groups.MAX_GROUP_PEOPLE)


@blueprint.post("/plan/groups/<int:group_id>/delete")
@signed_in
@team_viewer
def delete_group(user: CurrentUser, group_id: int) -> ResponseReturnValue:
    """Delete one of the user's groups; nothing happens if it is already deleted, or somebody else's."""
    query = plan.parse_query(user, request.form)

    def delete(session: Session) -> bool:
        return saved_groups.remove(session, user.portal, user.person, group_id)

    if not services().database.write(delete):
        raise SessionRefused("session_invalid")
    return plan.render_plan(user, query)
