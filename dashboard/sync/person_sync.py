"""Whom a run reads, in which order, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import (
    PORTAL_CODES,
    ApplicationGone,
    Bitrix24Error,
    KeysRejected,
    Limited,
    NotAnswered,
    PaymentRequired,
    PersonDismissed,
    PortalClosed,
    PortalMoved,
    from_code,
)
from dashboard.bitrix24.masking import RecordCall
from dashboard.calendar.parser import EMPTY_CODE, METHOD, SettingsResponse
from dashboard.core.stored_times import is_ahead
from dashboard.models import OAuthToken, Person, Portal, Run, TokenState
from dashboard.people.snapshots import Snapshots, find_current, save_snapshot
from dashboard.portals.installations import VerificationFailed
from dashboard.sync.runs import Lease
from dashboard.tokens.refresh import RefreshBusy

# The portal as a whole, or we: the next person would fare no better.
RUN_ENDING_ERRORS = (PaymentRequired, KeysRejected)
RUN_POSTPONING_ERRORS = (Limited, PortalClosed, PortalMoved)


@dataclass(frozen=True)
class PersonTask:
    """A person of the run and the requests reading them takes; none where there is nothing to read."""

    person: Person
    cost: int


@dataclass(frozen=True)
class PersonResult:
    """What reading a person came to."""

    task: PersonTask
    response: SettingsResponse | None = None
    problem: str | None = None
    dismissed: bool = False


def sync_person(
    snapshots: Snapshots,
    portal: Portal,
    task: PersonTask,
    *,
    is_gone: Callable[[], bool],
    record: RecordCall,
) -> PersonResult | NotAnswered:
    """Return what is known of the person now; their own failure is a part of it.

    :raise RefreshBusy: another process holds the lease of their token; it may have been killed.
    :raise Bitrix24Error: the portal's failure.
    """
    if not task.cost:
        live = task.person.chain_state == TokenState.VALID
        return PersonResult(task, problem=None if live else "reconnect")
    try:
        reading = snapshots.fetch(portal, task.person, record=record)
    except RefreshBusy:
        raise
    except NotAnswered as error:
        return error
    except (*RUN_POSTPONING_ERRORS, *RUN_ENDING_ERRORS):
        raise
    except ApplicationGone as error:
        if is_gone():
            raise
        return PersonResult(task, problem=error.code)
    except (Bitrix24Error, VerificationFailed) as error:
        return PersonResult(task, problem=error.code, dismissed=isinstance(error, PersonDismissed))
    if METHOD not in reading.errors:
        return PersonResult(task, reading)
    refusal = from_code(PORTAL_CODES, reading.errors[METHOD], status=None)
    if isinstance(refusal, Limited):
        raise refusal
    return PersonResult(task, reading, problem=reading.errors[METHOD])


def save_result(session: Session, portal: Portal, told: PersonResult) -> None:
    """Store what came of the errand, in the transaction that moves the run past it."""
    person = find_current(session, portal, told.task.person)
    if person is None:
        return
    if told.dismissed and person.listed is not True:
        # The portal says so, and its list of employees too: nothing of theirs is ours to keep.
        session.delete(person)
        return
    if told.dismissed:
        person.is_admin, person.confirmed_at = False, None
    person.problem = (told.problem or EMPTY_CODE)[:64] if told.problem is not None else None
    if told.response is not None:
        save_snapshot(session, person, told.response)


def count_people(session: Session, lease: Lease) -> tuple[int, int]:
    """Return how many people have a chain, and the last one's number: those the run is about."""
    connected = (Person.portal_id == lease.portal.id, Person.chain_state.is_not(None))
    count, last = session.execute(select(func.count(), func.max(Person.id)).where(*connected)).one()
    return count, last or 0


def next_tasks(session: Session, lease: Lease, *, now: datetime, limit: int) -> list[PersonTask]:
    """Return whom the run comes to next."""
    portal_id, run_id = lease.portal.id, lease.run.id
    cursor = select(Run.cursor).where(Run.id == run_id).scalar_subquery()
    last = select(Run.last).where(Run.id == run_id).scalar_subquery()
    found = (
        select(Person, OAuthToken.expires_at)
        .join(OAuthToken, OAuthToken.person_id == Person.id)
        .where(Person.portal_id == portal_id, Person.id > cursor, Person.id <= last)
        .order_by(Person.id)
        .limit(limit)
    )
    return [
        PersonTask(person, _cost(person, expires_at, began=lease.run.started_at, now=now))
        for person, expires_at in session.execute(found)
    ]


def _cost(person: Person, expires_at: datetime, *, began: datetime | None, now: datetime) -> int:
    """Return the requests; none for a void chain, or for who opened the application since it began."""
    read_at = person.settings_at
    fresh = began is not None and read_at is not None and read_at >= began and not is_ahead(read_at, now)
    if fresh or person.chain_state != TokenState.VALID:
        return 0
    # An expired token is refused once before it is renewed.
    return 2 if expires_at <= now else 1
