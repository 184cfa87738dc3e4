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
from dashboard.bitrix24.masking import Record
from dashboard.calendar.parser import EMPTY_CODE, METHOD, Reading
from dashboard.core.stored_times import is_ahead
from dashboard.models import Chain, ChainState, Person, Portal, Run
from dashboard.people.snapshots import Readings, keep, still_there
from dashboard.portals.installations import ProofRefused
from dashboard.sync.runs import Lease
from dashboard.tokens.refresh import RenewalBusy

# The portal as a whole, or we: the next person would fare no better.
ENDS_RUN = (PaymentRequired, KeysRejected)
POSTPONES_RUN = (Limited, PortalClosed, PortalMoved)


@dataclass(frozen=True)
class Errand:
    """A person of the run and the requests reading them takes; none where there is nothing to read."""

    person: Person
    cost: int


@dataclass(frozen=True)
class Told:
    """What reading a person came to."""

    errand: Errand
    reading: Reading | None = None
    problem: str | None = None
    dismissed: bool = False


def read(
    readings: Readings,
    portal: Portal,
    errand: Errand,
    *,
    is_gone: Callable[[], bool],
    record: Record,
) -> Told | NotAnswered:
    """Return what is known of the person now; their own failure is a part of it.

    :raise RenewalBusy: another process holds the lease of their token; it may have been killed.
    :raise Bitrix24Error: the portal's failure.
    """
    if not errand.cost:
        live = errand.person.chain_state == ChainState.LIVE
        return Told(errand, problem=None if live else "reconnect")
    try:
        reading = readings.fetch(portal, errand.person, record=record)
    except RenewalBusy:
        raise
    except NotAnswered as error:
        return error
    except (*POSTPONES_RUN, *ENDS_RUN):
        raise
    except ApplicationGone as error:
        if is_gone():
            raise
        return Told(errand, problem=error.code)
    except (Bitrix24Error, ProofRefused) as error:
        return Told(errand, problem=error.code, dismissed=isinstance(error, PersonDismissed))
    if METHOD not in reading.errors:
        return Told(errand, reading)
    refusal = from_code(PORTAL_CODES, reading.errors[METHOD], status=None)
    if isinstance(refusal, Limited):
        raise refusal
    return Told(errand, reading, problem=reading.errors[METHOD])


def note(session: Session, portal: Portal, told: Told) -> None:
    """Store what came of the errand, in the transaction that moves the run past it."""
    person = still_there(session, portal, told.errand.person)
    if person is None:
        return
    if told.dismissed and person.listed is not True:
        # The portal says so, and its list of employees too: nothing of theirs is ours to keep.
        session.delete(person)
        return
    if told.dismissed:
        person.is_admin, person.confirmed_at = False, None
    person.problem = (told.problem or EMPTY_CODE)[:64] if told.problem is not None else None
    if told.reading is not None:
        keep(session, person, told.reading)


def extent_of(session: Session, lease: Lease) -> tuple[int, int]:
    """Return how many people have a chain, and the last one's number: those the run is about."""
    connected = (Person.portal_id == lease.portal.id, Person.chain_state.is_not(None))
    count, last = session.execute(select(func.count(), func.max(Person.id)).where(*connected)).one()
    return count, last or 0


def next_people(session: Session, lease: Lease, *, now: datetime, limit: int) -> list[Errand]:
    """Return whom the run comes to next."""
    portal_id, run_id = lease.portal.id, lease.run.id
    cursor = select(Run.cursor).where(Run.id == run_id).scalar_subquery()
    last = select(Run.last).where(Run.id == run_id).scalar_subquery()
    found = (
        select(Person, Chain.expires_at)
        .join(Chain, Chain.person_id == Person.id)
        .where(Person.portal_id == portal_id, Person.id > cursor, Person.id <= last)
        .order_by(Person.id)
        .limit(limit)
    )
    return [
        Errand(person, _cost(person, expires_at, began=lease.run.started_at, now=now))
        for person, expires_at in session.execute(found)
    ]


def _cost(person: Person, expires_at: datetime, *, began: datetime | None, now: datetime) -> int:
    """Return the requests; none for a void chain, or for who opened the application since it began."""
    read_at = person.settings_at
    fresh = began is not None and read_at is not None and read_at >= began and not is_ahead(read_at, now)
    if fresh or person.chain_state != ChainState.LIVE:
        return 0
    # An expired token is refused once before it is renewed.
    return 2 if expires_at <= now else 1
