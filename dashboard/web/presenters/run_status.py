"""Describe the progress of the current run, in words for the page and as JSON for the script."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo

from flask import jsonify
from flask.typing import ResponseReturnValue

from dashboard.models import RunState
from dashboard.sync.progress import RunProgress
from dashboard.web.errors.responses import error_label
from dashboard.web.i18n.translations import _, ngettext, number
from dashboard.web.presenters import filters


@dataclass(frozen=True)
class RunStatus:
    """The latest run; its state is "none" where there has been no run."""

    state: str
    total: int
    done: int
    failed: int
    eta_seconds: int | None
    error: str | None
    text: str

    @property
    def is_under_way(self) -> bool:
        """Tell whether the run has not ended yet."""
        return self.state in (RunState.WAITING, RunState.RUNNING, RunState.POSTPONED)

    @property
    def finished_people(self) -> int:
        """Return the number of people whose update has succeeded or failed."""
        return self.done + self.failed

    def to_response(self, status: int = 200) -> ResponseReturnValue:
        """Return the run as a JSON response."""
        fields = asdict(self)
        return jsonify(words=fields.pop("text"), under_way=self.is_under_way, **fields), status


def run_status(run: RunProgress | None, *, now: datetime, user_zone: tzinfo) -> RunStatus:
    """Return the status of a run, with times in the user's time zone."""
    if run is None:
        return RunStatus("none", 0, 0, 0, None, None, _("Not everyone's settings have been read yet."))
    return RunStatus(run.state, run.total, run.done, run.failed, run.eta_seconds, run.error, _text(run, now, user_zone))


def _text(run: RunProgress, now: datetime, user_zone: tzinfo) -> str:
    end_time = filters.time_and_date(run.finished_at or now, now, user_zone)
    match run.state:
        case RunState.WAITING:
            return _("The update is about to start.")
        case RunState.RUNNING:
            return _running(run)
        case RunState.POSTPONED:
            return _join(_postponed(run, user_zone), error_label(run.error) if run.error else "")
        case RunState.FAILED:
            reason = error_label(run.error) if run.error is not None else _("unknown")
            # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
            return _("The last update failed at %(moment)s. Reason: %(code)s.") % {"moment": end_time, "code": reason}
        case RunState.CANCELED:
            # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
            return _("The last update was canceled at %(moment)s.") % {"moment": end_time}
    return _done(run, end_time)


def _join(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _running(run: RunProgress) -> str:
    if not run.total:
        return _("Reading the list of employees.")
    counts = {"done": number(run.done + run.failed), "total": number(run.total)}
    failed = ngettext("%(num)s person could not be updated", "%(num)s people could not be updated", run.failed)
    return _join(
        _("%(done)s of %(total)s updated") % counts,
        _time_left(run.eta_seconds),
        failed % {"num": number(run.failed)} if run.failed else "",
    )


def _time_left(seconds: int | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return _("less than a minute left")
    minutes = -(-seconds // 60)
    return ngettext("about %(num)s minute left", "about %(num)s minutes left", minutes) % {"num": number(minutes)}


def _postponed(run: RunProgress, user_zone: tzinfo) -> str:
    if run.next_at is None:
        return _("Bitrix24 is busy. The update continues automatically.")
    return _("Bitrix24 is busy. The update continues automatically at %(time)s.") % {
        "time": filters.time_in(run.next_at, user_zone)
    }


def _done(run: RunProgress, end_time: str) -> str:
    # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
    text = _("Updated at %(moment)s.") % {"moment": end_time}
    if not run.failed:
        return text
    failed = ngettext("%(num)s person could not be updated.", "%(num)s people could not be updated.", run.failed)
    return f"{text} {failed % {'num': number(run.failed)}}"
