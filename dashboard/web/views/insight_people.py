"""The people behind a number of *Insights*, all of them, page by page; for administrators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.database import Database
from dashboard.team import insight_queries, insights
from dashboard.team.insights import PeopleFilter
from dashboard.team.settings_counts import SettingsCounts
from dashboard.team.small_groups import NO_MINIMUM
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.i18n.translations import N_, _, ngettext, number
from dashboard.web.presenters import findings, labels
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views.team import clock_of

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


def blueprint(
    *, database: Database, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]
) -> Blueprint:
    """Return the route of the list."""
    routes = Blueprint("behind", __name__)

    @routes.get(address("<code>"))
    @sessions.required
    @permissions.administrators
    def page(reader: CurrentUser, code: str) -> ResponseReturnValue:
        """List whom a finding or a difference means; nobody where it does not hold any more."""
        asked = _page(request.args.get("page", ""))
        with database.read_session() as session:
            found = people_list(
                insight_queries.settings_counts(session, reader.portal),
                code,
                now=now(),
                clock=clock_of(reader.person),
            )
            pages = -(-found.people // PAGE_SIZE) if found else 1
            here = min(asked, pages)
            first = (here - 1) * PAGE_SIZE
            names = (
                insight_queries.people_names(session, reader.portal, found.filter, first=first, most=PAGE_SIZE)
                if found
                else []
            )
        return render_template(
            "insights/behind.html",
            **page_context(reader.portal, reader.person, current="/insights"),
            said=found,
            names=names,
            address=address(code),
            here=here,
            pages=pages,
        )

    return routes


def people_list(counted: SettingsCounts, code: str, *, now: datetime, clock: tzinfo) -> PeopleList | None:
    """Return what *Insights* says under that code at this moment, None where it says nothing."""
    groups = insights.groups(counted)
    day = insights.day(groups, on=now.astimezone(clock).date(), reader=clock)
    for finding in findings.list_findings(counted, groups, day, now=now, reader=clock, fewest=NO_MINIMUM):
        if finding.code == code and finding.filter is not None:
            return PeopleList(_("What stands out"), finding.text, finding.people, finding.filter)
    for unlike in insights.differences(counted, fewest=NO_MINIMUM):
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
