"""Describe past runs in words: who started them, their result and duration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.core.json_values import escape_surrogates
from dashboard.models import RunState
from dashboard.sync.last_runs import LastRun
from dashboard.web.errors.responses import error_label
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters.filters import duration

# The label of each state and the tone of its pill.
STATES = {
    RunState.WAITING: (N_("Starting"), "quiet"),
    RunState.RUNNING: (N_("In progress"), "accent"),
    RunState.POSTPONED: (N_("Paused"), "warning"),
    RunState.DONE: (N_("Done"), "good"),
    RunState.FAILED: (N_("Failed"), "alert"),
    RunState.CANCELED: (N_("Canceled"), "quiet"),
}


@dataclass(frozen=True)
class RunRow:
    """One row of the table of runs."""

    at: datetime
    requested_by: str
    state: str
    tone: str
    total: int
    done: int
    failed: int
    duration: str
    reason: str


def run_row(last_run: LastRun) -> RunRow:
    """Return the row of a run."""
    run = last_run.run
    label, tone = STATES[RunState(run.state)]
    return RunRow(
        at=run.created_at,
        requested_by=_requester(last_run),
        state=_(label),
        tone=tone,
        total=run.total,
        done=run.done,
        failed=run.failed,
        duration=_format_duration(run.finished_at - (run.started_at or run.created_at)) if run.finished_at else "",
        reason=error_label(run.error) if run.error is not None else "",
    )


def _requester(last_run: LastRun) -> str:
    if last_run.run.asked_by is None:
        return _("automatically")
    return escape_surrogates(last_run.requested_by) if last_run.requested_by else _("someone who has left")


def _format_duration(time: timedelta) -> str:
    """Return "40 s", "12 min" or "3 h 5 min"."""
    seconds = round(time.total_seconds())
    if seconds < 60:
        return _("%(seconds)s s") % {"seconds": seconds}
    minutes = seconds // 60
    return _("%(minutes)s min") % {"minutes": minutes} if minutes < 60 else duration(minutes)
