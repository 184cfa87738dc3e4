"""What a new connection costs, and how many are made: openings in portals met for the first time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

import certifi

from bench import people
from bench.addresses import HOSTS, host, token_of
from bench.bench import RUNS, Bench
from bench.results import Row
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.transport import Transport


def measure(bench: Bench) -> Iterator[Row]:
    """Count connections under load, and time a connection as the application makes one."""
    with bench.application() as application:
        people.open_as(application, bench.upstream, 0, 1)
        bench.load(application, clients=16, seconds=3.0)
        bench.upstream.set()
        answered = bench.load(application, clients=16, seconds=3.0)
        made = bench.upstream.set()["connections"]
    share = made / len(answered.milliseconds)
    yield Row("connections made for a request, warm", "connections", [share], goal=0.05, floor=0.0)
    yield Row("a new connection, processor time", "ms", [_connecting(bench) for _ in range(RUNS)])
    yield Row("reading the authorities anew, as the library would", "ms", [_reading() for _ in range(RUNS)])


def _connecting(bench: Bench) -> float:
    """Return what the first request to each of many hosts costs, less what the second does."""
    transport = Transport(AddressPolicy(loopback=True))
    first, second = (_asked(transport, bench) for _ in range(2))
    return (first - second) * 1000 / HOSTS


def _asked(transport: Transport, bench: Bench) -> float:
    began = time.process_time()
    for number in range(HOSTS):
        url = f"https://{host(number)}:{bench.upstream.port}/rest/profile"
        transport.post(url, json={"auth": token_of(number, 1)})
    return time.process_time() - began


def _reading() -> float:
    began = time.process_time()
    ssl.create_default_context(cafile=certifi.where())
    return (time.process_time() - began) * 1000
