"""A small HTTP/1.1 server: keep-alive, quick, and able to misbehave on the socket."""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from io import BufferedReader
from urllib.parse import unquote

HANG_SECONDS = 120
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    """A request as it came, the body whole."""

    verb: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    client: str


@dataclass
class Answer:
    """An answer and the manner of its delivery."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    manner: str = "whole"
    pause: float = 0.0
    gate: threading.Event | None = None


Handle = Callable[[Request], Answer]


class Server:
    """Answers one port of the loopback, a thread a connection."""

    def __init__(self, handle: Handle, *, port: int = 0) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, name=f"accept:{self.port}", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True).start()

    def _serve(self, connection: socket.socket, client: str) -> None:
        # A client that goes away in the middle is its own affair.
        with suppress(OSError), connection, connection.makefile("rb") as reader:
            while (request := read_request(reader, client=client)) is not None:
                answer = self._handle(request)
                goes_on = self._deliver(connection, answer, head_only=request.verb == "HEAD")
                if not goes_on or request.headers.get("connection", "").lower() == "close":
                    break
        with self._lock:
            self._open.discard(connection)

    def _deliver(self, connection: socket.socket, answer: Answer, *, head_only: bool) -> bool:
        """Send an answer in its manner; return whether the connection goes on."""
        if answer.pause:
            self._stopping.wait(answer.pause)
        if answer.gate:
            answer.gate.wait(HANG_SECONDS)
        if answer.manner == "hang":
            self._wait_for_the_client_to_leave(connection)
            return False
        if answer.manner == "reset":
            # With no time to linger the kernel sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head, body = _head(answer), b"" if head_only else answer.body
        if answer.manner == "truncated":
            connection.sendall(head + body[: len(body) // 2])
            return False
        if answer.manner == "trickle":
            return self._trickle(connection, head, body, every=float(answer.headers["X-Trickle"]))
        connection.sendall(head + body)
        return True

    def _trickle(self, connection: socket.socket, head: bytes, body: bytes, *, every: float) -> bool:
        connection.sendall(head)
        for position in range(len(body)):
            if self._stopping.wait(every):
                return False
            connection.sendall(body[position : position + 1])
        return True

    def _wait_for_the_client_to_leave(self, connection: socket.socket) -> None:
        until = time.monotonic() + HANG_SECONDS
        while time.monotonic() < until and not self._stopping.is_set():
            readable, _, _ = select.select([connection], [], [], 0.05)
            if readable and not connection.recv(1, socket.MSG_PEEK):
                return


def read_request(reader: BufferedReader, *, client: str) -> Request | None:
    """Return the next request of a connection, None when there is none."""
    line = reader.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := reader.readline(65536).decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
    target, _, query = line[1].partition("?")
    return Request(
        verb=line[0],
        path=unquote(target),
        query=query,
        headers=headers,
        body=reader.read(int(headers.get("content-length", "0"))),
        client=client,
    )


def _head(answer: Answer) -> bytes:
    phrase = _PHRASES.get(answer.status, "Unknown")
    headers = {
        "Date": formatdate(usegmt=True),
        "Server": "nginx",
        "Content-Length": str(len(answer.body)),
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{key}: {headers[key]}" for key in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
