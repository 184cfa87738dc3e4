"""Limit how many threads wait for each host, so that slow hosts leave threads to the others (a bulkhead).

Each request takes a slot. The number of slots of a host depends on how it responded recently, and on how many
threads wait for other slow hosts, and for slow clients.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dashboard.core.waiting_threads import WaitingThreads

MAX_WAIT = 2.0  # seconds for a slot
SLOW_AFTER = 0.5  # seconds of a request without a response, after which its host is slow
SILENT_AFTER = 1.5  # seconds without any response, after which nobody waits for a slot of a slow host
POLL_SECONDS = 0.1  # between two checks while waiting for a slot
# Waiting for slots, for each reserved thread: seconds at once, and the share of time in the long run.
MAX_WAITED = 5.0
WAITED_SHARE = 0.5
GIVE_UP_AFTER = 4.0  # seconds of a request, after which it is given up if no thread is left for others
SUSPECTED_FOR = 60.0  # seconds after a timeout, unless the host responds earlier
TRUSTED_FOR = 600.0  # seconds after a response
MAX_HOSTS = 1024


@dataclass(eq=False)
class _Host:
    """The requests to one origin and its last responses."""

    started: list[float] = field(default_factory=list)  # when each request under way began
    waiting: int = 0  # threads that wait for a slot
    answered_at: float = -math.inf
    timed_out_at: float = -math.inf

    @property
    def threads(self) -> int:
        return len(self.started) + self.waiting

    def is_suspected(self, now: float) -> bool:
        """Tell whether it timed out recently and has not responded since."""
        return self.timed_out_at > max(self.answered_at, now - SUSPECTED_FOR)

    def is_slow(self, now: float) -> bool:
        return self.is_suspected(now) or any(now - started >= SLOW_AFTER for started in self.started)

    def is_silent(self, now: float, *, after: float = SILENT_AFTER) -> bool:
        """Tell whether no request gets a response; a host with slow responses is not silent."""
        started = min(self.started, default=now)
        return self.is_suspected(now) or now - max(started, self.answered_at) >= after

    def is_trusted(self, now: float) -> bool:
        return now - self.answered_at < TRUSTED_FOR and not self.is_slow(now)


@dataclass(eq=False)
class Slot:
    """The right to wait for one response; only briefly if the host is ``suspected`` to time out again."""

    host: _Host
    started: float
    suspected: bool
    given_up: bool = False


class PerHostLimit:
    """Shares between hosts the threads of this process that do not wait for others; safe to share between threads."""

    def __init__(self, waiting: WaitingThreads, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting = waiting
        waiting.count_slow_requests = self._count_slow_requests
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._active: set[_Host] = set()  # with requests or waiting threads
        self._changed = threading.Condition()
        self._waited = 0.0  # seconds spent waiting for slots, as a leaky bucket
        self._waited_at = clock()

    @property
    def _threads(self) -> int:
        return self._waiting.threads - self._waiting.count

    @property
    def _reserve(self) -> int:
        return self._waiting.reserve

    @contextmanager
    def slot(self, origin: str) -> Iterator[Slot]:
        """Allow one request to an origin.

        :raise TimeoutError: too many threads wait for this host or for others.
        """
        with self._changed:
            host = self._find(origin)
            self._wait(host)
            now = self._clock()
            slot = Slot(host, now, suspected=host.is_suspected(now))
            host.started.append(now)
            self._active.add(host)
        try:
            yield slot
        finally:
            with self._changed:
                if not slot.given_up:
                    host.started.remove(slot.started)
                self._leave(host)

    def record_answer(self, slot: Slot) -> None:
        """Record that the host responded, whatever the response was."""
        slot.host.answered_at = self._clock()

    def record_timeout(self, slot: Slot) -> None:
        """Record that the host did not respond in time."""
        slot.host.timed_out_at = self._clock()

    def should_give_up(self, slot: Slot) -> bool:
        """Tell whether to give up a request now, because another host needs its thread.

        A request is given up if its host is silent, another host that is not slow waits for a slot, and slow hosts
        use more than half of the threads or leave only the reserve; first those of the silent host with the most
        requests. If slow hosts use nearly all threads, no other host can even wait, so requests are given up after
        a longer time, first those of the slow host with the most.
        """
        with self._changed:
            if not slot.given_up and self._must_give_up(slot):
                slot.given_up = True
                # Freed at once, so that no more requests give up than necessary.
                slot.host.started.remove(slot.started)
            return slot.given_up

    def _must_give_up(self, slot: Slot) -> bool:
        now, host = self._clock(), slot.host
        age = now - slot.started
        slow = [other for other in self._active if other.is_slow(now)]
        if host not in slow or age < SLOW_AFTER:
            return False
        used = _requests(slow)
        is_scarce = used > self._threads // 2 or self._threads - used <= self._reserve
        is_needed = is_scarce and any(other.waiting and other not in slow for other in self._active)
        if is_needed and host.is_silent(now):
            candidates = [other for other in slow if other.is_silent(now)]
        elif used > max(1, self._threads - self._reserve) and age >= GIVE_UP_AFTER:
            candidates = slow
        else:
            return False
        return len(host.started) == max(len(other.started) for other in candidates)

    def _wait(self, host: _Host) -> None:
        started = self._clock()
        host.waiting += 1
        self._active.add(host)
        # Threads that wait for a slow host check whether they are needed.
        self._changed.notify_all()
        try:
            while len(host.started) >= self._max_requests(host):
                left = started + MAX_WAIT - self._clock()
                if left <= 0 or self._blocks_others(host):
                    raise TimeoutError("too many threads wait for this host")
                self._changed.wait(min(left, POLL_SECONDS))
        finally:
            host.waiting -= 1
            now = self._clock()
            self._waited, self._waited_at = self._waited_recently(now) + now - started, now
            self._leave(host)

    def _blocks_others(self, host: _Host) -> bool:
        """Tell whether waiting for a slot of this host takes a thread that other hosts need.

        Slow responses free slots, so waiting for them is fine, even in reserved threads, as long as not too
        much time was spent so recently. Waiting for a silent host is not; if other silent hosts use threads
        already, a host counts as silent sooner, because each one would delay everybody once more.
        """
        now = self._clock()
        busy = sum(other.threads for other in self._active)
        if not host.is_slow(now) or busy <= self._threads - self._reserve:
            return False
        silent = [other for other in self._active if other is not host and other.is_silent(now)]
        has_silent_hosts = sum(other.threads for other in silent) > self._reserve
        if host.is_silent(now, after=SLOW_AFTER if has_silent_hosts else SILENT_AFTER):
            return True
        return self._waited_recently(now) > MAX_WAITED * self._reserve

    def _waited_recently(self, now: float) -> float:
        return max(0.0, self._waited - (now - self._waited_at) * self._reserve * WAITED_SHARE)

    def _max_requests(self, host: _Host) -> int:
        now = self._clock()
        used = _requests(other for other in self._active if other is not host and other.is_slow(now))
        free = self._threads - used
        if host.is_trusted(now):
            return max(1, free * 3 // 4)
        # A slow host gets no new slot while a host that is not slow waits for its first one: threads freed by giving
        # up slow requests go there.
        if host.is_slow(now) and any(
            other.waiting and not other.started and not other.is_slow(now) for other in self._active
        ):
            return 0
        # This host is not trusted, so keep the reserved threads for hosts that respond. Exception: no other slow host
        # holds a thread that could be freed.
        if used and free <= self._reserve:
            return 0
        return 1 if host.is_suspected(now) else max(1, min(free // 2, free - self._reserve))

    def _count_slow_requests(self) -> int:
        with self._changed:
            now = self._clock()
            return _requests(host for host in self._active if host.is_slow(now))

    def _leave(self, host: _Host) -> None:
        if not host.threads:
            self._active.discard(host)
        self._changed.notify_all()

    def _find(self, origin: str) -> _Host:
        if origin not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            idle = {name: host for name, host in self._hosts.items() if host not in self._active}
            if idle:
                del self._hosts[min(idle, key=lambda name: max(idle[name].answered_at, idle[name].timed_out_at))]
        return self._hosts.setdefault(origin, _Host())


def _requests(hosts: Iterable[_Host]) -> int:
    return sum(len(host.started) for host in hosts)
