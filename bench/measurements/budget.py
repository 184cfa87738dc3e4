"""Where an opening's own time goes: processor time of each step, in one process, upstream at 0 ms."""

from __future__ import annotations

import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask

from bench import forms, processes
from bench.bench import PEOPLE, PORTALS, RUNS, Bench
from bench.production import create_app
from bench.results import Row
from dashboard.bitrix24 import envelope, http, inbound
from dashboard.bitrix24.transport import Transport
from dashboard.core import config
from dashboard.launch import openings
from dashboard.people import snapshots
from dashboard.portals.installations import Installations
from dashboard.web.auth.sessions import Sessions
from dashboard.web.views import hooks

OPENS = 100
# What is timed, and what it is called. A step's figure holds what it calls, less the steps named here too.
STEPS: tuple[tuple[Any, str, str], ...] = (
    (inbound, "read_opening", "read the form"),
    (Installations, "known", "look the portal up"),
    (Transport, "post", "ask Bitrix24, processor time alone"),
    (envelope, "read", "read the answer"),
    (http, "masked", "mask it for the log of calls"),
    (openings.OpeningService, "_store", "store: one transaction"),
    (snapshots, "keep", "store: the snapshot and its facts"),
    (hooks, "me_page", "render the page"),
    (Sessions, "issue", "sign the session"),
)


def measure(bench: Bench) -> Iterator[Row]:
    """Open in this process with a clock around each step."""
    with bench.store(portals=PORTALS, people=PEOPLE) as url:
        environment = processes.environment(bench.upstream, url, port=8000, LOG_LEVEL="error")
        application = create_app(config.load(environment))
        with _clocks() as spent:
            runs = [_opened(application, bench, spent) for _ in range(RUNS)]
    for name in runs[0]:
        yield Row(f"budget: {name}", "ms", [run[name] for run in runs])


def _opened(application: Flask, bench: Bench, spent: dict[str, float]) -> dict[str, float]:
    """Return the milliseconds an opening takes, whole and by its steps."""
    client = application.test_client()

    def open_as(user: int) -> None:
        answer = client.post(
            f"/?{forms.query(0, port=bench.upstream.port)}",
            data=forms.form(0, user, port=bench.upstream.port),
            content_type="application/x-www-form-urlencoded",
        )
        assert answer.status_code == 200, answer.status

    for user in range(1, 31):
        open_as(user)
    spent.clear()
    wholes = []
    for number in range(OPENS):
        began = time.process_time()
        open_as(1 + number % 30)
        wholes.append((time.process_time() - began) * 1000)
    steps = {name: spent[name] * 1000 / OPENS for _, _, name in STEPS}
    whole = statistics.mean(wholes)
    return {"an open, processor time": whole, **steps, "everything else": whole - sum(steps.values())}


class _clocks:
    """Puts a clock around each step for as long as it is entered."""

    def __enter__(self) -> dict[str, float]:
        self._before = [(owner, name, getattr(owner, name)) for owner, name, _ in STEPS]
        self._spent: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []
        for (owner, name, step), (_, _, called) in zip(self._before, STEPS, strict=True):
            setattr(owner, name, self._timed(step, called))
        return self._spent

    def __exit__(self, *error: object) -> None:
        for owner, name, step in self._before:
            setattr(owner, name, step)

    def _timed(self, step: Callable[..., Any], called: str) -> Callable[..., Any]:
        @functools.wraps(step)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            self._inside.append(0.0)
            try:
                return step(*args, **kwargs)
            finally:
                lasted = time.process_time() - began
                self._spent[called] += lasted - self._inside.pop()
                if self._inside:
                    self._inside[-1] += lasted

        return timed
