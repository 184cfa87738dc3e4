"""Generate load, in a process of its own: each client sends its next request once the last is answered.

    python -m bench.load '{"port": …, "clients": …, …}'      see Load for the fields

Prints JSON: requests per second, milliseconds of each request, and how many were not answered with 200.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import time
from dataclasses import dataclass, field

from bench.portals import form, host, query, token_of

COMMANDS = {
    "app": "app.info",
    "profile": "profile",
    "settings": "calendar.user.settings.get",
    "account": "calendar.settings.get",
    "sections": "calendar.section.get?type=user",
}


@dataclass
class Load:
    """What to send. ``bare`` sends the upstream itself what an opening sends it."""

    port: int
    upstream_port: int
    clients: int
    seconds: float
    portals: int = 1
    people: int = 100
    bare: bool = False
    authority: str = ""
    keep_alive: bool = True
    path: str = ""  # of a page to read instead of opening
    token: str = ""  # the session token to read it with
    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0

    async def run(self) -> None:
        """Send for the given time."""
        until = time.perf_counter() + self.seconds
        users = random.Random(7)  # the same users in every run
        await asyncio.gather(*(self._client(number, users, until) for number in range(self.clients)))

    def _request(self, number: int, users: random.Random) -> bytes:
        if self.path:
            return f"GET {self.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        portal, user = users.randrange(self.portals), 1 + users.randrange(self.people)
        if self.bare:
            content = {"halt": 0, "cmd": COMMANDS, "auth": token_of(number % self.portals, user)}
            return _post("/rest/batch", "application/json", json.dumps(content).encode())
        body = form(portal, user, port=self.upstream_port)
        return _post(f"/?{query(portal, port=self.upstream_port)}", "application/x-www-form-urlencoded", body)

    async def _client(self, number: int, users: random.Random, until: float) -> None:
        context, address = None, "127.0.0.1"
        if self.bare:
            context, address = ssl.create_default_context(cafile=self.authority), host(number % self.portals)
        reader, writer = await asyncio.open_connection(address, self.port, ssl=context, limit=2**20)
        while (began := time.perf_counter()) < until:
            writer.write(self._request(number, users))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.milliseconds.append((time.perf_counter() - began) * 1000)
            self.failures += head[9:12] != b"200"
            if not self.keep_alive or b"connection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection(address, self.port, ssl=context, limit=2**20)
        writer.close()


def _post(path: str, content_type: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main(arguments: str) -> None:
    """Run the load and print its result."""
    load = Load(**json.loads(arguments))
    began = time.perf_counter()
    asyncio.run(load.run())
    per_second = len(load.milliseconds) / (time.perf_counter() - began)
    print(json.dumps({"per_second": per_second, "milliseconds": load.milliseconds, "failures": load.failures}))


if __name__ == "__main__":
    main(sys.argv[1])
