"""Limit the size of a portal's call log: a leaky bucket of bytes that empties in the time calls are kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

RETENTION_SECONDS = 3 * 24 * 60 * 60
MAX_BYTES = 80 * 2**20  # at once, and as much again within the retention period
MAX_DETAILED_BYTES = 64 * 2**20  # above it, calls are stored without details


class LogDetail(Enum):
    """How much of a call is stored."""

    FULL = auto()
    SUMMARY = auto()  # without parameters and answer
    NONE = auto()


@dataclass(frozen=True)
class LogSpace:
    """The space in use, as the time (Unix seconds) when the bucket is empty again."""

    empty_at: float = 0.0

    def used(self, now: float) -> float:
        """Return the bytes in use. A wrong clock may have stored more than a full bucket."""
        return min(max(0.0, self.empty_at - now) * MAX_BYTES / RETENTION_SECONDS, MAX_BYTES)

    def reserve(self, now: float, *, full: int, summary: int) -> tuple[LogSpace, LogDetail]:
        """Return the space after calls of these sizes in bytes, and how much of them has room."""
        used, detail = self.used(now), LogDetail.NONE
        if used + full <= MAX_DETAILED_BYTES:
            used, detail = used + full, LogDetail.FULL
        elif used + summary <= MAX_BYTES:
            used, detail = used + summary, LogDetail.SUMMARY
        return LogSpace(now + used * RETENTION_SECONDS / MAX_BYTES), detail
