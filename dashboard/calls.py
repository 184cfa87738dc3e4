"""Remembered calls on their way to the store."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from dashboard import buckets
from dashboard.bitrix24.journal import Call
from dashboard.db import rows_changed
from dashboard.models import ApiCall, Portal, PortalState

KEPT = timedelta(days=3)
OVERFLOW = "QUERY_LIMIT_EXCEEDED"
_REMEMBER = insert(ApiCall)  # made once: each request comes by here


class CallLog(threading.local):
    """The calls this thread has made and not written yet; written in one go with whatever else is stored."""

    def __init__(self) -> None:
        self._pending: list[Call] = []

    def remember(self, call: Call) -> None:
        self._pending.append(call)

    def __len__(self) -> int:
        return len(self._pending)

    def write(self, session: Session, *, portal: Portal | None, taken: int = 0, room: bool = True) -> None:
        """Store the pending calls as that portal's; None: of no portal we know.

        What they took of the portal's bucket is noted with them, but for the requests that were ``taken``
        beforehand. Those of an installation that has ended are dropped: nothing of it may come back. Without
        ``room`` they are only counted, not stored.
        """
        pending, self._pending = self._pending, []
        # A portal of this very session is one its caller has just locked.
        if portal is not None and portal not in session and not _is_there(session, portal):
            return
        if pending and room:
            rows = [_row(call, portal.id if portal else None) for call in pending]
            session.connection().execute(_REMEMBER, rows)
        if portal is not None:
            _spend(session, portal, [call for call in pending if call.origin == portal.origin], taken=taken)


def _spend(session: Session, portal: Portal, calls: list[Call], *, taken: int) -> None:
    """Note in the portal's bucket what was sent to it, and whether it overflowed."""
    refused = any((call.error or "").upper() == OVERFLOW for call in calls)
    beyond = max(0, len(calls) - taken)
    if beyond or refused:
        at = max(call.at for call in calls).timestamp()
        buckets.spend(session, portal.id, at=at, requests=beyond, refused=refused)


def _is_there(session: Session, portal: Portal) -> bool:
    same = (Portal.id == portal.id, Portal.generation == portal.generation)
    active = Portal.state != PortalState.UNINSTALLED
    return session.scalar(select(Portal.id).where(*same, active).with_for_update()) is not None


def _row(call: Call, portal_id: int | None) -> dict[str, Any]:
    error = call.error[:64] if call.error is not None else None
    return {**vars(call), "error": error, "portal_id": portal_id}


def purge(session: Session, *, now: datetime) -> int:
    """Delete the calls older than the three days the Market asks for; return how many."""
    return rows_changed(session, delete(ApiCall).where(ApiCall.at < now - KEPT))
