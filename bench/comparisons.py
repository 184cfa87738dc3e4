"""Compare within one run: the two databases, this application with the SDK's sample, a first page with an empty one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack

from playwright.sync_api import BrowserContext, sync_playwright

from bench import portals, processes, stores
from bench.measurements import PEOPLE, PORTALS, SAMPLES, Bench
from bench.processes import Application, RunningUpstream
from bench.results import Row
from tests.programs import program

CPU_SLOWDOWN = 4  # for Chromium, as on a phone
READY = """() => {
  const { responseStart, domContentLoadedEventEnd } = performance.getEntriesByType("navigation")[0]
  return domContentLoadedEventEnd - responseStart
}"""


def measure_databases(bench: Bench) -> Iterator[Row]:
    """Open in one portal on SQLite and on Postgres in turns, where nothing but the processor limits the openings.

    The floor is an application on SQLite with the same libraries that only asks and stores.
    """
    with ExitStack() as stack:

        def start(
            store: AbstractContextManager[str],
            run: Callable[[RunningUpstream, str], AbstractContextManager[Application]],
        ) -> Application:
            url = stack.enter_context(store)
            stores.fill(url, portals=1, people=PEOPLE, upstream_port=bench.upstream.port)
            return stack.enter_context(run(bench.upstream, url))

        applications = (
            start(stores.sqlite(bench.folder), processes.run_application),
            start(stores.postgres(), processes.run_application),
            start(stores.sqlite(bench.folder), processes.run_bare_opening),
        )
        rates, costs = _load_in_turns(applications, portals=1)
    floor, floor_cost = statistics.median(rates[2]), statistics.median(costs[2])
    name = "openings in one portal, 32 clients"
    yield Row(f"{name}, SQLite", "per second", rates[0], floor=floor, higher_is_better=True)
    yield Row(f"{name}, Postgres", "per second", rates[1], floor=floor, higher_is_better=True)
    ratios = [postgres / sqlite for sqlite, postgres, _ in zip(*rates, strict=True)]
    yield Row("openings in one portal, Postgres against SQLite", "×", ratios, goal=0.8, higher_is_better=True)
    yield Row("processor time of an opening, SQLite", "ms", costs[0], goal=4.0, floor=floor_cost)
    yield Row("processor time of an opening, Postgres", "ms", costs[1], floor=floor_cost)


def measure_sdk(bench: Bench) -> Iterator[Row]:
    """Open this application and the SDK's sample in turns, on the same upstream."""
    with (
        bench.behavior(latency=0.1),
        bench.run_application() as ours,
        processes.run_sdk_sample(bench.upstream) as sample,
    ):
        rates, costs = _load_in_turns((ours, sample), portals=PORTALS)
    name = "openings, 32 clients, beside the SDK's sample"
    yield Row(name, "per second", rates[0], floor=statistics.median(rates[1]), higher_is_better=True)
    ratios = [mine / theirs for mine, theirs in zip(*rates, strict=True)]
    yield Row("openings against the SDK's sample", "×", ratios, goal=6.0, higher_is_better=True)
    yield Row("processor time, beside the SDK's sample", "ms", costs[0], floor=statistics.median(costs[1]))


def _load_in_turns(applications: Sequence[Application], *, portals: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return openings per second, zero if one failed, and milliseconds of the processor: the samples of each."""
    rates: list[list[float]] = [[] for _ in applications]
    costs: list[list[float]] = [[] for _ in applications]
    for number in range(SAMPLES + 1):
        for application, of_rate, of_cost in zip(applications, rates, costs, strict=True):
            before = application.processor_seconds()
            result = application.load(clients=32, seconds=4.0, portals=portals, keep_alive=False)
            if number:  # the first warms up
                of_rate.append(0.0 if result.failures else result.per_second)
                of_cost.append(1000 * (application.processor_seconds() - before) / len(result.milliseconds))
    return rates, costs


def measure_browser(bench: Bench) -> Iterator[Row]:
    """Time the first page in Chromium on a slow processor, from its first byte until its script handles clicks.

    The floor is a page of a few bytes, without files.
    """
    # Bitrix24's library is not ours. To intercept its request would switch the cache off, and delay the others.
    ours_only = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    rounds: list[list[float]] = []
    with bench.run_application() as application, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox", ours_only])
        for number in range(1 + SAMPLES):
            # Each context has an empty cache, as the browser of somebody who opens the application for the first time.
            with browser.new_context(viewport={"width": 360, "height": 740}) as context:
                forms = [_form(user, application.url, port=bench.upstream.port) for user in (2 + number, 12 + number)]
                forms.append(f'<form action="{application.url}/healthz"></form>')
                rounds.append([_milliseconds_until_ready(context, form) for form in forms])
        browser.close()
    first, again, tiny = zip(*rounds[1:], strict=True)  # in the first round the browser itself warms up
    floor, name = statistics.median(tiny), f"first page, {CPU_SLOWDOWN}× slower"
    yield Row(f"{name}: interactive", "ms", first, goal=200.0, floor=floor)
    yield Row(f"{name}, files cached: interactive", "ms", again, goal=200.0, floor=floor)


def _milliseconds_until_ready(context: BrowserContext, form: str) -> float:
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
    page.set_content(form)
    with page.expect_navigation(wait_until="load"):
        page.evaluate("document.forms[0].submit()")
    milliseconds = float(page.evaluate(READY))
    page.close()
    return milliseconds


def _form(user: int, url: str, *, port: int) -> str:
    fields = portals.form_fields(0, user, port=port).items()
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields)
    query = portals.query(0, port=port).replace("&", "&amp;")
    return f'<form method="post" action="{url}/?{query}">{inputs}</form>'


MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "databases": measure_databases,
    "sdk": measure_sdk,
    "browser": measure_browser,
}
