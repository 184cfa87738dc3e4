"""Run `make scale`: two machines, one of which is killed and both of which get a new version, with figures.

It asserts what must hold. It takes root, because it adds namespaces, and removes them at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine, text

from bench import portals, processes, stores
from bench.machines import WORKER_THREADS, Machine, machines, network, previous_version, run_pooler
from bench.methods import LIST_REQUESTS
from bench.processes import ROOT, RunningUpstream
from bench.visitors import Visitors, reasons
from dashboard.bitrix24.leaky_bucket import DEPTH, INTERACTIVE_HEADROOM, RATE
from dashboard.core import migrations
from dashboard.core.database import Database
from dashboard.core.postgres import IDLE_SECONDS

CLIENTS = 8
LATENCY = 0.1
OPEN_SECONDS = 20.0
RUN_SECONDS = 900.0  # the longest a phase waits for its runs
INDEX = "ix_people_team"  # the widest


@dataclass(frozen=True)
class Scale:
    """What every phase needs."""

    upstream: RunningUpstream
    url: str  # of Postgres itself, where the phases look
    machines: list[Machine]
    portals: int
    people: int
    updated: int  # so many portals are updated
    previous: Path  # a folder with the previous version

    def visitors(self) -> Visitors:
        """Return people who open on both machines."""
        return Visitors(list(self.machines), self.portals, self.people, self.upstream.port)

    def ask(self, statement: str, **values: object) -> list[object]:
        """Return the first column of a query."""
        engine = create_engine(self.url)
        with engine.connect() as connection:
            result = list(connection.scalars(text(statement), values))
        engine.dispose()
        return result

    def wait(self, statement: str, **values: object) -> float:
        """Wait until a count is zero; return the seconds."""
        began = time.monotonic()
        while self.ask(statement, **values)[0]:
            assert time.monotonic() - began < RUN_SECONDS, statement
            time.sleep(0.25)
        return time.monotonic() - began

    def request_runs(self, *, expired: bool = False) -> None:
        """Give everyone in the portals to be updated a token pair, and request a run in each."""
        stores.store_tokens(self.url, portals=self.updated, expired=expired)
        stores.request_runs(self.url, portals=self.updated)

    def check_runs(self, since: str) -> str:
        """Check that everyone was read and nobody failed; return figures."""
        people = self.updated * self.people
        runs = "FROM runs WHERE created_at >= :since"
        everything = f"SELECT concat_ws(' ', state, done, failed) {runs}"
        done = f"SELECT sum(done) {runs} AND state = 'done' AND failed = 0"
        assert self.ask(done, since=since) == [people], self.ask(everything, since=since)
        read = "SELECT count(*) FROM snapshots JOIN people ON people.id = person_id WHERE portal_id <= :last"
        assert self.ask(f"{read} AND taken_at >= :since", last=self.updated, since=since) == [people]
        return f"{people} people in {self.updated} portals"


UNFINISHED = "SELECT count(*) FROM runs WHERE finished_at IS NULL"


def open_on_both(scale: Scale) -> Iterator[str]:
    """Open the application on both machines: no error, and one request to Bitrix24 each."""
    warm = scale.visitors()
    with warm.visiting(CLIENTS):
        time.sleep(5.0)
    assert not warm.problems(), warm.problems()[:3]
    scale.upstream.set(latency=LATENCY)
    visitors = scale.visitors()
    with visitors.visiting(CLIENTS):
        time.sleep(OPEN_SECONDS)
    counts = scale.upstream.set()
    yield visitors.figures()
    yield f"requests to Bitrix24: {counts}"
    assert not visitors.problems(), visitors.problems()[:3]
    assert counts["portal"] == len(visitors.visits), counts
    assert counts["authorization"] == 0, counts


def update_with_both(scale: Scale) -> Iterator[str]:
    """Update people with both workers at the request limits: each is read once."""
    scale.upstream.set(limited=True)
    since = _now(scale)
    scale.request_runs()
    seconds = scale.wait(UNFINISHED)
    counts = scale.upstream.set(limited=False)
    min_seconds = (scale.people + LIST_REQUESTS - (DEPTH - INTERACTIVE_HEADROOM)) / RATE
    yield f"{scale.check_runs(since)} in {seconds:.0f} s; the limit of each portal allows {min_seconds:.0f} s"
    yield f"requests to Bitrix24: {counts}"
    assert counts["portal"] == scale.updated * (scale.people + LIST_REQUESTS), counts
    assert counts["refused"] == 0, counts


def kill_one(scale: Scale) -> Iterator[str]:
    """Kill a machine amid openings and runs whose every person needs a new pair of tokens."""
    _, victim = scale.machines
    scale.upstream.set(limited=True, single_use_refresh_tokens=True)
    since, visitors = _now(scale), scale.visitors()
    scale.request_runs(expired=True)
    with visitors.visiting(CLIENTS):
        time.sleep(8.0)
        victim.kill()
        killed = time.monotonic()
        owners = scale.ask("SELECT lease_owner FROM runs WHERE finished_at IS NULL AND lease_owner IS NOT NULL")
        held = "SELECT count(*) FROM runs WHERE finished_at IS NULL AND lease_owner = ANY(:owners)"
        taken_over = scale.wait(held, owners=owners)
        finished = taken_over + scale.wait(UNFINISHED)
    counts = scale.upstream.set(limited=False, single_use_refresh_tokens=False)
    late = [visit for visit in visitors.problems() if visit.began > killed]
    after = [visit for visit in visitors.visits if visit.began > killed]
    yield f"{visitors.figures()}"
    seconds = [round(visit.began - killed, 1) for visit in late]
    yield f"of {len(after)} openings begun after the kill, {len(late)} failed, so many seconds after it: {seconds}"
    yield f"{len(owners)} leases were held; the last was free or taken over after {taken_over:.1f} s"
    yield f"all runs were done after {finished:.0f} s"
    lost = scale.ask(
        "SELECT count(*) FROM chains JOIN people ON people.id = person_id"
        " WHERE portal_id <= :last AND chains.state <> 'live'",
        last=scale.updated,
    )
    runs = scale.ask("SELECT state || ' ' || count(*) FROM runs WHERE created_at >= :since GROUP BY state", since=since)
    sums = scale.ask(
        "SELECT sum(done) || ' updated, ' || sum(failed) || ' failed' FROM runs WHERE created_at >= :since", since=since
    )
    yield f"runs: {runs}, {sums[0]}; token pairs lost: {lost[0]}; requests to Bitrix24: {counts}"
    victim.start(ROOT)
    # What the dead machine had locked is free once Postgres ends its transactions.
    assert all(visit.began < killed + IDLE_SECONDS for visit in late), late[:3]
    assert all(visit.machine == victim.number for visit in visitors.problems() if visit not in late)
    # A pair is lost only if Bitrix24 has replaced it and the machine died before it heard of that.
    assert int(str(lost[0])) <= WORKER_THREADS, lost


def release(scale: Scale) -> Iterator[str]:
    """Migrate from the previous version's schema under load, then replace the version machine by machine."""
    for machine in scale.machines:
        machine.stop()
    since = _now(scale)
    scale.upstream.set(limited=True, single_use_refresh_tokens=True)
    scale.request_runs(expired=True)
    began = time.monotonic()
    migrations.downgrade(Database(scale.url), stores.PREVIOUS_REVISION)
    yield f"back to {stores.PREVIOUS_REVISION} in {time.monotonic() - began:.0f} s"
    for machine in scale.machines:
        machine.start(scale.previous)
    visitors = scale.visitors()
    with visitors.visiting(CLIENTS):
        time.sleep(5.0)
        began = time.monotonic()
        migrations.upgrade(Database(scale.machines[0].database_url))
        migrated = time.monotonic()
        time.sleep(3.0)
        for machine in scale.machines:
            visitors.serving = [other for other in scale.machines if other is not machine]
            machine.stop()
            machine.start(ROOT)
            visitors.serving = list(scale.machines)
        time.sleep(5.0)
        ended = time.monotonic()
    scale.wait(UNFINISHED)
    scale.upstream.set(limited=False, single_use_refresh_tokens=False)
    refused = [visit for visit in visitors.problems() if visit.began < migrated]
    others = [visit for visit in visitors.problems() if visit.began >= migrated]
    waits = max((visit.seconds for visit in visitors.visits if visit.began < migrated), default=0.0)
    yield f"migrated in {migrated - began:.1f} s: openings that failed {reasons(refused)}, longest {waits:.1f} s"
    yield f"both machines replaced in {ended - migrated - 8.0:.0f} s: openings that failed {reasons(others)}"
    yield visitors.figures()
    yield f"a run across the release: {scale.check_runs(since)}"
    assert not others, others[:3]


def build_index(scale: Scale) -> Iterator[str]:
    """Build the largest index of a million people as a new version would: no opening fails."""
    with Database(scale.url).write_session() as session:
        session.execute(text(f"DROP INDEX {INDEX}"))
    visitors = scale.visitors()
    with visitors.visiting(CLIENTS):
        time.sleep(2.0)
        began = time.monotonic()
        migrations.upgrade(Database(scale.machines[0].database_url))
        seconds = time.monotonic() - began
    yield f"{INDEX} was built in {seconds:.1f} s"
    yield visitors.figures()
    assert not visitors.problems(), visitors.problems()[:3]


PHASES: dict[str, Callable[[Scale], Iterator[str]]] = {
    "openings": open_on_both,
    "runs": update_with_both,
    "kill": kill_one,
    "release": release,
    "index": build_index,
}


def _now(scale: Scale) -> str:
    return str(scale.ask("SELECT now()")[0])


def main() -> int:
    """Run the phases that are named, by default all, and print figures with the machine's load."""
    parser = argparse.ArgumentParser(prog="make scale")
    parser.add_argument("phases", nargs="*", help=", ".join(PHASES))
    parser.add_argument("--portals", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=100, help="in each portal")
    parser.add_argument("--updated", type=int, default=20, help="portals that are updated in a run")
    options = parser.parse_args()
    assert portals.NETWORK != "127.0", "BENCH_NETWORK must be routed: make scale sets it"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="scale-")))
        previous = stack.enter_context(previous_version(folder))
        stack.enter_context(network())
        upstream = stack.enter_context(processes.run_upstream(folder))
        upstream.set(people=options.people)
        url = stack.enter_context(stores.postgres())
        began = time.monotonic()
        stores.fill(url, portals=options.portals, people=options.people, upstream_port=upstream.port)
        print(f"{options.portals * options.people} people stored in {time.monotonic() - began:.0f} s", flush=True)
        database_url = stack.enter_context(run_pooler(url, folder))
        both = stack.enter_context(machines(upstream, database_url, folder))
        for machine in both:
            machine.start(ROOT)
        failed: list[str] = []
        scale = Scale(upstream, url, both, options.portals, options.people, options.updated, previous)
        for name in options.phases or PHASES:
            began = time.monotonic()
            print(f"{name} …", flush=True)
            try:
                for line in PHASES[name](scale):
                    print(f"  {line}", flush=True)
            except AssertionError as error:
                failed.append(name)
                print(f"  FAILED: {error}", flush=True)
            print(f"  ({time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.0f})", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
