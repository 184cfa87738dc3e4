"""The portal's leaky bucket as arithmetic over a clock that is passed in.

A request adds one to the bucket, time drains it, and a request above the brim is refused with
`QUERY_LIMIT_EXCEEDED`: 50 deep and 2 a second, 250 and 5 on Enterprise (settings/performance/limits.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

DEPTH = 50.0
RATE = 2.0
INTERACTIVE_RESERVE = 15.0
MIN_RATE = 0.25
RECOVERY_SECONDS = 60.0
# Of a request: what floats of Unix seconds may lose, so that a wait is enough to the last digit.
ROUNDING = 1e-5


@dataclass(frozen=True)
class LeakyBucket:
    """How full the bucket was at a moment (Unix seconds), and how fast we believe it drains (a second)."""

    level: float = 0.0
    at: float = 0.0
    rate: float = RATE
    depth: float = DEPTH
    full_rate: float = RATE

    def drained(self, now: float) -> LeakyBucket:
        """Return the bucket as it stands now; a clock that went back drains nothing.

        What was taken above the brim has been refused by the server, and nobody waits for it.
        """
        elapsed = max(0.0, now - self.at)
        return replace(
            self,
            level=max(0.0, min(self.depth, self.level) - self._drains_in(elapsed)),
            at=max(now, self.at),
            rate=min(self.full_rate, self.rate + self._climb * elapsed),
        )

    def room(self, now: float, *, keep: float = 0.0) -> int:
        """Return how many requests may go now so that ``keep`` more would still fit after them."""
        return max(0, int(self.depth - keep - self.drained(now).level + ROUNDING))

    def taken(self, now: float, *, requests: int = 1) -> LeakyBucket:
        """Return the bucket after that many requests."""
        present = self.drained(now)
        return replace(present, level=present.level + requests)

    def wait(self, now: float, *, requests: int = 1, keep: float = 0.0) -> float:
        """Return the seconds until that many requests fit; 0.0 when they do already.

        :raise ValueError: they never will, being more than the bucket holds.
        """
        if requests > self.depth - keep:
            raise ValueError(f"{requests} requests never fit a bucket of {self.depth - keep:g}")
        return self.time_for(now, requests=requests, keep=keep)

    def time_for(self, now: float, *, requests: int, keep: float = 0.0) -> float:
        """Return the seconds until the last of so many requests may go, each as early as it fits."""
        present = self.drained(now)
        missing = present.level + requests - (present.depth - keep)
        if missing <= ROUNDING:
            return 0.0
        return (present.at - now) + present._seconds_to_drain(missing)

    def overflowed(self, now: float) -> LeakyBucket:
        """Return the bucket after the server refused a request: full, and draining at half the speed.

        Somebody else shares it (another application behind our address) or its plan is slower than we
        thought; the rate climbs back within a minute.
        """
        present = self.drained(now)
        return replace(present, level=self.depth, rate=max(MIN_RATE, present.rate / 2))

    # The rate climbs in a straight line. What drains is the area below it: the same in one look as in many.

    @property
    def _climb(self) -> float:
        return self.full_rate / RECOVERY_SECONDS

    @property
    def _slow_seconds(self) -> float:
        return max(0.0, (self.full_rate - self.rate) / self._climb)

    def _drains_in(self, seconds: float) -> float:
        slow = min(seconds, self._slow_seconds)
        return self.rate * slow + self._climb * slow**2 / 2 + self.full_rate * (seconds - slow)

    def _seconds_to_drain(self, requests: float) -> float:
        while_slow = self._drains_in(self._slow_seconds)
        if requests >= while_slow:
            return self._slow_seconds + (requests - while_slow) / self.full_rate
        return (math.sqrt(self.rate**2 + 2 * self._climb * requests) - self.rate) / self._climb
