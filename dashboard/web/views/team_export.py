"""Export the team as JSON or CSV: the rows of the *Team* page with its filters, all pages of them."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from datetime import tzinfo

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dashboard.calendar.encoding import decode_reminders
from dashboard.core.json_values import printable
from dashboard.team import listing
from dashboard.team.listing import TeamRow
from dashboard.web.auth.permissions import confirmed, team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters import labels, team_query, team_row

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
SKIPPED_CATEGORIES = frozenset(["Cc", "Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"])
SKIPPED = '"\u115f\u1160\u2800\u3164\uffa0'
# Without it Excel reads UTF-8 as the machine's own code page.
BYTE_ORDER_MARK = "\ufeff"


blueprint = Blueprint("team_export", __name__)


@blueprint.get("/team.json")
@signed_in
@confirmed
@team_viewer
def export_team_json(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as JSON."""
    rows = _rows(user)
    return jsonify(people=[_entry(row) for row in rows], total=len(rows))


@blueprint.get("/team.csv")
@signed_in
@confirmed
@team_viewer
def export_team_csv(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as a spreadsheet file."""
    body = _table([_cells(row, user.time_zone) for row in _rows(user)])
    response = Response(body, mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="team.csv"'
    return response


def _rows(user: CurrentUser) -> list[TeamRow]:
    now = services().now()
    query = team_query.parse_team_query(request.args, today=now.date())
    with services().database.read_session() as session:
        return listing.all_rows(session, user.portal, query.filter, now=now, sort=query.sort)


def _entry(row: TeamRow) -> dict[str, object]:
    return {
        "user": row.user_id,
        "name": printable(row.name),
        "position": printable(row.position),
        "state": row.state,
        "view": row.view,
        "work_hours": str(row.span or ""),
        "timezone": row.zone,
        "reminders": row.reminders,
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "problem": row.problem,
    }


def _cells(row: TeamRow, time_zone: tzinfo) -> Sequence[str]:
    return (
        str(row.user_id),
        printable(row.name),
        printable(row.position),
        team_row.state(row.state),
        labels.view(row.view),
        str(row.span or ""),
        row.zone,
        team_row.reminder_text(decode_reminders(row.reminders)),
        # The one form of a time that every spreadsheet understands.
        f"{row.as_of.astimezone(time_zone):%Y-%m-%d %H:%M}" if row.as_of else "",
    )


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
