"""Show every component in every state on one page; in development only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.parser import SettingEntry
from dashboard.calendar.reminders import AtTimeOfDay, Before
from dashboard.calendar.values import (
    Absent,
    CalendarSection,
    DefaultSection,
    DefaultSections,
    Toggle,
    Unrecognized,
    Unset,
)
from dashboard.calendar.working_hours import Span
from dashboard.team.availability import BestHour, HoursGroup
from dashboard.team.listing import TeamRow
from dashboard.web.errors.responses import Notice
from dashboard.web.presenters import day_chart, team_row
from dashboard.web.presenters.charts import Bar, ColumnMark
from dashboard.web.presenters.setting_changes import SettingState
from dashboard.web.presenters.setting_display import SettingDisplay
from dashboard.web.presenters.setting_editors import ReminderEditor, ReminderKind, SwitchKind, SwitchRow
from dashboard.web.presenters.setting_history import HistoryEntry, HistoryLine
from dashboard.web.presenters.setup_checklist import ChecklistItem
from dashboard.web.presenters.team_groups import ListGroup

blueprint = Blueprint("styleguide", __name__)

# A Wednesday during working hours, and the week from that day on.
MOMENT = datetime(2026, 4, 15, 12, 5, tzinfo=UTC)
WEEK = [MOMENT.date() + timedelta(days=number) for number in range(7)]
MONTH = [MOMENT.date() + timedelta(days=number - 16) for number in range(42)]
WEEKEND = DaysOff(weekend=frozenset((5, 6)))
OWN, UNKNOWN = CalendarSection(4, "A calendar", "#e89b06"), CalendarSection(49)


@blueprint.get("/styleguide")
def show_styleguide() -> ResponseReturnValue:
    """Show every component in every state."""
    return render_template("styleguide.html", **_settings_components(), **_team_components(), **_other_components())


def _settings_components() -> dict[str, Any]:
    return {
        "switches": _switches(),
        "editor": ReminderEditor(
            kinds=(
                ReminderKind(
                    "reminders.timed", "Events with a time", "15min", (("15min", "15 minutes before"),), "", "min", 30
                ),
                ReminderKind("reminders.day", "All-day events", "", (), "What happens without any.", "on", 1),
            ),
            units=(("min", "minutes before"), ("on", "on the day, at")),
            texts="{}",
            max_count=10,
        ),
        "changes": (
            HistoryEntry((HistoryLine("A switch", "Off", "On", 1),), "14:05", "edited here", change_id=1),
            HistoryEntry((HistoryLine("Another", "Week", "Day"), HistoryLine("One", "9", "10")), "Mar 2", "adopted"),
        ),
        "spans": (Span(9 * 60, 18 * 60), Span(22 * 60, 6 * 60), Span(0, 24 * 60)),
        "views": ("day", "week", "month", "list"),
        "timed": ((Before("min", 0),), (Before("min", 15), Before("hour", 1), Before("day", 9))),
        "all_day": ((AtTimeOfDay(0, 480),), (AtTimeOfDay(2, 0), Before("day", 1), Before("day", 5))),
        "calendars": (OWN, UNKNOWN),
        "entries": (
            SettingEntry("showTasks", "Y", Toggle(True)),
            SettingEntry("showDeclined", False, Toggle(False)),
            SettingEntry("meetSection", "4", OWN),
            SettingEntry("crmSection", "49", UNKNOWN),
            SettingEntry("defaultSections", {"user7": "4"}, DefaultSections((DefaultSection("user7", OWN, "4"),))),
            SettingEntry("sendFromEmail", "", Unset()),
            SettingEntry("syncTasks", None, Absent()),
            SettingEntry("syncPeriodPast", {"a": [1]}, Unrecognized("value")),
        ),
    }


def _switches() -> list[SwitchRow]:
    states = {
        "saved": SettingState("saved", "Saved. It was off.", "", "Undo", "#", (("change", "1"),), change_id=1),
        "failed": SettingState("failed", "Not saved. Why it failed.", "", "Try again", "#", (("a", "b"),)),
        "reverted": SettingState("reverted", "Changed back.", "", "Turn on again", "#", (("a", "b"),)),
    }
    empty = SettingDisplay("empty", "Not available")
    rows: list[tuple[str, SwitchKind, bool, str]] = [
        ("on", "switch", True, ""), ("off", "switch", False, "What it does."), ("saved", "switch", True, ""),
        ("failed", "switch", False, ""), ("reverted", "switch", False, ""), ("disabled", "disabled", False, "Why not."),
        ("plain", "plain", False, ""), ("odd", "odd", False, ""),
    ]  # fmt: skip
    return [
        SwitchRow(f"guide-{name}", name.title(), kind, is_on, "", hint, empty, (), states.get(name))
        for name, kind, is_on, hint in rows
    ]


def _team_components() -> dict[str, Any]:
    zones = ("Europe/Berlin", "Europe/Kyiv", "Europe/Lisbon", "Asia/Tokyo", "America/New_York")
    many_groups = [HoursGroup(zone, Span(480 + 30 * row, 1020), 3 + row) for zone in zones for row in range(2)]
    few_groups = [HoursGroup(zone, Span(540, 1080), 3) for zone in zones[:2]]

    def sample_row(number: int, name: str, state: str, **settings: Any) -> TeamRow:
        empty: dict[str, Any] = {"photo": "", "view": "", "span": None, "zone": "", "reminders": ""}
        empty |= {"zone_source": "", "calendar_zone": "", "hours_source": ""}
        empty |= {"previous_zone": "", "zone_changed_at": None}
        fields = empty | {"as_of": None, "problem": None} | settings
        return TeamRow(user_id=number, name=name, position="Colleague", state=state, **fields)

    everything = {
        "view": "week", "span": Span(540, 1080), "zone": "Europe/Berlin", "as_of": MOMENT,
        "reminders": "timed:15min,60min;day:none", "zone_source": "calendar", "calendar_zone": "Europe/Berlin",
        "hours_source": "person", "departments": (1,),
    }  # fmt: skip
    members = (
        sample_row(1, "Anna Orlova", "connected", **everything),
        sample_row(2, "Lost Lucy", "reconnect", **everything, problem="user_access_error"),
        sample_row(3, "", "never"),
        sample_row(
            4,
            "Night Nick",
            "never",
            zone="Asia/Tokyo",
            zone_source="profile",
            span=Span(540, 1080),
            hours_source="account",
        ),
    )
    return {
        "now": MOMENT,
        "user_zone": UTC,
        "row_context": team_row.ListContext(MOMENT, UTC, 1, "https://portal.example", {1: "Engineering"}),
        "week": WEEK,
        "month": MONTH,
        "is_off": WEEKEND.is_off,
        "here": lambda *_name, **_day: "#guide-head",
        "direction": lambda name: {"name": "ascending", "state": "descending"}.get(name, "none"),
        "faces": [
            {"photo": "", "face": face, "initials": initials}
            for face, initials in zip(team_row.FACES, ("AO", "LL", "NN", "MV", "CK", "TS"), strict=True)
        ],
        "list_groups": _sample_groups(members, _chart(few_groups, day=WEEK[0]), few_groups),
        "charts": {
            "working": _chart(few_groups, day=WEEK[0]),
            "off": _chart(many_groups, day=WEEK[3]),
        },
    }


def _sample_groups(
    members: Sequence[TeamRow], chart: day_chart.DayChart, hours: list[HoursGroup]
) -> dict[str, list[ListGroup]]:
    plain = ListGroup("", "", len(members), members, None, is_folded=False)
    open_group = ListGroup("sample", "Engineering", 6, members, chart.group(hours, people=6), is_folded=False)
    folded_group = ListGroup("folded", "Product", 3, members, chart.group(hours[:1], people=3), is_folded=True)
    return {"plain": [plain], "headed": [open_group, folded_group]}


def _chart(groups: list[HoursGroup], *, day: date) -> day_chart.DayChart:
    return day_chart.build(groups, day=day, now=MOMENT, user_zone=UTC, days_off=WEEKEND)


def _other_components() -> dict[str, Any]:
    return {
        "bars": (Bar("week", "An answer", 12, 75, "#guide-bars"), Bar("", "Unknown", 4, 25)),
        "slots": [ColumnMark(540 + 30 * place, 26, height) for place, height in enumerate((20, 60, 100, 80))],
        "best": (BestHour(600, 19),),
        "requirements": (
            ChecklistItem("ok", "ok", "A requirement", "What it is for."),
            ChecklistItem("missing", "missing", "A requirement", "What it is for.", "What to do.", "ERROR_CORE"),
            ChecklistItem("unknown", "unknown", "A requirement", "What it is for.", "What to do."),
        ),
        "notice": Notice(
            "QUERY_LIMIT_EXCEEDED", "Bitrix24 is busy", "What happened.", "Who has to act:", "What to do."
        ),
    }
