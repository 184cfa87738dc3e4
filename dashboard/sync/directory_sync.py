"""Begin a run: update the portal's employees from its list of users, and count the people to sync."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
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
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.users import ListPosition
from dashboard.models import Person, Portal
from dashboard.people.directory import INCOMPLETE, Directory, IncompleteList
from dashboard.portals.call_log import CallRecords
from dashboard.portals.installations import VerificationFailed
from dashboard.sync.person_sync import RUN_ENDING_ERRORS, RUN_POSTPONING_ERRORS
from dashboard.sync.runs import Lease, change_run

DIRECTORY_COST = 1  # request for a part of the list; further ones, which are rare, are counted afterwards

# The token of another employee may still be allowed to read the list.
_READER_ERRORS = (PersonRefused, GrantRejected, TokenRejected, ApplicationGone, VerificationFailed)


@dataclass(frozen=True)
class DirectoryProgress:
    """Where the list continues, None if nothing remains to be read, and the error code if it is incomplete."""

    position: ListPosition | None
    problem: str | None = None


def sync_directory_part(directory: Directory, lease: Lease, *, record_call: CallRecorder) -> DirectoryProgress:
    """Update the next part of the portal's employees; if the list cannot be read, the run syncs the stored people.

    The lists that two people see may differ, so all parts are read with one person's token (the reader). If the portal
    refuses it, the next reader starts from the beginning. After MAX_READERS refusals the run continues without a list.

    :raise Bitrix24Error: the error concerns the whole portal.
    """
    portal, position = lease.portal, ListPosition.load(lease.run.list_position)
    problem = "nobody_connected" if position.reader is None else "reconnect"
    for reader in directory.readers(portal, position):
        if reader.id != position.reader:
            position = directory.first_position(portal, reader, refused=position.refused)
        try:
            return DirectoryProgress(
                directory.read_part(portal, reader, position, run=lease.run, record_call=record_call)
            )
        except IncompleteList:
            return DirectoryProgress(None, INCOMPLETE)
        except (*RUN_POSTPONING_ERRORS, *RUN_ENDING_ERRORS, NotAnswered):
            raise
        except _READER_ERRORS as error:
            problem = error.code
            position = replace(position, refused=(*position.refused, reader.id))
        except Bitrix24Error as error:
            return DirectoryProgress(None, error.code[:64])
    return DirectoryProgress(None, problem)


def save_directory_progress(
    session: Session, lease: Lease, calls: CallRecords, progress: DirectoryProgress, *, now: datetime
) -> None:
    """Save where the list continues; at its end, save which people the run syncs: all who have a token pair.

    Those who are not in the list of employees are synced too, but not counted.
    """
    calls.write(session, already_counted=DIRECTORY_COST)
    if progress.position is not None:
        change_run(session, lease, unless_canceled=True, list_position=asdict(progress.position))
        return
    portal = session.get_one(Portal, lease.portal.id)
    portal.directory_error = progress.problem
    if progress.problem in (None, INCOMPLETE, PortalFull.CODE):
        portal.directory_at = now
    has_token_pair = (Person.portal_id == portal.id, Person.chain_state.is_not(None))
    numbers = (func.count().filter(Person.listed.is_(True)), func.max(Person.id))
    total, last = session.execute(select(*numbers).where(*has_token_pair)).one()
    change_run(
        session, lease, unless_canceled=True, directory_read=True, list_position=None, total=total, last=last or 0
    )
