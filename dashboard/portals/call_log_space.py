"""Bound the bytes of a portal's call log: a leaky bucket that empties in the time calls are kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

RETENTION_SECONDS = 3 * 24 * 60 * 60
MAX_BYTES = 80 * 2**20  # at once, and as much again while calls are kept
MAX_DETAILED_BYTES = 64 * 2**20  # the rest is for calls without details


class LogDetail(Enum):
    """How much of a call is stored."""

    FULL = auto()
    SUMMARY = auto()  # without parameters and answer
    NONE = auto()  # it is only counted


@dataclass(frozen=True)
class LogSpace:
    """The space in use, as the moment (Unix seconds) when the bucket is empty again."""

    empty_at: float = 0.0

    def used(self, now: float) -> float:
        """Return the bytes in use; a moment farther away than a full bucket's comes from a wrong clock."""
        return min(max(0.0, self.empty_at - now) * MAX_BYTES / RETENTION_SECONDS, MAX_BYTES)

    def reserve(self, now: float, *, full: int, summary: int) -> tuple[LogSpace, LogDetail]:
        """Return the space after calls of these sizes in bytes, and how much of them has room."""
        used = self.used(now)
        if used + full <= MAX_DETAILED_BYTES:
            return _space(now, used + full), LogDetail.FULL
        if used + summary <= MAX_BYTES:
            return _space(now, used + summary), LogDetail.SUMMARY
        return _space(now, used), LogDetail.NONE


def _space(now: float, used: float) -> LogSpace:
    return LogSpace(now + used * RETENTION_SECONDS / MAX_BYTES)
