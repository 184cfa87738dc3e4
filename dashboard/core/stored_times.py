"""Compare stored moments with the clock, which may have been set back since they were written.

A deadline that lies farther away than any we ever write was written by a clock that was ahead. It counts as
come: nothing waits for hours or years because a machine's clock was wrong once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

# The clocks of two machines that share a database may differ by this much.
MAX_CLOCK_SKEW = timedelta(minutes=1)

Column = InstrumentedAttribute[Any] | ColumnElement[Any]


def is_ahead(moment: datetime, now: datetime, *, max_wait: timedelta = timedelta()) -> bool:
    """Tell whether a moment lies farther ahead than ``max_wait``, the longest that is ever written."""
    return moment > now + max_wait + MAX_CLOCK_SKEW


def is_ahead_seconds(at: float, now: float, *, max_wait: timedelta = timedelta()) -> bool:
    """Return ``is_ahead`` of moments in Unix seconds."""
    return at > now + (max_wait + MAX_CLOCK_SKEW).total_seconds()


def is_recent(moment: datetime | None, now: datetime, *, age: timedelta) -> bool:
    """Tell whether a stored moment is less than ``age`` old; None and a moment ahead of the clock are not."""
    return moment is not None and moment > now - age and not is_ahead(moment, now)


def is_due(moment: datetime, now: datetime, *, max_wait: timedelta) -> bool:
    """Tell whether a stored deadline has come, or lies too far ahead to be believed."""
    return moment <= now or is_ahead(moment, now, max_wait=max_wait)


def ahead(column: Column, now: datetime, *, max_wait: timedelta = timedelta()) -> ColumnElement[bool]:
    """Return ``is_ahead`` as an SQL condition."""
    return column > now + max_wait + MAX_CLOCK_SKEW


def due(column: Column, now: datetime, *, max_wait: timedelta) -> ColumnElement[bool]:
    """Return ``is_due`` as an SQL condition."""
    return or_(column <= now, ahead(column, now, max_wait=max_wait))
