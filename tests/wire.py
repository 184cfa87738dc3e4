"""A TCP proxy in front of Postgres that can go silent, on all connections or on those there are."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url


class Wire:
    """Forwards connections to a server's Unix socket.

    ``silent``: nothing is forwarded any more, and nothing is closed, as behind a firewall that drops packets.
    """

    def __init__(self, database_url: str) -> None:
        self._url = make_url(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._forgotten = set[socket.socket]()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self.silent = False
        self.accepted = 0

    @property
    def url(self) -> str:
        """Return the database's address by way of this proxy."""
        port = self._listener.getsockname()[1]
        there = self._url.set(host="127.0.0.1", port=port, query={}, drivername="postgresql")
        return there.render_as_string(hide_password=False)

    def forget(self) -> None:
        """Go silent on the connections there are; new ones work, as after a firewall forgot the idle ones."""
        self._forgotten = set(self._pairs)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._thread.join()
        for one in (self._listener, *self._pairs):
            one.close()

    def _forward(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.02):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self._listener:
                    self._accept()
                elif one in self._pairs:
                    self._pass_on(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._url.query['host']}/.s.PGSQL.5432")
        self._pairs |= {client: server, server: client}
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        data = one.recv(65536)
        if data and not self.silent and one not in self._forgotten:
            self._pairs[one].sendall(data)
        elif not data:
            for end in (one, self._pairs[one]):
                self._selector.unregister(end)
                del self._pairs[end]
                end.close()
