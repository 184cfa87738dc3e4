"""Export the team as Excel, CSV or JSON: the rows of the *Team* page with its filters, all pages of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.calendar.working_hours import ClockTime
from dashboard.core.json_values import escape_surrogates
from dashboard.people import access, departments, snapshot_store
from dashboard.team import listing
from dashboard.team.listing import TeamRow
from dashboard.web.auth.permissions import confirm_rights_first, team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.http.streaming import stream
from dashboard.web.i18n.translations import N_, _, current
from dashboard.web.presenters import filters, labels, team_query, team_row
from dashboard.web.presenters.spreadsheets import Cell, Column, csv_parts, workbook_parts

# Titles with the widths of their columns. Excel gets the start and the end of work as two times.
PERSON_COLUMNS = ((N_("User ID"), 9), (N_("Name"), 28), (N_("Position"), 28), (N_("State"), 20), (N_("View"), 12))
CSV_HOURS = ((N_("Working hours"), 0),)
EXCEL_HOURS = ((N_("Work starts"), 11), (N_("Work ends"), 11))
SETTING_COLUMNS = ((N_("Time zone"), 22), (N_("Reminders"), 40), (N_("Updated"), 17))
ZONE_COLUMNS = (
    (N_("UTC offset"), 12),
    (N_("Source of the time zone"), 20),
    (N_("Source of the working hours"), 20),
)
DEPARTMENT_COLUMNS = ((N_("Departments"), 28),)  # left out where the portal's departments are unknown
SOURCES = {
    "person": N_("Custom"),
    "account": N_("Portal default"),
    "calendar": N_("Calendar"),
    "profile": N_("Profile"),
}
EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

blueprint = Blueprint("team_export", __name__)


@blueprint.get("/team.json")
@signed_in
@confirm_rights_first
@team_viewer
def export_team_json(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as JSON."""
    return stream(
        lambda: _json(_rows(user), services().now(), _department_names(user)),
        mimetype="application/json",
        filename=_filename(user, "json"),
    )


@blueprint.get("/team.csv")
@signed_in
@confirm_rights_first
@team_viewer
def export_team_csv(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as a CSV file."""

    def parts() -> Iterator[str]:
        now, names = services().now(), _department_names(user)
        columns = _columns(
            PERSON_COLUMNS, CSV_HOURS, SETTING_COLUMNS, ZONE_COLUMNS, DEPARTMENT_COLUMNS if names else ()
        )
        rows = ((_csv_row(row, user.time_zone, now, names) for row in batch) for batch in _rows(user))
        return csv_parts(columns, rows, locale=current().locale)

    return stream(parts, mimetype="text/csv", filename=_filename(user, "csv"))


@blueprint.get("/team.xlsx")
@signed_in
@confirm_rights_first
@team_viewer
def export_team_xlsx(user: CurrentUser) -> ResponseReturnValue:
    """Send everyone's settings as an Excel workbook."""

    def parts() -> Iterator[bytes]:
        now, names = services().now(), _department_names(user)
        more_columns = DEPARTMENT_COLUMNS if names else ()
        columns = _columns(PERSON_COLUMNS, EXCEL_HOURS, SETTING_COLUMNS, ZONE_COLUMNS, more_columns)
        rows = ((_excel_row(row, user.time_zone, now, names) for row in batch) for batch in _rows(user))
        return workbook_parts(_("Team"), columns, rows, right_to_left=current().direction == "rtl")

    return stream(parts, mimetype=EXCEL_TYPE, filename=_filename(user, "xlsx"))


def _filename(user: CurrentUser, extension: str) -> str:
    """Return a file name such as "team-example.bitrix24.com-2026-11-30.csv"."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", user.portal.origin.partition("://")[2])
    return f"team-{host}-{services().now().astimezone(user.time_zone):%Y-%m-%d}.{extension}"


def _columns(*groups: Sequence[tuple[str, int]]) -> list[Column]:
    return [Column(_(title), width) for group in groups for title, width in group]


def _rows(user: CurrentUser) -> Iterator[Sequence[TeamRow]]:
    now = services().now()
    query = team_query.parse_team_query(request.args, today=now.date())
    with services().database.read_session() as session:
        days_off = snapshot_store.find_days_off(session, user.person)
        restriction = access.visibility_conditions(session, user.portal, user.person)
    return listing.all_rows(
        services().database,
        user.portal,
        query.filter,
        query.arrangement,
        team_query.team_reader(now, user.time_zone, days_off),
        visible=restriction,
    )


def _department_names(user: CurrentUser) -> dict[int, str]:
    with services().database.read_session() as session:
        return departments.names(session, user.portal)


def _json(batches: Iterator[Sequence[TeamRow]], now: datetime, names: Mapping[int, str]) -> Iterator[str]:
    """Yield one JSON object batch by batch; a transfer that breaks off leaves invalid JSON."""
    yield '{"people":['
    total = 0
    for rows in batches:
        entries = ",".join(current_app.json.dumps(_json_row(row, now, names), separators=(",", ":")) for row in rows)
        yield f"{',' if total else ''}{entries}"
        total += len(rows)
    yield f'],"total":{total}}}\n'


def _json_row(row: TeamRow, now: datetime, names: Mapping[int, str]) -> dict[str, object]:
    return {
        "user": row.user_id,
        "name": escape_surrogates(labels.person_name(row.name, row.user_id)),
        "position": escape_surrogates(row.position),
        "state": row.state,
        "view": row.view,
        "work_hours": str(row.span or ""),
        "hours_source": row.hours_source,
        "timezone": row.zone,
        "timezone_source": row.zone_source,
        "utc_offset": filters.offset(offset_at(now, zone_info(row.zone))) if row.zone else "",
        "reminders": row.reminders,
        **(_json_departments(row, names) if row.departments else {}),
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "problem": row.problem,
    }


def _json_departments(row: TeamRow, names: Mapping[int, str]) -> dict[str, object]:
    named_departments = [escape_surrogates(names[number]) for number in row.departments if number in names]
    return {"departments": row.departments, "department_names": named_departments}


def _csv_row(row: TeamRow, time_zone: tzinfo, now: datetime, names: Mapping[int, str]) -> Sequence[Cell]:
    cells = (*_setting_cells(row, time_zone), *_zone_cells(row, now), *_department_cells(row, names))
    return (*_person_cells(row), str(row.span or ""), *cells)


def _excel_row(row: TeamRow, time_zone: tzinfo, now: datetime, names: Mapping[int, str]) -> Sequence[Cell]:
    hours = (ClockTime(row.span.start), ClockTime(row.span.end)) if row.span else (None, None)
    cells = (*_setting_cells(row, time_zone), *_zone_cells(row, now), *_department_cells(row, names))
    return (*_person_cells(row), *hours, *cells)


def _department_cells(row: TeamRow, names: Mapping[int, str]) -> Sequence[Cell]:
    return (team_row.department_names(row, names),) if names else ()


def _person_cells(row: TeamRow) -> Sequence[Cell]:
    name = labels.person_name(row.name, row.user_id)
    return (row.user_id, name, row.position, team_row.state(row.state), labels.view(row.view))


def _setting_cells(row: TeamRow, time_zone: tzinfo) -> Sequence[Cell]:
    updated = row.as_of.astimezone(time_zone).replace(tzinfo=None) if row.as_of else None
    return (row.zone, team_row.reminder_text(row.reminders), updated)


def _zone_cells(row: TeamRow, now: datetime) -> Sequence[Cell]:
    return (
        filters.offset(offset_at(now, zone_info(row.zone))) if row.zone else "",
        _(SOURCES[row.zone_source]) if row.zone_source else "",
        _(SOURCES[row.hours_source]) if row.hours_source else "",
    )
