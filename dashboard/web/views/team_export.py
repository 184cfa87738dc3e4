"""The team as a table for other programs: the same rows as the page, on all its pages."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dashboard.core.database import Database
from dashboard.core.json_values import printable
from dashboard.team import listing
from dashboard.team.listing import TeamRow
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters import team_query, team_row
from dashboard.web.views.team import clock_of

COLUMNS = (
    N_("User ID"),
    N_("Name"),
    N_("Position"),
    N_("State"),
    N_("View"),
    N_("Working hours"),
    N_("Time zone"),
    N_("Reminders"),
    N_("Updated"),
)
# What begins a formula in some spreadsheet; the wide and small forms count where those are typed.
FORMULA_STARTS = frozenset("=＝﹦+＋﹢-－﹣−@＠﹫")
# Spreadsheets separate cells by comma, semicolon, tab or bar, depending on the country and on a dialog, and
# only some honor quotes. So each of these may be where a cell begins, and every line end is.
SEPARATORS = ",;|\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Spreadsheets skip what is not seen in front of a formula, and take quotes away: spaces, controls, formats,
# marks that stand above others, what is not assigned, and the fillers that count as letters.
SKIPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"})
SKIPPED = '"\u115f\u1160\u2800\u3164\uffa0'
# Without it Excel reads UTF-8 as the machine's own code page.
BYTE_ORDER_MARK = "\ufeff"


def blueprint(
    *, database: Database, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]
) -> Blueprint:
    """Return the routes of both exports."""
    routes = Blueprint("export", __name__)

    @routes.get("/team.json")
    @sessions.required
    @permissions.confirmed
    @permissions.team
    def as_json(reader: CurrentUser) -> ResponseReturnValue:
        """Tell everyone's settings to a program."""
        found = _found(reader)
        return jsonify(people=[_entry(member) for member in found], total=len(found))

    @routes.get("/team.csv")
    @sessions.required
    @permissions.confirmed
    @permissions.team
    def as_csv(reader: CurrentUser) -> ResponseReturnValue:
        """Give everyone's settings as a file for a spreadsheet."""
        clock = clock_of(reader.person)
        body = _table([_row(member, as_of=_local(member, clock)) for member in _found(reader)])
        response = Response(body, mimetype="text/csv")
        response.headers["Content-Disposition"] = 'attachment; filename="team.csv"'
        return response

    def _found(reader: CurrentUser) -> list[TeamRow]:
        moment = now()
        view = team_query.parse_team_query(request.args, today=moment.date())
        with database.read_session() as session:
            return listing.all_rows(session, reader.portal, view.filter, now=moment, sort=view.sort)

    return routes


def _entry(member: TeamRow) -> dict[str, object]:
    return {
        "user": member.user_id,
        "name": printable(member.name),
        "position": printable(member.position),
        "state": member.state,
        "view": member.view,
        "work_hours": team_row.hours(member),
        "timezone": member.zone,
        "reminders": member.reminders,
        "as_of": member.as_of.isoformat() if member.as_of else None,
        "problem": member.problem,
    }


def _row(member: TeamRow, *, as_of: str) -> Sequence[str]:
    return (
        str(member.user_id),
        printable(member.name),
        printable(member.position),
        team_row.state(member.state),
        team_row.view(member.view) if member.view else "",
        team_row.hours(member),
        member.zone,
        team_row.reminders(member),
        as_of,
    )


def _local(member: TeamRow, clock: tzinfo) -> str:
    """Return when the person was read, as every spreadsheet understands it, by the reader's clock."""
    return f"{member.as_of.astimezone(clock):%Y-%m-%d %H:%M}" if member.as_of else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([_(title) for title in COLUMNS])
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return BYTE_ORDER_MARK + file.getvalue()


def _harmless(cell: str) -> str:
    """Put an apostrophe, which means text, wherever a spreadsheet could begin to read a formula."""
    if FORMULA_STARTS.isdisjoint(cell):
        return cell
    marks: list[str] = []
    begins: int | None = 0
    for mark in cell:
        if begins is not None and mark in FORMULA_STARTS:
            marks.insert(begins, "'")
            begins = None
        marks.append(mark)
        if mark in SEPARATORS:
            begins = len(marks)
        elif not _is_skipped(mark):
            begins = None
    return "".join(marks)


def _is_skipped(mark: str) -> bool:
    return mark in SKIPPED or unicodedata.category(mark) in SKIPPED_CATEGORIES
