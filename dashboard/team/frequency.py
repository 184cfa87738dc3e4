"""Count people by the most frequent values of some columns, however many values a portal invents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

# More than teams have; a portal that invents more costs no more. Python reads and computes with every value.
MAX_VALUES = 2000


@dataclass(frozen=True)
class MostFrequent:
    """The most frequent values, each row with its number of people at the end, and how many people have others."""

    rows: Sequence[Any]
    others: int


def most_frequent(
    session: Session,
    columns: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    *conditions: ColumnElement[bool],
    limit: int = MAX_VALUES,
) -> MostFrequent:
    """Return the most frequent values of the columns; among equally frequent ones, the first in their order."""
    people = func.count()
    query = select(*columns, people, func.sum(people).over()).where(*conditions).group_by(*columns)
    rows = session.execute(query.order_by(people.desc(), *columns).limit(limit)).all()
    total = int(rows[0][-1]) if rows else 0
    return MostFrequent([row[:-1] for row in rows], total - sum(row[-2] for row in rows))
