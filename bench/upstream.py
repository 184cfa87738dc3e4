"""Emulate Bitrix24 over https with a chosen latency, in a process of its own with one event loop and no database.

    python -m bench.upstream PORT CERTIFICATE

``POST /bench`` with JSON changes the fields of ``Behavior`` and returns what was counted since the last time.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from bench import methods
from bench.portals import AUTHORIZATION, owner_of, renamed_host

DEPTH, RATE = 50.0, 2.0
HEAD_END = b"\r\n\r\n"
MAX_CACHED = 20_000
TIME = {"start": 1.0, "finish": 1.1, "duration": 0.1, "operating": 0.01}


@dataclass(frozen=True)
class Behavior:
    """How the upstream answers from now on."""

    latency: float = 0.0  # seconds
    people: int = 100  # employees of every portal
    limited: bool = False  # refuse what exceeds a portal's request limit
    renamed: bool = False  # every portal lives at its other address
    single_use_refresh_tokens: bool = False  # reject a refresh token that was used, as OAuth servers do


@dataclass
class EmulatedBitrix24:
    """All portals and the authorization server behind one port."""

    port: int
    behavior: Behavior = field(default_factory=Behavior)
    counts: Counter[str] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)
    buckets: dict[int, tuple[float, float]] = field(default_factory=dict)
    cache: dict[tuple[int, int, bytes, str], bytes] = field(default_factory=dict)

    def answer(self, host: str, path: str, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and Location."""
        if path == "/bench":
            return 200, self._change(json.loads(body)), ""
        fields: dict[str, Any] = json.loads(body) if body[:1] == b"{" else dict(parse_qsl(body.decode()))
        if host == AUTHORIZATION:
            self.counts["authorization"] += 1
            token = str(fields.get("refresh_token", ""))
            if self.behavior.single_use_refresh_tokens and token in self.used:
                self.counts["void"] += 1
                return 400, b'{"error":"invalid_grant"}', ""
            answer = methods.authorize(path, fields, port=self.port, renamed=self.behavior.renamed)
            if self.behavior.single_use_refresh_tokens and token:
                self.used.add(token)
                answer["refresh_token"] = f"{token[:16]}{len(self.used):053x}b"
            return 200, json.dumps(answer).encode(), ""
        self.counts["portal"] += 1
        access_token = str(fields.pop("auth"))
        portal, user = owner_of(access_token)
        if self.behavior.renamed and host != renamed_host(portal):
            return 302, b"", f"https://{renamed_host(portal)}:{self.port}{path}"
        if self.behavior.limited and not self._has_room(portal):
            self.counts["refused"] += 1
            return 503, b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}', ""
        if access_token.endswith("e"):
            self.counts["expired"] += 1
            return 401, b'{"error":"expired_token","error_description":"The access token has expired"}', ""
        return 200, self._call(path.removeprefix("/rest/").removesuffix(".json"), user, fields), ""

    def _call(self, method: str, user: int, fields: dict[str, Any]) -> bytes:
        people = self.behavior.people
        key = (user, people, json.dumps(fields).encode(), method)
        if key not in self.cache:
            if len(self.cache) > MAX_CACHED:
                self.cache.clear()
            envelope: dict[str, Any] = {}
            if method == "batch":
                result: Any = methods.batch(user, people, fields["cmd"])
            elif method == "user.get":
                result, envelope = methods.employees(people, {name: str(value) for name, value in fields.items()})
            else:
                result = methods.METHODS[method](user)
            answer = {"result": result, **envelope, "time": TIME}
            self.cache[key] = json.dumps(answer, separators=(",", ":")).encode()
        return self.cache[key]

    def _has_room(self, portal: int) -> bool:
        now = time.monotonic()
        level, at = self.buckets.get(portal, (0.0, now))
        level = max(0.0, level - RATE * (now - at))
        has_room = level + 1 <= DEPTH
        self.buckets[portal] = (level + has_room, now)
        return has_room

    def _change(self, changes: dict[str, Any]) -> bytes:
        self.behavior = replace(self.behavior, **changes)
        self.buckets.clear()
        self.used.clear()
        counts, self.counts = self.counts, Counter()
        return json.dumps(counts).encode()


class Connection(asyncio.Protocol):
    """One connection; requests are answered one after another, each after the latency."""

    def __init__(self, upstream: EmulatedBitrix24) -> None:
        self._upstream = upstream
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(HEAD_END)
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line[:15].lower() == "content-length:"), 0)
        if len(body) < length:
            return
        self._received = body[length:]
        path = lines[0].split()[1]
        answer = self._upstream.answer(self._host, path, body[:length])
        latency = 0.0 if path == "/bench" else self._upstream.behavior.latency
        asyncio.get_running_loop().call_later(latency, self._send, *answer)

    def _send(self, status: int, body: bytes, location: str) -> None:
        head = f"HTTP/1.1 {status} .\r\nContent-Type: application/json; charset=utf-8\r\n"
        head += f"Location: {location}\r\n" * bool(location) + f"Content-Length: {len(body)}\r\n\r\n"
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


async def _serve(port: int, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    upstream, loop = EmulatedBitrix24(port), asyncio.get_running_loop()
    # Every address of the loopback is a portal.
    server = await loop.create_server(lambda: Connection(upstream), "0.0.0.0", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
