"""The first step of a run: update the portal's employees and count the people to sync."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    GrantRejected,
    NotAnswered,
    PersonRefused,
    PortalFull,
    TokenRejected,
)
from dashboard.bitrix24.masking import RecordCall
from dashboard.models import Person, Portal
from dashboard.people.directory import INCOMPLETE, Directory
from dashboard.portals.call_log import CallRecords
from dashboard.portals.installations import VerificationFailed
from dashboard.sync.person_sync import RUN_ENDING_ERRORS, RUN_POSTPONING_ERRORS
from dashboard.sync.runs import Lease, change_run

DIRECTORY_COST = 2  # requests

# The token of another employee may still be allowed to read the list.
_READER_ERRORS = (PersonRefused, GrantRejected, TokenRejected, ApplicationGone, VerificationFailed)


def sync_directory(directory: Directory, portal: Portal, *, record: RecordCall) -> str | None:
    """Update the portal's employees; return the error code if the list could not be read whole.

    The run then syncs the people who are stored already.

    :raise Bitrix24Error: the error concerns the whole portal.
    """
    problem = "nobody_connected"
    for reader in directory.readers(portal):
        try:
            is_complete = directory.read(portal, reader, record=record)
        except (*RUN_POSTPONING_ERRORS, *RUN_ENDING_ERRORS, NotAnswered):
            raise
        except _READER_ERRORS as error:
            problem = error.code
        except Bitrix24Error as error:
            return error.code[:64]
        else:
            return None if is_complete else INCOMPLETE
    return problem


def save_directory_result(
    session: Session, lease: Lease, calls: CallRecords, *, problem: str | None, now: datetime
) -> None:
    """Save how the directory was read, and which people the run is about: everyone who has ever connected."""
    calls.write(session, already_counted=DIRECTORY_COST)
    portal = session.get_one(Portal, lease.portal.id)
    portal.directory_error = problem
    if problem in (None, INCOMPLETE, PortalFull.CODE):
        portal.directory_at = now
    has_token_pair = (Person.portal_id == portal.id, Person.chain_state.is_not(None))
    total, last = session.execute(select(func.count(), func.max(Person.id)).where(*has_token_pair)).one()
    change_run(session, lease, unless_canceled=True, directory_read=True, total=total, last=last or 0)
