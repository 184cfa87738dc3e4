"""Read the ids of people in the order of a list: of one page, or of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dashboard.models import Person
from dashboard.team.team_order import GroupPart, SortPart


def ids_of_page(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    groups: Sequence[GroupPart],
    parts: Sequence[SortPart],
    *,
    offset: int,
    limit: int,
) -> list[tuple[int, str]]:
    """Return the id and the group of each person on a page. Groups that are wholly on it share a query."""
    ids: list[tuple[int, str]] = []
    whole_groups: list[GroupPart] = []
    start = 0
    for group in groups:
        first, last = max(offset, start), min(offset + limit, start + group.size)
        if first < last and last - first == group.size and group.value is not None:
            whole_groups.append(group)
        elif first < last:
            ids += _ids_of_groups(session, conditions, whole_groups, parts)
            whole_groups = []
            ids += ids_in_order(session, conditions, [group], parts, offset=first - start, limit=last - first)
        start += group.size
    return ids + _ids_of_groups(session, conditions, whole_groups, parts)


def _ids_of_groups(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    groups: Sequence[GroupPart],
    parts: Sequence[SortPart],
) -> list[tuple[int, str]]:
    """Return the ids of everyone in these groups, which fit on one page together."""
    ids: dict[Any, list[int]] = {group.value: [] for group in groups}
    columns = [group.column for group in groups if group.column is not None]
    for column, part in ((column, part) for column in columns[:1] for part in parts):
        query = select(Person.id, column).where(*conditions, column.in_(list(ids)), part.condition)
        for person_id, value in session.execute(query.order_by(*part.columns)):
            ids[value].append(person_id)
    return [(person_id, group.key) for group in groups for person_id in ids[group.value]]


def ids_in_order(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    groups: Sequence[GroupPart],
    parts: Sequence[SortPart],
    *,
    offset: int = 0,
    limit: int | None = None,
) -> Iterator[tuple[int, str]]:
    """Yield the id and the group of each person. An index has each part in order, so the database sorts nothing."""
    for group, part in ((group, part) for group in groups for part in parts):
        if limit is not None and limit <= 0:
            break
        in_part = (*conditions, group.condition, part.condition)
        if offset:
            size = group.size if len(parts) == 1 else count(session, in_part)
            if offset >= size:
                offset -= size
                continue
        query = select(Person.id).where(*in_part).order_by(*part.columns)
        for person_id in session.scalars(query.limit(limit).offset(offset)):
            limit = None if limit is None else limit - 1
            yield person_id, group.key
        offset = 0


def count(session: Session, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Return how many people meet the conditions."""
    return session.scalar(select(func.count()).select_from(Person).where(*conditions)) or 0
