"""Export the team as JSON or CSV: the rows of the *Team* page with its filters, all pages of them."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.core.json_values import escape_surrogates
from dashboard.people import access
from dashboard.team import listing
from dashboard.team.listing import TeamRow
from dashboard.web.auth.permissions import confirm_rights_first, team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.http.streaming import stream
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters import filters, labels, team_query, team_row

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
    N_("UTC offset"),
    N_("Source of the time zone"),
    N_("Source of the working hours"),
)
SOURCES = {
    "person": N_("Custom"),
    "account": N_("Portal default"),
    "calendar": N_("Calendar"),
    "profile": N_("Profile"),
}
# Characters that begin a formula in some spreadsheet, with their full-width and small forms.
FORMULA_STARTS = frozenset("=＝﹦+＋﹢-－﹣−@＠﹫")
# A spreadsheet may split cells at a comma, semicolon, tab or bar, depending on the country and on its import
# dialog, and some ignore quotes. So a cell may begin after each of these, and after every kind of line end.
SEPARATORS = ",;|\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Spreadsheets ignore invisible characters in front of a formula, and remove quotes: spaces, control and format
# characters, combining marks, unassigned characters, and fillers that count as letters.
IGNORED_CATEGORIES = frozenset(["Cc", "Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"])
IGNORED = '"\u115f\u1160\u2800\u3164\uffa0'
# Without it Excel reads the file in the machine's own encoding.
BYTE_ORDER_MARK = "\ufeff"

blueprint = Blueprint("team_export", __name__)


@blueprint.get("/team.json")
@signed_in
@confirm_rights_first
@team_viewer
def export_team_json(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as JSON."""
    return stream(lambda: _json(_rows(user), services().now()), mimetype="application/json")


@blueprint.get("/team.csv")
@signed_in
@confirm_rights_first
@team_viewer
def export_team_csv(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as a spreadsheet file."""
    return stream(lambda: _csv(_rows(user), user.time_zone, services().now()), mimetype="text/csv", filename="team.csv")


def _rows(user: CurrentUser) -> Iterator[Sequence[TeamRow]]:
    now = services().now()
    query = team_query.parse_team_query(request.args, today=now.date())
    return listing.all_rows(
        services().database,
        user.portal,
        query.filter,
        now=now,
        sort=query.sort,
        visible=access.visible_people(user.portal, user.person),
        city=filters.zone_city,
    )


def _json(batches: Iterator[Sequence[TeamRow]], now: datetime) -> Iterator[str]:
    """Yield one JSON object batch by batch; a transfer that breaks off leaves invalid JSON."""
    yield '{"people":['
    total = 0
    for rows in batches:
        entries = ",".join(current_app.json.dumps(_json_row(row, now), separators=(",", ":")) for row in rows)
        yield f"{',' if total else ''}{entries}"
        total += len(rows)
    yield f'],"total":{total}}}\n'


def _json_row(row: TeamRow, now: datetime) -> dict[str, object]:
    return {
        "user": row.user_id,
        "name": escape_surrogates(row.name),
        "position": escape_surrogates(row.position),
        "state": row.state,
        "view": row.view,
        "work_hours": str(row.span or ""),
        "hours_source": row.hours_source,
        "timezone": row.zone,
        "timezone_source": row.zone_source,
        "utc_offset": filters.offset(offset_at(now, zone_info(row.zone))) if row.zone else "",
        "reminders": row.reminders,
        **({"departments": row.departments} if row.departments else {}),
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "problem": row.problem,
    }


def _csv_row(row: TeamRow, time_zone: tzinfo, now: datetime) -> Sequence[str]:
    return (
        str(row.user_id),
        escape_surrogates(row.name),
        escape_surrogates(row.position),
        team_row.state(row.state),
        labels.view(row.view),
        str(row.span or ""),
        row.zone,
        team_row.reminder_text(row.reminders),
        # Every spreadsheet understands this format.
        f"{row.as_of.astimezone(time_zone):%Y-%m-%d %H:%M}" if row.as_of else "",
        filters.offset(offset_at(now, zone_info(row.zone))) if row.zone else "",
        _(SOURCES[row.zone_source]) if row.zone_source else "",
        _(SOURCES[row.hours_source]) if row.hours_source else "",
    )


def _csv(batches: Iterator[Sequence[TeamRow]], time_zone: tzinfo, now: datetime) -> Iterator[str]:
    yield BYTE_ORDER_MARK + _csv_lines([[_(title) for title in COLUMNS]])
    for rows in batches:
        yield _csv_lines([_without_formulas(cell) for cell in _csv_row(row, time_zone, now)] for row in rows)


def _csv_lines(rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    return file.getvalue()


def _without_formulas(cell: str) -> str:
    """Put an apostrophe, which marks text, wherever a spreadsheet could see the beginning of a formula."""
    if FORMULA_STARTS.isdisjoint(cell):
        return cell
    characters: list[str] = []
    cell_start: int | None = 0  # until a visible character follows
    for character in cell:
        if cell_start is not None and character in FORMULA_STARTS:
            characters.insert(cell_start, "'")
            cell_start = None
        characters.append(character)
        if character in SEPARATORS:
            cell_start = len(characters)
        elif character not in IGNORED and unicodedata.category(character) not in IGNORED_CATEGORIES:
            cell_start = None
    return "".join(characters)
