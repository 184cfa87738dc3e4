"""The last runs in words: who asked, what came of it, how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.core.json_values import printable
from dashboard.models import RunState
from dashboard.portals.requirements import PastRun
from dashboard.web.errors.error_labels import error_label
from dashboard.web.i18n.translations import N_, _

# The state, and what colour its pill has.
STATES = {
    RunState.WAITING: (N_("Starting"), "quiet"),
    RunState.RUNNING: (N_("In progress"), "accent"),
    RunState.POSTPONED: (N_("Paused"), "warning"),
    RunState.DONE: (N_("Done"), "good"),
    RunState.FAILED: (N_("Failed"), "alert"),
    RunState.CANCELLED: (N_("Canceled"), "quiet"),
}


@dataclass(frozen=True)
class RunRow:
    """One line of the list."""

    at: datetime
    requested_by: str
    state: str
    tone: str
    total: int
    done: int
    failed: int
    took: str
    reason: str


def run_rows(run: PastRun) -> RunRow:
    """Return the run in words."""
    words, tone = STATES[RunState(run.state)]
    return RunRow(
        at=run.at,
        requested_by=_who(run),
        state=_(words),
        tone=tone,
        total=run.total,
        done=run.done,
        failed=run.failed,
        took=took(run.took) if run.took is not None else "",
        reason=error_label(run.error) if run.error is not None else "",
    )


def _who(run: PastRun) -> str:
    if run.daily:
        return _("automatically")
    return printable(run.asked_by) if run.asked_by else _("someone who has left")


def took(time: timedelta) -> str:
    """Return "40 s", "12 min" or "3 h 5 min"."""
    seconds = round(time.total_seconds())
    if seconds < 60:
        return _("%(seconds)s s") % {"seconds": seconds}
    hours, minutes = divmod(seconds // 60, 60)
    if not hours:
        return _("%(minutes)s min") % {"minutes": minutes}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}
