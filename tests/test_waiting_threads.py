"""Threads that wait, for whatever, leave a quarter of all threads together."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dashboard.core.waiting_threads import WaitingThreads, WaitQuota


def take(quota: WaitQuota, stack: ExitStack) -> int:
    """Let as many threads of one kind wait as may, and return their number."""
    return sum(stack.enter_context(quota.try_acquire()) for _ in range(40))


@pytest.mark.parametrize(("threads", "together"), [(1, 1), (2, 1), (4, 2), (8, 5), (24, 17)])
def test_all_kinds_together_leave_a_quarter_of_the_threads(threads: int, together: int) -> None:
    waiting = WaitingThreads(threads)
    clients, results = waiting.quota(max(1, threads // 2)), waiting.quota(threads)
    for _ in range(2):  # what was held is given back
        with ExitStack() as stack:
            assert take(clients, stack) == clients.limit
            # One more than a quarter is left: for a request to a host.
            assert take(results, stack) == together - clients.limit
    assert waiting.count == 0
