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
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import N_, _, ngettext, number
from dashboard.web.presenters import findings, labels
from dashboard.web.presenters.page_context import page_context

blueprint = Blueprint("insight_people", __name__)

PAGE_SIZE = 200
# What is no setting of Bitrix24's own, but several of them.
LABELS = {"hours": N_("Working hours"), "reminders": N_("Reminders")}


@dataclass(frozen=True)
class PeopleList:
    """What is said of people: under which title, in which words, of how many, and who they are."""

    title: str
    text: str
    people: int
    filter: PeopleFilter


def address(code: str) -> str:
    """Return where the people behind a finding, or unlike most in a setting, are listed."""
    return f"/insights/{code}"


@blueprint.get(address("<code>"))
@signed_in
@administrator
def show_people(user: CurrentUser, code: str) -> ResponseReturnValue:
    """List the people behind a finding or an exception; nobody if it no longer holds."""
    number = _page(request.args.get("page", ""))
    with services().database.read_session() as session:
        people = people_list(
            insight_queries.settings_counts(session, user.portal),
            code,
            now=services().now(),
            clock=user.time_zone,
        )
        pages = -(-people.people // PAGE_SIZE) if people else 1
        number = min(number, pages)
        names = (
            insight_queries.people_names(
                session, user.portal, people.filter, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE
            )
            if people
            else []
        )
    return render_template(
        "insights/people_list.html",
        **page_context(user.portal, user.person, current="/insights"),
        people_list=people,
        names=names,
        address=address(code),
        number=number,
        pages=pages,
    )


def people_list(counts: SettingsCounts, code: str, *, now: datetime, clock: tzinfo) -> PeopleList | None:
    """Return what *Insights* says under that code at this moment, None where it says nothing."""
    groups = insights.hours_groups(counts)
    day = insights.team_day(groups, day=now.astimezone(clock).date(), user_zone=clock)
    for finding in findings.list_findings(counts, groups, day, now=now, user_zone=clock, min_group_size=NO_MINIMUM):
        if finding.code == code and finding.filter is not None:
            return PeopleList(_("What stands out"), finding.text, finding.people, finding.filter)
    for unlike in insights.differences(counts, min_group_size=NO_MINIMUM):
        if unlike.setting == code:
            told = ngettext("%(count)s differs", "%(count)s differ", unlike.others)
            others = told % {"count": number(unlike.others)}
            return PeopleList(_("Exceptions"), f"{label(code)} · {others}", unlike.others, unlike.filter)
    return None


def label(setting: str) -> str:
    """Return what a setting is called in which people differ."""
    return _(LABELS[setting]) if setting in LABELS else labels.label(setting)


def _page(text: str) -> int:
    fits = text.isascii() and text.isdecimal() and len(text) < 7
    return max(1, int(text)) if fits else 1
