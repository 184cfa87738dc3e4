"""Suppress counts of small groups, so that nobody can be identified by a number or by the difference of two."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

MIN_GROUP_SIZE = 5
NO_MINIMUM = 1

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class SuppressedCounts(Generic[K]):
    """The groups that may be shown, largest first, and the number of people in all the others."""

    groups: tuple[tuple[K, int], ...]
    suppressed: int

    def size_of(self, key: K) -> int:
        """Return the size of a group, 0 where it is suppressed."""
        return dict(self.groups).get(key, 0)


def min_people(*, is_admin: bool) -> int:
    """Return how many people's settings must be known before *Insights* has anything to show."""
    return 2 if is_admin else MIN_GROUP_SIZE


def suppress_small_groups(counts: Mapping[K, int], *, min_group_size: int) -> SuppressedCounts[K]:
    """Return the groups of at least ``min_group_size`` people, and the number of people in the others.

    If that number were smaller than ``min_group_size``, it could be computed from the total, so the smallest
    shown group is suppressed too. The caller must make sure that all groups together have at least
    ``min_group_size`` people.
    """
    ranked = sorted(counts.items(), key=lambda group: (-group[1], str(group[0])))
    groups = [group for group in ranked if group[1] >= min_group_size]
    suppressed = sum(counts.values()) - sum(people for _key, people in groups)
    while 0 < suppressed < min_group_size and groups:
        suppressed += groups.pop()[1]
    return SuppressedCounts(tuple(groups), suppressed)
