"""Show *Find a time*: when chosen people can meet; and find people to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from dashboard.core.json_values import Json
from dashboard.core.search_text import fold
from dashboard.models import Portal
from dashboard.people import access, departments, saved_groups, snapshot_store
from dashboard.team import plan_people
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.http.query_values import text_value
from dashboard.web.presenters import plan_page
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.plan_query import PlanQuery, QueryValues, parse_plan_query, parse_shared_plan
from dashboard.web.presenters.run_status import run_status
from dashboard.web.views.team_sync import visible_progress

LENGTHS = (30, 60, 90, 120)  # minutes
MAX_TEXT_LENGTH = 60
MAX_MATCHES = 8  # people, and departments, of one search

blueprint = Blueprint("plan", __name__)


@blueprint.get("/plan")
@signed_in
@team_viewer
def show_plan(user: CurrentUser) -> ResponseReturnValue:
    """Show when the chosen people can meet."""
    return render_plan(user, parse_query(user, request.args))


@blueprint.get("/plan/people")
@signed_in
@team_viewer
@queued_per_portal
def find_people(user: CurrentUser) -> ResponseReturnValue:
    """Show the people, departments and groups that match a text, each as a link to the plan with them."""
    query = parse_query(user, request.args)
    text = text_value(request.args, "q", max_length=MAX_TEXT_LENGTH)
    portal, needle = user.portal, fold(text)
    with services().database.read_session() as session:
        restriction = access.visibility_conditions(session, portal, user.person)
        people = (
            plan_people.search_people(
                session, portal, text, without=query.people, visible=restriction, limit=MAX_MATCHES
            )
            if needle
            else plan_people.suggested_people(session, portal, user.person, without=query.people, visible=restriction)
        )
        all_departments = departments.options(session, portal, restriction) if needle else ()
        my_departments = plan_people.departments_of(session, user.person) if not needle else ()
        groups = saved_groups.groups_of(session, user.person)
    return render_template(
        "plan/search_results.html",
        query=query,
        text=text,
        people=people,
        departments=[(number, name) for number, name in all_departments if needle in fold(name)][:MAX_MATCHES],
        my_departments=my_departments,
        saved_groups=[group for group in groups if needle in fold(group.name)],
    )


def parse_query(user: CurrentUser, values: QueryValues) -> PlanQuery:
    """Return the query of a request.

    :raise InvalidValue: a parameter is malformed.
    """
    return parse_plan_query(values, today=user.today, reader=user.person.user_id)


def shared_query(user: CurrentUser, options: Mapping[str, Json]) -> PlanQuery | None:
    """Return the query of the copied link through which the user has opened the app, None without one."""
    return parse_shared_plan(options, today=user.today, reader=user.person.user_id)


@queued_per_portal
def render_plan(
    user: CurrentUser,
    query: PlanQuery,
    *,
    full_page: FullPage | None = None,
    saved: str = "",
    is_saved_cut: bool = False,
) -> str:
    """Return the page; the caller has checked that the user may see the team.

    :param saved: the name of the group that was saved just now; ``is_saved_cut`` if it lacks some of the plan's people.
    """
    portal, person, now = user.portal, user.person, services().now()
    with services().database.read_session() as session:
        restriction = access.visibility_conditions(session, portal, person)
        chosen = plan_people.chosen_people(
            session, portal, user_ids=query.people, department=query.department, visible=restriction
        )
        suggestions = (
            plan_people.suggested_people(session, portal, person, without=query.people, visible=restriction)
            if len(chosen.people) < 2
            else ()
        )
        my_departments = plan_people.departments_of(session, person) if suggestions else ()
        department = _department_name(session, portal, query.department, restriction)
        groups = saved_groups.groups_of(session, person)
        days_off = snapshot_store.find_days_off(session, person)
    return render_template(
        "plan.html",
        **page_context(portal, person, current="/plan", full_page=full_page),
        query=query,
        view=plan_page.build(
            chosen.people,
            query,
            reader=person.user_id,
            reader_zone=user.time_zone,
            days_off=days_off,
            now=now,
        ),
        chips=plan_page.chips(chosen.people, query),
        is_cut=chosen.is_cut,
        max_people=plan_people.MAX_PEOPLE,
        department=department,
        suggestions=suggestions,
        my_departments=my_departments,
        saved_groups=groups,
        saved=saved,
        is_saved_cut=is_saved_cut,
        max_group_people=saved_groups.MAX_GROUP_PEOPLE,
        lengths=_lengths(query.minutes),
        now=now,
        user_zone=user.time_zone,
        run=run_status(visible_progress(user), now=now, user_zone=user.time_zone),
        link=f"{portal.origin}/marketplace/view/{portal.app_code}/" if portal.app_code else None,
    )


def _department_name(
    session: Session, portal: Portal, number: int | None, visible: Sequence[ColumnElement[bool]]
) -> str | None:
    """Return the name of a department, if it has people who are ``visible``; all are if there is no condition."""
    if number is None:
        return None
    if not visible:
        return departments.name_of(session, portal, number)
    return dict(departments.options(session, portal, visible)).get(number)


def _lengths(minutes: int) -> Sequence[int]:
    return sorted({*LENGTHS, minutes})
