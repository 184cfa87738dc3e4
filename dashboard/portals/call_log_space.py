"""Limit the size of a portal's call log: a leaky bucket of bytes that empties in the time calls are kept."""

from __future__ import annotations

from enum import Enum, auto

RETENTION_SECONDS = 3 * 24 * 60 * 60
MAX_BYTES = 80 * 2**20  # of the bucket; it drains completely in RETENTION_SECONDS
MAX_DETAILED_BYTES = 64 * 2**20  # above it, calls are stored without details


class LogDetail(Enum):
    """How much of a call is stored."""

    FULL = auto()
    SUMMARY = auto()  # without parameters and answer
    NONE = auto()


def used_bytes(empty_at: float, now: float) -> float:
    """Return the bytes in use. A wrong clock may have stored more than a full bucket."""
    return min(max(0.0, empty_at - now) * MAX_BYTES / RETENTION_SECONDS, MAX_BYTES)


def allocate_bytes(empty_at: float, now: float, *, full: int, summary: int) -> tuple[float, LogDetail]:
    """Take the bytes of some calls, with or without details, as far as there is room.

    :return: when the bucket is empty again (Unix seconds), and how much of the calls has room.
    """
    used, detail = used_bytes(empty_at, now), LogDetail.NONE
    if used + full <= MAX_DETAILED_BYTES:
        used, detail = used + full, LogDetail.FULL
    elif used + summary <= MAX_BYTES:
        used, detail = used + summary, LogDetail.SUMMARY
    return now + used * RETENTION_SECONDS / MAX_BYTES, detail
