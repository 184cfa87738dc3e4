"""The load maker, in a process of its own: a number of clients, each asking again as soon as it is answered.

    python -m bench.load '{"port": …, "clients": …, …}'      see Load for the fields

Prints JSON: requests a second, milliseconds of each request, how many were not answered with 200.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench import forms
from bench.addresses import host, token_of

COMMANDS = {
    "app": "app.info",
    "profile": "profile",
    "settings": "calendar.user.settings.get",
    "account": "calendar.settings.get",
    "sections": "calendar.section.get?type=user",
}


@dataclass
class Load:
    """What to do. ``bare`` asks the upstream itself for what an opening asks it for."""

    port: int
    upstream_port: int
    clients: int
    seconds: float
    portals: int = 1
    people: int = 100
    bare: bool = False
    authority: str = ""
    keeps: bool = True  # its connections, from one request to the next; a proxy in front may or may not
    get: str = ""  # a path to read instead of opening
    tokens: list[str] = field(default_factory=list)  # the session tokens to read it with
    milliseconds: list[float] = field(default_factory=list)
    wrong: int = 0

    async def run(self) -> None:
        asked = self._asked()
        until = time.perf_counter() + self.seconds
        await asyncio.gather(*(self._client(number, asked, until) for number in range(self.clients)))

    def _asked(self) -> Callable[[int], bytes]:
        """Return what makes the n-th client's next request."""
        chance = random.Random(7)  # the same people in every run
        if self.get:
            return lambda number: _get(self.get, chance.choice(self.tokens))
        whom = self._whom(chance)
        if self.bare:
            return lambda number: _batch(number % self.portals, next(whom)[1])
        return lambda number: _opening(*next(whom), port=self.upstream_port)

    def _whom(self, chance: random.Random) -> Iterator[tuple[int, int]]:
        for _ in itertools.count():
            yield chance.randrange(self.portals), 1 + chance.randrange(self.people)

    async def _client(self, number: int, asked: Callable[[int], bytes], until: float) -> None:
        context, address = None, "127.0.0.1"
        if self.bare:
            context, address = ssl.create_default_context(cafile=self.authority), host(number % self.portals)
        reader, writer = await asyncio.open_connection(address, self.port, ssl=context, limit=2**20)
        while (began := time.perf_counter()) < until:
            writer.write(asked(number))
            status, closing = await _answer(reader)
            self.milliseconds.append((time.perf_counter() - began) * 1000)
            self.wrong += status != 200
            if closing or not self.keeps:
                writer.close()
                reader, writer = await asyncio.open_connection(address, self.port, ssl=context, limit=2**20)
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read an answer to its end; return its status and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return int(head[9:12]), b"connection: close" in head


def _opening(portal: int, user: int, *, port: int) -> bytes:
    body = forms.form(portal, user, port=port).encode()
    return _head(f"POST /?{forms.query(portal, port=port)}", "application/x-www-form-urlencoded", body)


def _batch(portal: int, user: int) -> bytes:
    body = json.dumps({"halt": 0, "cmd": COMMANDS, "auth": token_of(portal, user)}).encode()
    return _head("POST /rest/batch", "application/json", body)


def _get(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def _head(first: str, kind: str, body: bytes) -> bytes:
    lines = f"{first} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lines.encode() + body


def main(given: str) -> None:
    load = Load(**json.loads(given))
    began = time.perf_counter()
    asyncio.run(load.run())
    seconds = time.perf_counter() - began
    answered = {
        "a_second": len(load.milliseconds) / seconds,
        "milliseconds": load.milliseconds,
        "wrong": load.wrong,
    }
    print(json.dumps(answered))


if __name__ == "__main__":
    main(sys.argv[1])
