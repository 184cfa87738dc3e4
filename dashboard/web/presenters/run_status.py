"""How the reading of everyone stands, in words and in JSON, and the addresses that begin and end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from flask import jsonify
from flask.typing import ResponseReturnValue

from dashboard.models import RunState
from dashboard.sync.progress import RunProgress
from dashboard.web.errors.responses import error_label
from dashboard.web.i18n.translations import _, ngettext, number
from dashboard.web.presenters import filters

ETA_SOON_SECONDS = 60  # seconds


@dataclass(frozen=True)
class RunStatus:
    """A run as a page shows it; ``state`` is none where there never was one."""

    state: str
    total: int
    done: int
    failed: int
    eta_seconds: int | None
    error: str | None
    text: str

    @property
    def is_under_way(self) -> bool:
        return self.state in (RunState.WAITING, RunState.RUNNING, RunState.POSTPONED)

    @property
    def handled(self) -> int:
        """Return how many people are behind it, those it could not read among them."""
        return self.done + self.failed

    def answer(self, status: int = 200) -> ResponseReturnValue:
        """Return the run as JSON."""
        told = {name: getattr(self, name) for name in ("state", "total", "done", "failed", "eta_seconds")}
        return jsonify(**told, error=self.error, under_way=self.is_under_way, words=self.text), status


def run_status(run: RunProgress | None, *, now: datetime, clock: tzinfo) -> RunStatus:
    """Return the run in words of the reader's language and by their clock."""
    if run is None:
        return RunStatus("none", 0, 0, 0, None, None, _("Not everyone's settings have been read yet."))
    words = _words(run, now, clock)
    return RunStatus(run.state, run.total, run.done, run.failed, run.eta_seconds, run.error, words)


def _words(run: RunProgress, now: datetime, clock: tzinfo) -> str:
    ended = filters.time_and_date(run.finished_at or now, now, clock)
    match run.state:
        case RunState.WAITING:
            return _("The update is about to start.")
        case RunState.RUNNING:
            return _running(run)
        case RunState.POSTPONED:
            return " · ".join(filter(None, (_postponed(run, clock), run.error and error_label(run.error))))
        case RunState.FAILED:
            # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
            return _("The last update failed at %(moment)s. Reason: %(code)s.") % {
                "moment": ended,
                "code": error_label(run.error) if run.error is not None else _("unknown"),
            }
        case RunState.CANCELLED:
            # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
            return _("The last update was canceled at %(moment)s.") % {"moment": ended}
    return _done(run, ended)


def _running(run: RunProgress) -> str:
    if not run.total:
        return _("Reading the list of employees.")
    told = _("%(done)s of %(total)s updated") % {
        "done": number(run.done + run.failed),
        "total": number(run.total),
    }
    return " · ".join(filter(None, (told, _left(run.eta_seconds), _failed(run.failed))))


def _left(seconds: int | None) -> str:
    if seconds is None:
        return ""
    if seconds < ETA_SOON_SECONDS:
        return _("less than a minute left")
    minutes = -(-seconds // 60)
    return ngettext("about %(num)s minute left", "about %(num)s minutes left", minutes) % {"num": number(minutes)}


def _failed(people: int) -> str:
    if not people:
        return ""
    return ngettext("%(num)s person could not be updated", "%(num)s people could not be updated", people) % {
        "num": number(people)
    }


def _postponed(run: RunProgress, clock: tzinfo) -> str:
    if run.next_at is None:
        return _("Bitrix24 is busy. The update continues automatically.")
    return _("Bitrix24 is busy. The update continues automatically at %(time)s.") % {
        "time": filters.time_in(run.next_at, clock)
    }


def _done(run: RunProgress, ended: str) -> str:
    # Translators: %(moment)s is "14:05" or "14:05, Mar 5".
    told = _("Updated at %(moment)s.") % {"moment": ended}
    if not run.failed:
        return told
    failed = ngettext("%(num)s person could not be updated.", "%(num)s people could not be updated.", run.failed)
    return f"{told} {failed % {'num': number(run.failed)}}"
