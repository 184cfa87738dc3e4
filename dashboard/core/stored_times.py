"""Compare stored times with a clock that may have been wrong when they were written.

A stored deadline that is later than now plus the longest wait (``max_wait``) was written by a clock that was ahead.
It counts as due, so that one wrong clock does not delay anything for hours or years.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

# How far the clocks of two machines that share a database may differ.
MAX_CLOCK_SKEW = timedelta(minutes=1)

Column = InstrumentedAttribute[Any] | ColumnElement[Any]


def is_ahead(moment: datetime, now: datetime, *, max_wait: timedelta = timedelta()) -> bool:
    """Tell whether a stored time is later than a correct clock can have written it: now plus ``max_wait``."""
    return moment > now + max_wait + MAX_CLOCK_SKEW


def is_ahead_seconds(at: float, now: float, *, max_wait: timedelta = timedelta()) -> bool:
    """Return ``is_ahead`` for Unix seconds."""
    return at > now + (max_wait + MAX_CLOCK_SKEW).total_seconds()


def is_recent(moment: datetime | None, now: datetime, *, age: timedelta) -> bool:
    """Tell whether a stored time is less than ``age`` old; None and a future time are not."""
    return moment is not None and moment > now - age and not is_ahead(moment, now)


def is_due(moment: datetime, now: datetime, *, max_wait: timedelta) -> bool:
    """Tell whether a stored deadline has passed, or is too late to be right."""
    return moment <= now or is_ahead(moment, now, max_wait=max_wait)


def ahead(column: Column, now: datetime, *, max_wait: timedelta = timedelta()) -> ColumnElement[bool]:
    """Return ``is_ahead`` as an SQL condition."""
    return column > now + max_wait + MAX_CLOCK_SKEW


def due(column: Column, now: datetime, *, max_wait: timedelta) -> ColumnElement[bool]:
    """Return ``is_due`` as an SQL condition."""
    return or_(column <= now, ahead(column, now, max_wait=max_wait))
