"""Keep hosts that are slow to answer from holding all threads of the process.

Each call takes a slot. How many slots a host gets depends on how it has answered lately, and on how many
threads wait for other slow hosts: whatever they do, some threads remain for hosts that answer.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MAX_WAIT = 2.0  # seconds for a slot; hosts that answer free one many times a second
SLOW_AFTER = 0.5  # seconds without an answer, after which a host counts as slow
SILENT_AFTER = 1.5  # seconds without any answer, after which nobody waits for a slot of a slow host
LOOK_AGAIN = 0.1  # seconds between two looks of somebody who waits for a slot
# Seconds of each reserved thread that may go by at once in waits for slots, and what part of them is free
# for more a second later: a host that answers slowly and is asked without end leaves the rest to others.
MAX_WAITED = 5.0
WAITED_SHARE = 0.5
GIVE_UP_AFTER = 4.0  # seconds without an answer, after which a call ends when no thread is left for others
SUSPECTED_FOR = 60.0  # seconds after a time-out, unless the host answers before
TRUSTED_FOR = 600.0  # seconds after an answer
MAX_HOSTS = 1024


@dataclass(eq=False)
class _Host:
    """What is known of one origin: when its calls under way began, how many threads wait, how it answered."""

    began: list[float] = field(default_factory=list)
    waiting: int = 0
    answered_at: float = -math.inf
    timed_out_at: float = -math.inf

    def is_suspected(self, now: float) -> bool:
        """Tell whether it timed out lately and has not answered since."""
        return self.timed_out_at > max(self.answered_at, now - SUSPECTED_FOR)

    def is_slow(self, now: float) -> bool:
        return self.is_suspected(now) or any(now - began >= SLOW_AFTER for began in self.began)

    def is_silent(self, now: float, *, after: float = SILENT_AFTER) -> bool:
        """Tell whether it answers nobody: one that takes a second for each answer still does."""
        began = min(self.began, default=now)
        return self.is_suspected(now) or now - max(began, self.answered_at) >= after

    def is_trusted(self, now: float) -> bool:
        return now - self.answered_at < TRUSTED_FOR and not self.is_slow(now)


class Slot:
    """The right to wait for one answer. ``suspected``: the host timed out lately, so do not wait for long."""

    def __init__(self, limit: HostLimit, origin: str, began: float, *, suspected: bool) -> None:
        self._limit = limit
        self.origin = origin
        self.began = began
        self.suspected = suspected
        self.given_up = False

    def answered(self) -> None:
        """Note that the host has answered, whatever it said."""
        self._limit.note(self.origin, answered=True)

    def timed_out(self) -> None:
        """Note that the host did not answer in time."""
        self._limit.note(self.origin, answered=False)

    def should_yield(self) -> bool:
        """Tell whether to give up now, because this thread is needed for hosts that answer."""
        return self._limit.should_yield(self)


class HostLimit:
    """Shares the threads of this process between hosts. Safe to share between threads."""

    def __init__(self, threads: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._reserve = max(1, threads // 4)
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._active: set[_Host] = set()  # those somebody calls or waits for
        self._changed = threading.Condition()
        self._waited = 0.0  # seconds that went by in waits for slots, less what has been allowed again
        self._waited_at = clock()

    @contextmanager
    def slot(self, origin: str) -> Iterator[Slot]:
        """Let an origin be called inside.

        :raise TimeoutError: too many threads wait for its answers already, or for other hosts'.
        """
        with self._changed:
            host = self._host(origin)
            self._wait(host)
            now = self._clock()
            slot = Slot(self, origin, now, suspected=host.is_suspected(now))
            host.began.append(now)
            self._active.add(host)
        try:
            yield slot
        finally:
            with self._changed:
                if not slot.given_up:
                    host.began.remove(slot.began)
                self._leave(host)

    def note(self, origin: str, *, answered: bool) -> None:
        """Note how a call to the origin has ended."""
        with self._changed:
            host, now = self._host(origin), self._clock()
            if answered:
                host.answered_at = now
            else:
                host.timed_out_at = now

    def should_yield(self, slot: Slot) -> bool:
        """Tell whether a call that waits for its answer is to be given up in favor of another host.

        That is so for a silent host, while one that is not slow waits for a slot and slow ones hold more than
        half of the threads; the host that holds the most gives up first. Where they hold nearly all, nobody
        else has a thread to wait in: then a call gives up without being asked, after a longer time.
        """
        with self._changed:
            if not slot.given_up and self._must_yield(slot):
                slot.given_up = True
                # At once, so that no more calls give up than have to.
                self._hosts[slot.origin].began.remove(slot.began)
            return slot.given_up

    def _must_yield(self, slot: Slot) -> bool:
        now = self._clock()
        slow = [one for one in self._active if one.is_slow(now)]
        host = self._hosts[slot.origin]
        if host not in slow or now - slot.began < SLOW_AFTER:
            return False
        held = sum(len(one.began) for one in slow)
        if len(host.began) < max(len(one.began) for one in slow):
            return False
        if held > max(1, self._threads - self._reserve) and now - slot.began >= GIVE_UP_AFTER:
            return True
        wanted = any(one.waiting and not one.is_slow(now) for one in self._active)
        return wanted and held > self._threads // 2 and host.is_silent(now)

    def _wait(self, host: _Host) -> None:
        came = self._clock()
        host.waiting += 1
        self._active.add(host)
        # Those who wait for a slow host look again whether their threads are needed.
        self._changed.notify_all()
        try:
            while len(host.began) >= self._limit_of(host):
                left = came + MAX_WAIT - self._clock()
                if left <= 0 or self._is_in_vain(host):
                    raise TimeoutError("too many threads wait for this host")
                self._changed.wait(min(left, LOOK_AGAIN))
        finally:
            host.waiting -= 1
            now = self._clock()
            self._waited = self._waited_lately(now) + now - came
            self._waited_at = now
            self._leave(host)

    def _is_in_vain(self, host: _Host) -> bool:
        """Tell whether a wait for a slot of this host takes a thread that others need.

        A host that answers slowly frees slots, so its people wait for each other, also in threads kept for
        others. They do not where it is silent, nor, from half a second on, where silent hosts hold threads
        already: each would hold up everybody once more. Nor where waits have taken too much time lately.
        """
        now = self._clock()
        if not host.is_slow(now) or not self._is_crowded():
            return False
        silent = [one for one in self._active if one is not host and one.is_silent(now)]
        are_several = sum(len(one.began) + one.waiting for one in silent) > self._reserve
        if host.is_silent(now, after=SLOW_AFTER if are_several else SILENT_AFTER):
            return True
        return self._waited_lately(now) > MAX_WAITED * self._reserve

    def _waited_lately(self, now: float) -> float:
        return max(0.0, self._waited - (now - self._waited_at) * self._reserve * WAITED_SHARE)

    def _leave(self, host: _Host) -> None:
        if not host.began and not host.waiting:
            self._active.discard(host)
        self._changed.notify_all()

    def _limit_of(self, host: _Host) -> int:
        """Return how many threads may wait for the host's answers at once."""
        now = self._clock()
        held = sum(len(one.began) for one in self._active if one is not host and one.is_slow(now))
        free = self._threads - held
        if host.is_trusted(now):
            return max(1, free * 3 // 4)
        # Nobody knows whether it answers: it never gets the threads kept for those that do.
        if held and free <= self._reserve:
            return 0
        return 1 if host.is_suspected(now) else max(1, free // 2)

    def _is_crowded(self) -> bool:
        """Tell whether so many threads call or wait that others may have none left."""
        busy = sum(len(host.began) + host.waiting for host in self._active)
        return busy > self._threads - self._reserve

    def _host(self, origin: str) -> _Host:
        if origin not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            self._forget()
        return self._hosts.setdefault(origin, _Host())

    def _forget(self) -> None:
        """Drop the idle host that was heard of least recently."""
        idle = {name: host for name, host in self._hosts.items() if host not in self._active}
        if idle:
            del self._hosts[min(idle, key=lambda name: max(idle[name].answered_at, idle[name].timed_out_at))]
