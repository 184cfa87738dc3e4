"""A pretend Bitrix24 with a chosen latency, in a process of its own: one loop, no store, https.

    python -m bench.upstream PORT CERTIFICATE

``POST /bench`` with JSON sets what is in Conduct; every answer to it tells what was counted since the last.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qsl

from bench import methods
from bench.addresses import AUTHORIZATION, moved_host, owner_of

DEPTH, RATE = 50.0, 2.0
END = b"\r\n\r\n"


@dataclass
class Conduct:
    """How it behaves from now on."""

    latency: float = 0.0
    people: int = 100  # employees of every portal
    limited: bool = False  # refuse what overflows a portal's bucket
    moved: bool = False  # every portal was renamed


@dataclass
class Upstream:
    """All portals and the authorization server behind one port."""

    port: int
    conduct: Conduct = field(default_factory=Conduct)
    counted: Counter[str] = field(default_factory=Counter)
    buckets: dict[int, tuple[float, float]] = field(default_factory=dict)
    kept: dict[tuple[int, int, str], bytes] = field(default_factory=dict)

    def answer(self, host: str, path: str, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and address to go to instead."""
        if path == "/bench":
            return 200, self._changed(body), ""
        given = _read(body)
        if host == AUTHORIZATION:
            self.counted["authorization"] += 1
            return 200, json.dumps(self._authorize(path, given)).encode(), ""
        self.counted["portal"] += 1
        token = given["auth"]
        portal, user = owner_of(token)
        if self.conduct.moved and host != moved_host(portal):
            return 302, b"", f"https://{moved_host(portal)}:{self.port}{path}"
        if self.conduct.limited and not self._fits(portal):
            self.counted["refused"] += 1
            return 503, b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}', ""
        return 200, self._called(path.removeprefix("/rest/"), user, given), ""

    def _authorize(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        if path == "/rest/app.info":
            return {"result": methods.proof(given["auth"], port=self.port, moved=self.conduct.moved)}
        return methods.token_answer(given["refresh_token"], port=self.port)

    def _called(self, method: str, user: int, given: dict[str, Any]) -> bytes:
        question = json.dumps(given.get("cmd") or {k: v for k, v in given.items() if k != "auth"})
        key = (user, self.conduct.people, f"{method} {question}")
        if key not in self.kept:
            if len(self.kept) > 20_000:
                self.kept.clear()
            self.kept[key] = json.dumps(self._worked_out(method, user, given), separators=(",", ":")).encode()
        return self.kept[key]

    def _worked_out(self, method: str, user: int, given: dict[str, Any]) -> dict[str, Any]:
        moment = {"start": 1.0, "finish": 1.1, "duration": 0.1, "operating": 0.01}
        if method == "batch":
            return {"result": methods.batch(user, self.conduct.people, given["cmd"]), "time": moment}
        if method == "user.get":
            rows, beside = methods.listing(self.conduct.people, {k: str(v) for k, v in given.items()})
            return {"result": rows, **beside, "time": moment}
        return {"result": methods.METHODS[method](user), "time": moment}

    def _fits(self, portal: int) -> bool:
        now = time.monotonic()
        level, at = self.buckets.get(portal, (0.0, now))
        level = max(0.0, level - RATE * (now - at)) + 1
        if level > DEPTH:
            self.buckets[portal] = (level - 1, now)
            return False
        self.buckets[portal] = (level, now)
        return True

    def _changed(self, body: bytes) -> bytes:
        for name, value in json.loads(body or b"{}").items():
            setattr(self.conduct, name, value)
        self.buckets.clear()
        counted, self.counted = self.counted, Counter()
        now = {one.name: getattr(self.conduct, one.name) for one in fields(Conduct)}
        return json.dumps({**now, **counted}).encode()


def _read(body: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(body) if body[:1] == b"{" else dict(parse_qsl(body.decode()))
    return read


class Connection(asyncio.Protocol):
    """One connection: requests one after another, each answered after the latency."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.counted["connections"] += 1
        self._host = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, separator, rest = self._read.partition(END)
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line[:15].lower() == "content-length:"), 0)
        if len(rest) < length:
            return
        self._read = rest[length:]
        status, body, elsewhere = self._upstream.answer(self._host, lines[0].split()[1], rest[:length])
        latency = 0.0 if b"/bench" in head[:16] else self._upstream.conduct.latency
        asyncio.get_running_loop().call_later(latency, self._send, status, body, elsewhere)

    def _send(self, status: int, body: bytes, elsewhere: str) -> None:
        location = f"Location: {elsewhere}\r\n" if elsewhere else ""
        head = (
            f"HTTP/1.1 {status} .\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"{location}Content-Length: {len(body)}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


async def _serve(port: int, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    upstream, loop = Upstream(port), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(upstream),
        "0.0.0.0",
        port,
        ssl=context,
        backlog=1024,  # all of the loopback
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
