"""Open the application on several machines, as people do through a proxy in front of them."""

from __future__ import annotations

import http.client
import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from bench.machines import WEB_PORT, Machine
from bench.portals import form, query

CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 30.0
AVOID_SECONDS = 5.0  # a machine that accepted no connection is asked last for so long
PAUSE_SECONDS = 0.1
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-Proto": "https"}


@dataclass(frozen=True)
class Visit:
    """One opening: when it began, how long it took, by which machine, and what was wrong."""

    began: float
    seconds: float
    machine: int
    problem: str


def reasons(problems: Iterable[Visit]) -> dict[str, int]:
    """Count openings that failed by what was wrong: the status and the page's error, or the connection's."""
    return dict(Counter(visit.problem for visit in problems))


@dataclass(eq=False)
class Visitors:
    """Clients that open the application one time after another, in turns on the machines that serve."""

    serving: Sequence[Machine]  # as the proxy knows it
    portals: int
    people: int
    upstream_port: int
    visits: list[Visit] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=count)
    _avoided: dict[int, float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def visiting(self, clients: int) -> Iterator[None]:
        """Have so many people open the application meanwhile."""
        threads = [threading.Thread(target=self._open_again, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def problems(self) -> list[Visit]:
        """Return the openings that failed."""
        return [visit for visit in self.visits if visit.problem]

    def figures(self) -> str:
        """Return numbers for people."""
        milliseconds = [1000 * visit.seconds for visit in self.visits]
        shares = {
            machine.number: sum(visit.machine == machine.number for visit in self.visits) for machine in self.serving
        }
        longest, median = max(milliseconds), statistics.median(milliseconds)
        return (
            f"{len(self.visits)} openings ({shares}), {len(self.problems())} failed {reasons(self.problems())},"
            f" median {median:.0f} ms, 99 of 100 within {statistics.quantiles(milliseconds, n=100)[98]:.0f} ms,"
            f" longest {longest / 1000:.1f} s"
        )

    def _open_again(self, number: int) -> None:
        choice = random.Random(number)
        while not self._ended.is_set():
            began = time.monotonic()
            machine, problem = self._open(choice.randrange(self.portals), choice.randint(2, self.people))
            self.visits.append(Visit(began, time.monotonic() - began, machine, problem))
            self._ended.wait(PAUSE_SECONDS)

    def _open(self, portal: int, user: int) -> tuple[int, str]:
        """Open on the first machine that accepts a connection; nothing was sent to those before it."""
        for machine in self._in_turn():
            connection = http.client.HTTPConnection(machine.address, WEB_PORT, timeout=CONNECT_SECONDS)
            try:
                connection.connect()
            except OSError:
                self._avoided[machine.number] = time.monotonic() + AVOID_SECONDS
                continue
            try:
                connection.sock.settimeout(ANSWER_SECONDS)
                address, body = (
                    f"/?{query(portal, port=self.upstream_port)}",
                    form(portal, user, port=self.upstream_port),
                )
                connection.request("POST", address, body, HEADERS)
                response = connection.getresponse()
                page = response.read()
                is_open = response.status == 200 and b'name="session-token"' in page
                reason = "".join(re.findall(r'data-error="([^"]+)"', page.decode())[:1])
                return machine.number, "" if is_open else f"{response.status} {reason}"
            except (OSError, http.client.HTTPException) as error:
                return machine.number, type(error).__name__
            finally:
                connection.close()
        return 0, "no machine"

    def _in_turn(self) -> list[Machine]:
        serving, turn, now = list(self.serving), next(self._turns), time.monotonic()
        turned = [serving[(turn + place) % len(serving)] for place in range(len(serving))]
        return sorted(turned, key=lambda machine: self._avoided.get(machine.number, 0.0) > now)
