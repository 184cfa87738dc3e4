"""Count people by the most frequent values of some columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

# More than real teams have. It bounds the work in Python for a portal that invents values.
MAX_VALUES = 2000


@dataclass(frozen=True)
class MostFrequent:
    """Rows of values that each end with a number of people, and how many people have less frequent values."""

    rows: Sequence[Any]
    others: int


def most_frequent(
    session: Session,
    columns: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    *conditions: ColumnElement[bool],
    limit: int = MAX_VALUES,
) -> MostFrequent:
    """Return the most frequent values of the columns; ties go by the order of the values."""
    people = func.count()
    query = select(*columns, people, func.sum(people).over()).where(*conditions).group_by(*columns)
    rows = session.execute(query.order_by(people.desc(), *columns).limit(limit)).all()
    total = int(rows[0][-1]) if rows else 0
    return MostFrequent([row[:-1] for row in rows], total - sum(row[-2] for row in rows))
