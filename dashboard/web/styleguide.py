"""Every component in every state on one page, for those who develop."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.hours import Span
from dashboard.meanings import Absent, Odd, Section, Switch, Unset
from dashboard.reminders import Before, DayBefore
from dashboard.settings import Entry
from dashboard.web.charts import Bar
from dashboard.web.notices import Notice


def blueprint() -> Blueprint:
    """Return the page; it belongs into development alone and needs no portal."""
    styleguide = Blueprint("styleguide", __name__)

    @styleguide.get("/styleguide")
    def show() -> ResponseReturnValue:
        """Show every component in every state."""
        return render_template(
            "styleguide.html",
            now=datetime.now(UTC),
            spans=(Span(9 * 60, 18 * 60), Span(22 * 60, 6 * 60), Span(0, 24 * 60)),
            views=("day", "week", "month", "list"),
            timed=((Before("min", 0),), (Before("min", 15), Before("hour", 1), Before("day", 9))),
            all_day=((DayBefore(0, 480),), (DayBefore(2, 0), Before("day", 1), Before("day", 5))),
            entries=_entries(),
            bars=(Bar("week", "An answer", 12, 75, "#guide-bars"), Bar("", "Not told", 4, 25)),
            notice=Notice(
                "QUERY_LIMIT_EXCEEDED",
                "Bitrix24 is busy",
                "What happened.",
                "Whose move it is.",
                "What to do.",
            ),
        )

    return styleguide


def _entries() -> tuple[Entry, ...]:
    """Return a setting of each shape a row can have."""
    return (
        Entry("showTasks", "Y", Switch(True)),
        Entry("showDeclined", False, Switch(False)),
        Entry("meetSection", "4", Section(4, "A calendar", "#e89b06")),
        Entry("crmSection", "49", Section(49)),
        Entry("sendFromEmail", "", Unset()),
        Entry("syncTasks", None, Absent()),
        Entry("syncPeriodPast", {"a": [1]}, Odd("value")),
    )
