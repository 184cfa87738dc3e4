"""Filter and paginate a portal's call log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from dashboard.calendar.parser import EMPTY_CODE
from dashboard.models import ApiCall, Portal
from dashboard.portals.call_log import RETENTION

PAGE_SIZE = 50
RECENT_CALLS = 1000  # from which the options of the filters are taken
ANY_ERROR = "any"


@dataclass(frozen=True)
class CallFilter:
    """Which calls; an empty field matches all."""

    method: str = ""
    error: str = ""


@dataclass(frozen=True)
class CallPage:
    """One page of calls, the newest first; ``more`` if older ones follow."""

    calls: Sequence[ApiCall]
    more: bool


@dataclass(frozen=True)
class FilterOptions:
    """The methods and errors of recent calls."""

    methods: tuple[str, ...]
    errors: tuple[str, ...]


def call_page(session: Session, portal: Portal, filter_: CallFilter, *, page: int, now: datetime) -> CallPage:
    """Return one page. There is no total: a large portal makes tens of thousands of calls a day."""
    query = (
        select(ApiCall)
        .where(*_recent(portal, now), *_conditions(filter_))
        .order_by(ApiCall.at.desc(), ApiCall.id.desc())
        .offset((page - 1) * PAGE_SIZE)
        .limit(PAGE_SIZE + 1)
    )
    calls = session.scalars(query).all()
    return CallPage(calls[:PAGE_SIZE], more=len(calls) > PAGE_SIZE)


def filter_options(session: Session, portal: Portal, *, now: datetime) -> FilterOptions:
    """Return the methods and errors of recent calls."""
    calls = select(ApiCall.method, ApiCall.error).where(*_recent(portal, now))
    recent = calls.order_by(ApiCall.at.desc()).limit(RECENT_CALLS).subquery()
    rows = session.execute(select(recent.c.method, recent.c.error).distinct()).all()
    return FilterOptions(
        methods=tuple(sorted({method for method, _error in rows})),
        errors=tuple(sorted({error or EMPTY_CODE for _method, error in rows if error is not None})),
    )


def _recent(portal: Portal, now: datetime) -> tuple[ColumnElement[bool], ...]:
    # Older calls are deleted within an hour.
    return (ApiCall.portal_id == portal.id, ApiCall.at >= now - RETENTION)


def _conditions(filter_: CallFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filter_.method:
        conditions.append(ApiCall.method == filter_.method)
    if filter_.error == ANY_ERROR:
        conditions.append(ApiCall.error.is_not(None))
    elif filter_.error:
        conditions.append(ApiCall.error == ("" if filter_.error == EMPTY_CODE else filter_.error))
    return conditions
