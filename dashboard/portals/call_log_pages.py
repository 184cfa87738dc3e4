"""The remembered calls of one portal, as its administrators may look through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from dashboard.models import ApiCall, Portal
from dashboard.portals.call_log import RETENTION

PAGE_SIZE = 50
RECENT_CALLS = 1000  # of so many is told which methods and errors there are
ANY_ERROR = "any"
NO_CODE = "empty_error_code"  # what an error without a code is called in an address


@dataclass(frozen=True)
class CallFilter:
    """Which calls; empty is all of them."""

    method: str = ""
    error: str = ""


@dataclass(frozen=True)
class CallPage:
    """Fifty of them, the newest first; ``more`` where older ones follow."""

    calls: Sequence[ApiCall]
    more: bool


@dataclass(frozen=True)
class FilterOptions:
    """What can be sought among the last calls."""

    methods: tuple[str, ...]
    errors: tuple[str, ...]


def call_page(session: Session, portal: Portal, sought: CallFilter, *, number: int, now: datetime) -> CallPage:
    """Return one page. None is counted: a portal that reads thousands makes tens of thousands a day."""
    found = (
        select(ApiCall)
        .where(*_of(portal, now), *_conditions(sought))
        .order_by(ApiCall.at.desc(), ApiCall.id.desc())
        .offset((number - 1) * PAGE_SIZE)
        .limit(PAGE_SIZE + 1)
    )
    calls = session.scalars(found).all()
    return CallPage(calls[:PAGE_SIZE], more=len(calls) > PAGE_SIZE)


def filter_options(session: Session, portal: Portal, *, now: datetime) -> FilterOptions:
    """Return which methods and errors the last calls had."""
    newest = select(ApiCall.method, ApiCall.error).where(*_of(portal, now))
    last = newest.order_by(ApiCall.at.desc()).limit(RECENT_CALLS).subquery()
    rows = session.execute(select(last.c.method, last.c.error).distinct()).all()
    return FilterOptions(
        methods=tuple(sorted({method for method, _error in rows})),
        errors=tuple(sorted({error or NO_CODE for _method, error in rows if error is not None})),
    )


def _of(portal: Portal, now: datetime) -> tuple[ColumnElement[bool], ...]:
    # Those that are older wait for the next hour's purge.
    return (ApiCall.portal_id == portal.id, ApiCall.at >= now - RETENTION)


def _conditions(sought: CallFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if sought.method:
        conditions.append(ApiCall.method == sought.method)
    if sought.error == ANY_ERROR:
        conditions.append(ApiCall.error.is_not(None))
    elif sought.error:
        conditions.append(ApiCall.error == ("" if sought.error == NO_CODE else sought.error))
    return conditions
