"""Sync one person in a run: count the requests against the rate limit, fetch the settings, save the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import (
    PORTAL_CODES,
    Bitrix24Error,
    KeysRejected,
    Limited,
    MethodPaused,
    NotAnswered,
    PaymentRequired,
    PersonDismissed,
    PortalClosed,
    PortalMoved,
    from_code,
)
from dashboard.bitrix24.masking import CallRecorder
from dashboard.calendar.parser import EMPTY_CODE, USER_SETTINGS_METHOD, SettingsResponse
from dashboard.core.stored_times import is_ahead
from dashboard.models import OAuthToken, Person, Portal, Run, TokenState
from dashboard.people import storage_limit
from dashboard.people.snapshot_store import find_current, save_snapshot
from dashboard.people.snapshots import Snapshots
from dashboard.portals import rate_limits
from dashboard.portals.call_log import CallRecords
from dashboard.portals.installations import VerificationFailed
from dashboard.sync.runs import Lease, change_run
from dashboard.tokens.refresh import RefreshInProgress

MAX_SLICE_PEOPLE = 10  # so that large portals do not delay the others
MIN_SLICE_PEOPLE = 4  # the next slice starts when the rate limit allows so many
MAX_REFRESH_WAITS = 3  # in a row, for a token that another process refreshes

# These concern the portal or the application; the next person would fail the same way.
RUN_ENDING_ERRORS = (PaymentRequired, KeysRejected)
RUN_POSTPONING_ERRORS = (Limited, PortalClosed, PortalMoved)


@dataclass(frozen=True)
class PersonTask:
    """A person of the run and the number of requests needed; 0 if there is nothing to fetch."""

    person: Person
    cost: int


@dataclass(frozen=True)
class PersonResult:
    """The response for a person, or an error code (``problem``)."""

    task: PersonTask
    response: SettingsResponse | None = None
    problem: str | None = None
    dismissed: bool = False
    got_response: bool = True


def take_next_tasks(session: Session, lease: Lease, *, now: datetime) -> tuple[Sequence[PersonTask], int]:
    """Return the people whose requests the rate limit allows now, and how many of the people looked up remain.

    :raise MethodPaused: the portal allows the method again later.
    """
    portal_id, timestamp = lease.portal.id, now.timestamp()
    tasks = _next_tasks(session, lease, now=now)
    costs = [task.cost for task in tasks[:MAX_SLICE_PEOPLE]]
    paused_until = rate_limits.paused_until(session, portal_id, USER_SETTINGS_METHOD, now=timestamp)
    if paused_until > timestamp:
        raise MethodPaused("OPERATION_TIME_LIMIT", resets_at=paused_until)
    allowed = rate_limits.take_for_tasks(session, portal_id, now=timestamp, costs=costs)
    return tasks[:allowed], len(tasks) - allowed


def sync_person(snapshots: Snapshots, lease: Lease, task: PersonTask, *, record_call: CallRecorder) -> PersonResult:
    """Fetch a person's settings; an error that concerns only this person is part of the result.

    :raise RefreshInProgress: another process refreshes their token; the run returns to them, up to
        MAX_REFRESH_WAITS times.
    :raise Bitrix24Error: the error concerns the whole portal.
    """
    if not task.cost:
        is_connected = task.person.chain_state == TokenState.VALID
        return PersonResult(task, problem=None if is_connected else "reconnect")
    try:
        response = snapshots.fetch(lease.portal, task.person, record_call=record_call)
    except (*RUN_POSTPONING_ERRORS, *RUN_ENDING_ERRORS):
        raise
    except RefreshInProgress as error:
        if lease.run.attempts < MAX_REFRESH_WAITS:
            raise
        return PersonResult(task, problem=error.code)
    except (Bitrix24Error, VerificationFailed) as error:
        return PersonResult(
            task,
            problem=error.code,
            dismissed=isinstance(error, PersonDismissed),
            got_response=not isinstance(error, NotAnswered),
        )
    problem = response.errors.get(USER_SETTINGS_METHOD)
    if problem is not None:
        settings_error = from_code(PORTAL_CODES, problem, status=None)
        if isinstance(settings_error, Limited):
            raise settings_error
    return PersonResult(task, response, problem)


def save_results(session: Session, lease: Lease, results: Sequence[PersonResult], calls: CallRecords) -> None:
    """Save the results, the calls and the run's cursor in one transaction, so that a killed worker loses none."""
    counted = [result for result in results if result.task.person.listed]
    failed = sum(result.problem is not None for result in counted)
    change_run(
        session,
        lease,
        unless_canceled=True,
        cursor=results[-1].task.person.id,
        done=Run.done + len(counted) - failed,
        failed=Run.failed + failed,
        attempts=0,
    )
    calls.write(session, already_counted=sum(result.task.cost for result in results))
    for result in results:
        _save_result(session, lease.portal, result)


def _save_result(session: Session, portal: Portal, result: PersonResult) -> None:
    person = find_current(session, portal, result.task.person)
    if person is None:
        return
    if result.dismissed and person.listed is not True:
        # The directory does not list them either, so their data has no reason to stay.
        storage_limit.allocate(session, portal.id, -(storage_limit.PERSON_BYTES + person.snapshot_bytes))
        session.delete(person)
        return
    if result.dismissed:
        person.is_admin, person.confirmed_at = False, None
    person.problem = (result.problem or EMPTY_CODE)[:64] if result.problem is not None else None
    if result.response is not None:
        save_snapshot(session, portal, person, result.response)


def _next_tasks(session: Session, lease: Lease, *, now: datetime) -> list[PersonTask]:
    run = Run.id == lease.run.id
    next_people = (
        select(Person, OAuthToken.expires_at)
        .join(OAuthToken, OAuthToken.person_id == Person.id)
        .where(
            Person.portal_id == lease.portal.id,
            Person.id > select(Run.cursor).where(run).scalar_subquery(),
            Person.id <= select(Run.last).where(run).scalar_subquery(),
        )
        .order_by(Person.id)
        .limit(MAX_SLICE_PEOPLE + MIN_SLICE_PEOPLE)
    )
    return [
        PersonTask(person, _cost(person, expires_at, started_at=lease.run.started_at, now=now))
        for person, expires_at in session.execute(next_people)
    ]


def _cost(person: Person, expires_at: datetime, *, started_at: datetime | None, now: datetime) -> int:
    """Return the requests needed: 2 if the token has expired, else 1; 0 for a revoked token or fresh settings.

    Settings are fresh if they were fetched since the run started.
    """
    fetched_at = person.settings_at
    is_fresh = started_at and fetched_at and fetched_at >= started_at and not is_ahead(fetched_at, now)
    if is_fresh or person.chain_state != TokenState.VALID:
        return 0
    # An expired token is rejected once before it is refreshed.
    return 2 if expires_at <= now else 1
