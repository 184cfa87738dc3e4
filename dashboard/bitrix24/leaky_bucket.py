"""Compute the leaky bucket of a portal's request limit. The functions are pure; the caller passes the time.

A request adds one to the bucket, time drains it, and a full bucket answers `QUERY_LIMIT_EXCEEDED`. It holds 50
requests and drains 2 a second; on Enterprise 250 and 5 (Bitrix24 REST docs,
settings/performance/limits.md). Nothing detects a portal's plan, so the limits of the other plans are assumed for
Enterprise too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

DEPTH = 50.0
RATE = 2.0
INTERACTIVE_HEADROOM = 15.0
MIN_RATE = 0.25
RECOVERY_SECONDS = 60.0
# Rounding error of floats of Unix seconds, in requests; without this, a computed wait could be too short.
ROUNDING = 1e-5


@dataclass(frozen=True)
class LeakyBucket:
    """The level at ``updated_at`` (Unix seconds), and the assumed drain rate (requests per second)."""

    level: float = 0.0
    updated_at: float = 0.0
    rate: float = RATE
    depth: float = DEPTH
    full_rate: float = RATE

    def at(self, now: float) -> LeakyBucket:
        """Return the bucket at a later time; at an earlier time nothing drains.

        Requests above the depth do not count, because the server has refused them.
        """
        elapsed = max(0.0, now - self.updated_at)
        return replace(
            self,
            level=max(0.0, min(self.depth, self.level) - self._drained_after(elapsed)),
            updated_at=max(now, self.updated_at),
            rate=min(self.full_rate, self.rate + self._rate_growth * elapsed),
        )

    def available(self, now: float, *, headroom: float = 0.0) -> int:
        """Return how many requests may be sent now if ``headroom`` more must still fit."""
        return max(0, int(self.depth - headroom - self.at(now).level + ROUNDING))

    def take(self, now: float, *, requests: int = 1) -> LeakyBucket:
        """Return the bucket after that many requests."""
        current = self.at(now)
        return replace(current, level=current.level + requests)

    def seconds_until(self, now: float, *, requests: int = 1, headroom: float = 0.0) -> float:
        """Return the seconds until this many requests can have been sent, each as soon as possible."""
        current = self.at(now)
        excess = current.level + requests - (current.depth - headroom)
        if excess <= ROUNDING:
            return 0.0
        return (current.updated_at - now) + current._seconds_to_drain(excess)

    def slow_down(self, now: float) -> LeakyBucket:
        """Return the bucket after the server refused a request: full, and draining at half the rate.

        Another application with our IP address shares the bucket, or the plan's rate is lower than we assumed. The
        rate recovers within RECOVERY_SECONDS.
        """
        current = self.at(now)
        return replace(current, level=self.depth, rate=max(MIN_RATE, current.rate / 2))

    # The rate grows linearly, so the drained amount is the area below a straight line.

    @property
    def _rate_growth(self) -> float:
        return self.full_rate / RECOVERY_SECONDS

    @property
    def _seconds_to_recover(self) -> float:
        return max(0.0, (self.full_rate - self.rate) / self._rate_growth)

    def _drained_after(self, seconds: float) -> float:
        slow = min(seconds, self._seconds_to_recover)
        return self.rate * slow + self._rate_growth * slow**2 / 2 + self.full_rate * (seconds - slow)

    def _seconds_to_drain(self, requests: float) -> float:
        while_slow = self._drained_after(self._seconds_to_recover)
        if requests >= while_slow:
            return self._seconds_to_recover + (requests - while_slow) / self.full_rate
        return (math.sqrt(self.rate**2 + 2 * self._rate_growth * requests) - self.rate) / self._rate_growth
