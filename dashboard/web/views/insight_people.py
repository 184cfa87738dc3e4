"""List for administrators all people behind a figure of *Insights*, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.team import insight_queries, insights
from dashboard.team.insights import PeopleFilter
from dashboard.team.settings_counts import SettingsCounts
from dashboard.team.small_groups import NO_MINIMUM
from dashboard.web.auth.permissions import administrator
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.http.query_values import page_number
from dashboard.web.i18n.translations import N_, _, ngettext, number
from dashboard.web.presenters import findings, labels
from dashboard.web.presenters.page_context import page_context

blueprint = Blueprint("insight_people", __name__)

PAGE_SIZE = 200
# Names of differences that combine several of Bitrix24's settings.
LABELS = {"hours": N_("Working hours"), "reminders": N_("Reminders")}


@dataclass(frozen=True)
class PeopleList:
    """A list of people: its title, what they have in common, how many they are, and which."""

    title: str
    text: str
    count: int
    filter: PeopleFilter


def people_path(code: str) -> str:
    """Return the path of the page that lists the people behind a finding or a difference."""
    return f"/insights/{code}"


@blueprint.get(people_path("<code>"))
@signed_in
@administrator
@queued_per_portal
def show_people(user: CurrentUser, code: str) -> ResponseReturnValue:
    """List the people behind a finding or a difference; nobody if it no longer holds."""
    names: list[str] = []
    pages = page = 1
    with services().database.read_session() as session:
        counts = services().settings_counts.get(session, user.portal, now=services().now())
        people_list = _find_list(counts, code, now=services().now(), user_zone=user.time_zone)
        if people_list:
            pages = -(-people_list.count // PAGE_SIZE)
            page = min(page_number(request.args), pages)
            people = insight_queries.people_names(
                session, user.portal, people_list.filter, offset=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE
            )
            names = [labels.person_name(name, user_id) for user_id, name in people]
    return render_template(
        "insights/people_list.html",
        **page_context(user.portal, user.person, current="/insights"),
        people_list=people_list,
        names=names,
        path=people_path(code),
        number=page,
        pages=pages,
    )


def _find_list(counts: SettingsCounts, code: str, *, now: datetime, user_zone: tzinfo) -> PeopleList | None:
    groups = insights.hours_groups(counts)
    day = insights.team_day(groups, day=now.astimezone(user_zone).date(), user_zone=user_zone)
    for finding in findings.list_findings(counts, day, now=now, min_group_size=NO_MINIMUM):
        if finding.code == code and finding.filter is not None:
            return PeopleList(_("What stands out"), finding.text, finding.people, finding.filter)
    for difference in insights.differences(counts, min_group_size=NO_MINIMUM):
        if difference.setting == code:
            count = difference.others
            text = ngettext("%(count)s differs", "%(count)s differ", count) % {"count": number(count)}
            return PeopleList(_("Exceptions"), f"{label(code)} · {text}", count, difference.filter)
    return None


def label(setting: str) -> str:
    """Return the name of a setting in which people differ."""
    return _(LABELS[setting]) if setting in LABELS else labels.label(setting)
