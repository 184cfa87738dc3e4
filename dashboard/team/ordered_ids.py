"""Read the ids of people in the order of a list: of one page, or of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.orm import Session

from dashboard.models import Person
from dashboard.team.team_order import GroupPart, SortPart, count_by


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
            ids += _ids_in_group(session, conditions, group, parts, offset=first - start, limit=last - first)
        start += group.size
    return ids + _ids_of_groups(session, conditions, whole_groups, parts)


def _ids_of_groups(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    groups: Sequence[GroupPart],
    parts: Sequence[SortPart],
) -> list[tuple[int, str]]:
    """Return the ids of everyone in these groups, which fit on one page together."""
    if not groups or (column := groups[0].column) is None:
        return []
    in_groups = [*conditions, column.in_([group.value for group in groups])]
    return list(ids_of_all(session, in_groups, groups, parts))


def ids_of_all(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    groups: Sequence[GroupPart],
    parts: Sequence[SortPart],
) -> Iterator[tuple[int, str]]:
    """Return the id and the group of everyone, by few queries, however many groups and time zones there are."""
    column = literal(None) if not groups or groups[0].column is None else groups[0].column
    if parts and parts[0].zone is not None:
        queries = [select(Person.id, column, Person.zone).where(*conditions).order_by(Person.id)]
    else:
        queries = [
            select(Person.id, column, literal(None)).where(*conditions, part.condition).order_by(*part.columns)
            for part in parts
        ]
    ids: dict[tuple[Any, str | None], list[int]] = defaultdict(list)
    for query in queries:
        for person_id, value, zone in session.execute(query):
            ids[value, zone].append(person_id)
    group_places = {group.value: place for place, group in enumerate(groups)}
    zone_places = {part.zone: place for place, part in enumerate(parts)}
    # Whoever joined a new group or time zone between two statements is left out.
    places = sorted(
        (group_places[value], zone_places[zone], value, zone)
        for value, zone in ids
        if value in group_places and zone in zone_places
    )
    return ((person_id, groups[place].key) for place, _, value, zone in places for person_id in ids[value, zone])


def _ids_in_group(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    group: GroupPart,
    parts: Sequence[SortPart],
    *,
    offset: int,
    limit: int,
) -> Iterator[tuple[int, str]]:
    """Yield the ids of a part of a group. An index has each part of the order, so the database sorts nothing."""
    in_group = [*conditions, group.condition]
    sizes = count_by(session, Person.zone, in_group) if parts and parts[0].zone is not None else {}
    for part in parts:
        if limit <= 0:
            break
        in_part = (*in_group, part.condition)
        size = None if part.zone is None else sizes.get(part.zone, 0)
        if offset and size is None:
            size = group.size if len(parts) == 1 else count(session, in_part)
        if size is not None and offset >= size:
            offset -= size
            continue
        query = select(Person.id).where(*in_part).order_by(*part.columns)
        for person_id in session.scalars(query.limit(limit).offset(offset)):
            limit -= 1
            yield person_id, group.key
        offset = 0


def count(session: Session, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Return how many people meet the conditions."""
    return session.scalar(select(func.count()).select_from(Person).where(*conditions)) or 0
