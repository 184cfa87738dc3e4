"""Show everyone's settings in one table, with a chart of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from dashboard.models import Portal
from dashboard.people import access, departments, snapshot_store
from dashboard.team import availability, listing, recommendations, statistics
from dashboard.team.availability import HoursGroup
from dashboard.team.listing import TeamPage
from dashboard.team.statistics import TeamStats
from dashboard.team.team_filter import TeamReader, matching
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import day_chart, recommended, team_chips, team_groups, team_options, team_query, team_row
from dashboard.web.presenters.clock_note import clock_note
from dashboard.web.presenters.first_steps import first_steps
from dashboard.web.presenters.invitation import invitation
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.run_status import run_status
from dashboard.web.presenters.team_query import TeamQuery
from dashboard.web.views.team_sync import visible_progress

blueprint = Blueprint("team", __name__)


@blueprint.get("/team")
@signed_in
@team_viewer
def show_team(user: CurrentUser) -> ResponseReturnValue:
    """Show everyone's settings."""
    return team_page(user, team_query.parse_team_query(request.args, today=user.today))


@queued_per_portal
def team_page(user: CurrentUser, query: TeamQuery, *, full_page: FullPage | None = None) -> str:
    """Return the page *Team*; the caller has checked that the user may see it."""
    portal, person, user_zone = user.portal, user.person, user.time_zone
    now = services().now()
    with services().database.read_session() as session:
        restriction = access.visibility_conditions(session, portal, person)
        # The cache is shared by readers who see the whole team; what a head sees is counted each time.
        stats = (
            statistics.team_stats(session, portal, now, *restriction)
            if restriction
            else services().team_stats.get(session, portal, now=now)
        )
        days_off = snapshot_store.find_days_off(session, person)
        reader = team_query.team_reader(now, user_zone, days_off)
        conditions = [*matching(session, portal, query.filter, reader), *restriction]
        filtered_stats = (
            _filtered_stats(session, portal, query, conditions, stats, reader, is_part=bool(restriction))
            if query.is_filtered
            else stats
        )
        page = listing.team_page(
            session,
            portal,
            conditions,
            query.arrangement,
            reader,
            total=filtered_stats.total,
            zone_sizes=filtered_stats.zone_sizes,
            number=query.number,
        )
        differ = _count_differing(session, portal, conditions if restriction or query.is_filtered else (), now=now)
        department_options = departments.options(session, portal, restriction)
        names = _department_names(session, portal, page, department_options)
        hours = _hours_by_group(session, portal, page, conditions, filtered_stats)
    day = query.range.day if query.range else query.day or user.today
    chart = day_chart.build(filtered_stats.groups, day=day, now=now, user_zone=user_zone, days_off=days_off)
    # Counted for the moment itself: on the user's day, a change of clocks may repeat or skip the present hour.
    at_work = (
        availability.people_at_work(filtered_stats.groups, moment=now, days_off=days_off) if chart.is_today else None
    )
    chips = team_chips.team_chips(query, filtered_stats, at_work=at_work, differ=differ)
    choices = team_options.filter_choices(
        query,
        stats,
        departments=[(str(number), name) for number, name in department_options],
        differences=recommended.differs_options(portal, query.filter.differs),
        now=now,
    )
    return render_template(
        "team.html",
        **page_context(portal, person, current="/team", full_page=full_page),
        now=now,
        user_zone=user_zone,
        query=query,
        page=page,
        titles=_titles(page, has_departments=bool(department_options)),
        groups=team_groups.list_groups(page, chart, hours, names, person),
        stats=stats,
        filtered_stats=filtered_stats,
        at_work=at_work,
        chart=chart,
        clock_note=clock_note([group.zone for group in filtered_stats.groups], now=now),
        chips_of_team=chips,
        day=team_query.days_around(day, user.today),
        days_off=days_off,
        directory_at=portal.directory_at,
        directory_error=portal.directory_error,
        steps=first_steps(portal, person, stats),
        invitation=invitation(portal, translations.current()),
        run=run_status(visible_progress(user), now=now, user_zone=user_zone),
        row_context=team_row.ListContext(now, user_zone, person.user_id, portal.origin, names),
        choices=choices,
        has_departments=bool(department_options),
        chosen_filters=team_options.chosen_filters(query, choices, chips),
        group_options=_group_options(has_departments=bool(department_options)),
    )


def _filtered_stats(
    session: Session,
    portal: Portal,
    query: TeamQuery,
    conditions: list[ColumnElement[bool]],
    whole_team: TeamStats,
    reader: TeamReader,
    *,
    is_part: bool,
) -> TeamStats:
    """Return the numbers of those who match the filter, cached because sorting and turning pages ask for them again.

    Who is at work, and what a head sees, depends on the reader, so these numbers are counted each time.

    :param is_part: the reader sees only a part of the team.
    """

    def count(session: Session, portal: Portal, now: datetime) -> TeamStats:
        return statistics.team_stats(session, portal, now, *conditions, whole_team=whole_team)

    if is_part or query.filter.at_work:
        return count(session, portal, reader.now)
    part = (query.filter, reader.unnamed)
    return services().team_stats.get(session, portal, now=reader.now, part=part, compute=count)


def _count_differing(
    session: Session, portal: Portal, conditions: Sequence[ColumnElement[bool]], *, now: datetime
) -> int | None:
    """Return how many of the team, or of those who meet the conditions, differ from what the portal recommends.

    None if it recommends nothing.
    """
    if not portal.recommended:
        return None
    if conditions:
        return recommendations.count_differences(session, portal, *conditions).differ
    return services().difference_counts.get(session, portal, now=now).differ


def _department_names(
    session: Session, portal: Portal, page: TeamPage, options: Sequence[tuple[int, str]]
) -> dict[int, str]:
    """Return the names of the departments on the page; most are among the filter's options."""
    names = dict(options)
    missing = {number for row in page.rows for number in row.departments} - names.keys()
    missing |= {int(group.key) for group in page.groups if page.is_by_department and group.key} - names.keys()
    return names | (departments.names(session, portal, missing) if missing else {})


def _hours_by_group(
    session: Session, portal: Portal, page: TeamPage, conditions: list[ColumnElement[bool]], filtered_stats: TeamStats
) -> Mapping[str, Sequence[HoursGroup]]:
    if not page.is_by_department:
        return team_groups.by_zone(filtered_stats.groups)
    numbers = [int(group.key) for group in page.groups if group.key]
    hours = statistics.groups_of_departments(session, portal, conditions, numbers)
    return {str(number): groups for number, groups in hours.items()}


def _titles(page: TeamPage, *, has_departments: bool) -> dict[str, str]:
    """Return the titles of the list's columns; that of departments repeats nothing that the groups say."""
    department = {"department": _("Department")} if has_departments and not page.is_by_department else {}
    return {
        "name": _("Person"),
        "timezone": _("Local time"),
        "hours": _("Working hours"),
        **department,
        "view": _("View"),
        "reminders": _("Reminders"),
        "state": _("State"),
    }


def _group_options(*, has_departments: bool) -> list[tuple[str, str]]:
    options = [("none", _("No groups")), ("timezone", _("Time zone"))]
    return options + ([("department", _("Department"))] if has_departments else [])
