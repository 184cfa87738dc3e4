"""The worker as a process: killed, doubled, stopped; on SQLite, on Postgres, with Redis as the queue."""

from __future__ import annotations

import hashlib
import json
import pickle
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
from huey.exceptions import HueyException
from itsdangerous import Signer
from pydantic import SecretStr

from dashboard.jobs import TICK_SECONDS, Jobs, _SignedJson
from tests.conftest import redis_at
from tests.emulator import Emulator
from tests.emulator.cast import crowd
from tests.processes import work
from tests.test_sync import SETTINGS, open_as_crowd
from tests.world import World

Start = Callable[..., Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a way to start workers; whoever is still running at the end is asked to stop, and does."""
    running: list[Popen[bytes]] = []

    def started(world: World, *, threads: int = 4, **environment: str) -> Popen[bytes]:
        running.append(work(world.environment | environment, threads=threads))
        return running[-1]

    yield started
    left = [process for process in running if process.poll() is None]
    for process in left:
        # One that is still loading when others have done all there was is not listening yet.
        wait_until(lambda pid=process.pid: listens_to_sigterm(pid))  # type: ignore[misc]
        process.terminate()
    assert [process.wait(timeout=60) for process in left] == [0] * len(left)


def listens_to_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def wait_until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)


def ended(world: World, *, runs: int = 1) -> bool:
    return bool(world.one("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") >= runs)


def reads(bitrix24: Emulator) -> Counter[tuple[str, str]]:
    """Return how often each person was read to the end, by portal and name."""
    return Counter(
        (record.portal, record.person)
        for record in bitrix24.requests
        if SETTINGS in record.inner and record.status == 200
    )


def empty_the_bucket(world: World) -> None:
    """Forget what the openings took, and that they read everybody: as if they had been yesterday."""
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM buckets")
        connection.exec_driver_sql("UPDATE people SET settings_at = NULL")
    for portal in world.bitrix24.portals.values():
        portal.bucket = type(portal.bucket)(depth=50, leak=2.0) if portal.bucket else None


def test_a_run_is_as_fast_as_the_bucket_and_never_faster(world: World, start: Start) -> None:
    open_as_crowd(world, 45, of=60)
    world.bitrix24.clock.advance(-22.5)
    empty_the_bucket(world)
    world.bitrix24.clear()
    start(world)

    wait_until(lambda: ended(world))

    sent = [record.at for record in world.bitrix24.requests if record.where == "portal"]
    # Thirty-five may go at once, fifteen are kept for people who click, two more each second.
    allowed = (len(sent) - 35) / 2
    assert sent[-1] - sent[0] < allowed * 1.05 + 0.5
    assert world.bitrix24.count(error="QUERY_LIMIT_EXCEEDED") == 0
    assert set(reads(world.bitrix24).values()) == {1}
    assert len(reads(world.bitrix24)) == 46


def test_a_killed_workers_run_is_brought_to_its_end(each_world: World, start: Start) -> None:
    open_as_crowd(each_world, 20)
    for number in range(20):
        each_world.portal().expire(f"person{number}")
    empty_the_bucket(each_world)
    each_world.bitrix24.clear()
    each_world.bitrix24.latency = 0.05
    killed = start(each_world)
    wait_until(lambda: sum(reads(each_world.bitrix24).values()) >= 5)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not ended(each_world)
    each_world.bitrix24.latency = 0
    # Its lease is not waited for here: it is over.
    with each_world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET lease_until = NULL, rung_until = NULL")
    start(each_world)

    wait_until(lambda: ended(each_world))

    assert each_world.rows("SELECT state, done, failed FROM runs") == [
        {"state": "done", "done": 21, "failed": 0}
    ]
    assert each_world.bitrix24.refreshes() == 20
    assert each_world.one("SELECT count(*) FROM chains WHERE state = 'live'") == 21
    # Whoever was being read when the worker died is read again, and nobody else.
    assert sum(reads(each_world.bitrix24).values()) <= 22
    assert len(reads(each_world.bitrix24)) == 21


@pytest.mark.parametrize(("queue", "portals"), [("migrated_postgres_url", 50), ("redis_url", 12)])
def test_three_workers_share_many_portals(
    bitrix24: Emulator,
    migrated_postgres_url: str,
    queue: str,
    portals: int,
    request: pytest.FixtureRequest,
    start: Start,
) -> None:
    queue_url = request.getfixturevalue(queue)
    with World(bitrix24, migrated_postgres_url) as world:
        names = [f"portal{number}" for number in range(portals)]
        for name in names:
            bitrix24.add_portal(name)
            world.install(name)
            world.open("dmitri", name)
        empty_the_bucket(world)
        bitrix24.clear()
        for _ in range(3):
            start(world, QUEUE_URL=queue_url)

        wait_until(lambda: ended(world, runs=portals))

        assert reads(bitrix24) == {(name, person): 1 for name in names for person in ("clara", "dmitri")}
        assert world.rows("SELECT DISTINCT state, done FROM runs") == [{"state": "done", "done": 2}]


def test_a_queue_that_is_away_is_waited_for(world: World, start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(60)
        port = door.getsockname()[1]
        worker = start(world, QUEUE_URL=f"redis://127.0.0.1:{port}/0")
        for _ in range(3):
            door.accept()[0].close()
    assert worker.poll() is None
    assert world.open("boris").status_code == 200

    with redis_at(port, tmp_path):
        wait_until(lambda: ended(world))

    assert world.one("SELECT done FROM runs") == 2


def test_a_queue_that_is_not_there_at_the_start_is_waited_for(
    world: World, start: Start, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    later.touch()  # where its folder has to be
    worker = start(world, QUEUE_URL=f"sqlite:///{later / 'queue.db'}")
    time.sleep(2)
    assert worker.poll() is None

    later.unlink()

    wait_until(lambda: ended(world))


def test_portals_take_turns(world: World) -> None:
    names = ["alpha", "beta", "gamma"]
    world.bitrix24.add_portal("gamma")
    for name in names:
        world.install(name)
        world.portal(name).add_people(*crowd(24))
        for number in range(24):
            world.open(f"person{number}", name)
    world.bitrix24.clock.advance(120)
    world.bitrix24.clear()
    for name in names:
        world.parts.runs.ask(world.known(name), by=None)

    for _ in range(6):
        (portal_id,) = world.parts.runs.due(limit=1)
        world.parts.sync.slice(portal_id)

    done = world.rows("SELECT done FROM runs WHERE finished_at IS NULL")
    assert [row["done"] for row in done] == [20, 20, 20]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_stop_hands_its_run_back(
    world: World, start: Start, number: signal.Signals
) -> None:
    open_as_crowd(world, 20)
    empty_the_bucket(world)
    world.bitrix24.clear()
    world.bitrix24.latency = 0.05
    stopping = start(world)
    wait_until(lambda: sum(reads(world.bitrix24).values()) >= 5)

    stopping.send_signal(number)

    assert stopping.wait(timeout=30) == 0
    (run,) = world.rows("SELECT state, lease_owner, done FROM runs WHERE finished_at IS NULL")
    assert run["lease_owner"] is None
    assert run["done"] == sum(reads(world.bitrix24).values())


class _Evil:
    """What a library that unpickles its messages would run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.proof,))


def test_a_forged_message_rings_no_bell(world: World, start: Start, tmp_path: Path) -> None:
    """Whoever can write to the queue's file, but has no SECRET_KEY, is not obeyed."""
    path = world.config.queue_url.get_secret_value().removeprefix("sqlite:///")
    start(world)
    wait_until(lambda: ended(world))
    world.bitrix24.clear()
    unsigned = json.dumps(["an-id", "chore", None, 0, 0, None, ["purge"], {}]).encode()
    with closing(sqlite3.connect(path)) as queue, queue:
        for message in (pickle.dumps(_Evil(tmp_path / "proof")), unsigned):
            queue.execute("INSERT INTO task (queue, data, priority) VALUES ('dashboard', ?, 0)", [message])

    with closing(sqlite3.connect(path)) as queue:
        wait_until(lambda: queue.execute("SELECT count(*) FROM task").fetchone() == (0,))

    assert not (tmp_path / "proof").exists()
    world.parts.runs.ask(world.known(), by=1)
    wait_until(lambda: ended(world, runs=2))


def test_the_clock_rests_while_more_waits_than_the_threads_can_take(world: World) -> None:
    world.synchronise()
    world.parts.runs.ask(world.known(), by=None)
    jobs = Jobs(
        world.config.queue_url.get_secret_value(),
        world.config.secret_key,
        sync=world.parts.sync,
        runs=world.parts.runs,
        chores=world.parts.chores,
    )

    busy, free = jobs.tick(threads=0), jobs.tick(threads=10)

    assert busy == TICK_SECONDS
    assert free <= TICK_SECONDS
    assert world.parts.runs.due(limit=1) == [], "the run was rung for once there was room"


@pytest.mark.parametrize("signed", ["nobody", "another key", "another purpose", "another digest"])
def test_a_message_is_ours_by_its_signature_alone(signed: str) -> None:
    key = "a signing key for tests alone"
    message = json.dumps(["an-id", "look", *[None] * 13])
    ours = Signer(key, salt="queue", digest_method=hashlib.sha256)
    forged = {
        "nobody": f"{message}.".encode(),
        "another key": Signer("another key", salt="queue", digest_method=hashlib.sha256).sign(message),
        "another purpose": Signer(key, salt="session", digest_method=hashlib.sha256).sign(message),
        "another digest": Signer(key, salt="queue").sign(message),
    }
    reader = _SignedJson([SecretStr(key)])

    assert reader._deserialize(ours.sign(message)).id == "an-id"
    with pytest.raises(HueyException):
        reader._deserialize(forged[signed])
