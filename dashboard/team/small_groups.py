"""Numbers for people who may not see who is behind them: no small group can be read off, nor worked out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

MIN_GROUP_SIZE = 5  # people in a group that may be told
NO_MINIMUM = 1

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class SuppressedCounts(Generic[K]):
    """The groups that may be told, largest first, and how many people stand in none of them."""

    shown: tuple[tuple[K, int], ...]
    suppressed: int

    def of(self, key: K) -> int:
        """Return how many people the group has; 0 where it may not be told."""
        return dict(self.shown).get(key, 0)


def suppress_small_groups(counts: Mapping[K, int], *, fewest: int) -> SuppressedCounts[K]:
    """Return the groups of at least so many people. The rest is none, or as many itself.

    A rest of two would be told by the total and the groups shown, so the smallest of those joins it.
    Fewer people than that in all are a rest that must not be told: who calls this looks first.
    """
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
    shown = [entry for entry in ranked if entry[1] >= fewest]
    rest = sum(counts.values()) - sum(people for _key, people in shown)
    while 0 < rest < fewest and shown:
        rest += shown.pop()[1]
    return SuppressedCounts(tuple(shown), rest)
