"""The emulator as tests hold it: an authorization server, portals, a clock, faults, records."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, Self

from . import cast
from .clock import Clock
from .departments import company
from .faults import Faults
from .oauth import AuthorizationServer
from .people import People, Person
from .portal import Portal
from .records import RequestRecord
from .site import AuthorizationSite, PortalSite
from .wire import Server
from .world import Strictness, World

EVENT_DELAY = 0.3


class Emulator:
    """A pretend Bitrix24 with two portals; a context manager that serves while it is open."""

    def __init__(
        self,
        app_url: str = "http://127.0.0.1:8000",
        client_id: str = "app.demo.1",
        client_secret: str = "emulated",
        *,
        authorization_port: int = 0,
        portal_port: int = 0,
        events: Literal["manual", "auto"] = "manual",
        strictness: Strictness | None = None,
        everyone_speaks: str | None = None,
    ) -> None:
        self.world = World(
            client_id=client_id,
            client_secret=client_secret,
            app_url=app_url.rstrip("/"),
            strictness=strictness or Strictness(),
        )
        self.portals: dict[str, Portal] = {}
        self._ports = (authorization_port, portal_port)
        self._events = events
        # One language for the whole cast instead of each their own, for tests that read words.
        self._everyone_speaks = everyone_speaks
        self._server: Server | None = None
        self._stopping = threading.Event()

    # Life

    def start(self) -> Self:
        """Open the ports."""
        authorization_port, portal_port = self._ports
        site = AuthorizationSite(AuthorizationServer(self.world, self.portals))
        self._server = Server(site.handle, port=authorization_port)
        self.world.authorization_port = self._server.port
        self._server.start()
        self._open("alpha", cast.alpha(), port=portal_port).departments = company()
        self._open("beta", cast.beta()).lacks_placements = {"IM_SIDEBAR", "USER_PROFILE_TOOLBAR"}
        if self._events == "auto":
            threading.Thread(target=self._deliver_now_and_then, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the ports."""
        self._stopping.set()
        for portal in self.portals.values():
            portal.stop()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _deliver_now_and_then(self) -> None:
        while not self._stopping.wait(EVENT_DELAY):
            for portal in list(self.portals.values()):
                portal.deliver_events()

    # Where things are

    @property
    def app_url(self) -> str:
        """Return the address of the application under test."""
        return self.world.app_url

    @app_url.setter
    def app_url(self, url: str) -> None:
        self.world.app_url = url.rstrip("/")

    @property
    def client_id(self) -> str:
        """Return the application's public key."""
        return self.world.client_id

    @property
    def client_secret(self) -> str:
        """Return the application's secret key."""
        return self.world.client_secret

    @property
    def authorization_server(self) -> str:
        """Return the authorization server's origin."""
        return self.world.authorization_server

    @property
    def bx24_js_url(self) -> str:
        """Return the address of the frame library."""
        return f"{self.authorization_server}/api/v1/"

    # Portals

    def portal(self, name: str) -> Portal:
        """Return a portal by name."""
        return self.portals[name]

    def add_portal(self, name: str, people: Iterable[Person] = (), *, port: int = 0) -> Portal:
        """Open another portal; without people of its own it gets Beta's."""
        given = list(people)
        return self._open(name, People.of(given) if given else cast.beta(), port=port)

    def _open(self, name: str, people: People, *, port: int = 0) -> Portal:
        for person in people.by_key.values():
            person.lang = self._everyone_speaks or person.lang
        portal = Portal(self.world, name, people, number=len(self.portals) + 1)
        self.portals[name] = portal
        portal.serve(PortalSite(self.world, portal, self.portals).handle, port=port)
        return portal

    # What tests turn and read

    @property
    def clock(self) -> Clock:
        """Return the clock, to be advanced."""
        return self.world.clock

    @property
    def faults(self) -> Faults:
        """Return the faults on order."""
        return self.world.faults

    @property
    def latency(self) -> float:
        """Return how long every answer takes at least."""
        return self.world.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.world.latency = seconds

    @property
    def requests(self) -> list[RequestRecord]:
        """Return what the servers saw, oldest first."""
        return self.world.log.all()

    def count(
        self,
        *,
        where: str | None = None,
        method: str | None = None,
        portal: str | None = None,
        user: int | None = None,
        person: str | None = None,
        error: str | None = None,
        inner: str | None = None,
    ) -> int:
        """Return how many requests fit all that is given; `inner` is a command of a batch."""
        wanted = {
            "where": where,
            "method": method,
            "portal": portal,
            "user": user,
            "person": person,
            "error": error,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return self.world.log.count(
            lambda record: (
                all(getattr(record, name) == given[name] for name in given) and (inner is None or inner in record.inner)
            )
        )

    def refreshes(self, person: str | None = None) -> int:
        """Return how many refreshes were granted, to everybody or to one person."""
        return self.world.log.count(
            lambda record: record.granted and record.grant == "refresh_token" and person in {None, record.person}
        )

    @property
    def secrets_in_urls(self) -> int:
        """Return how often a client secret came in an address, where logs keep it."""
        return self.world.log.count(lambda record: record.secret_in_url)

    @property
    def connections(self) -> int:
        """Return how many TCP connections were accepted since `clear`."""
        return self._connections() - self._connections_before

    def _connections(self) -> int:
        servers = self._server.connections if self._server is not None else 0
        return servers + sum(portal.connections for portal in self.portals.values())

    _connections_before = 0

    def clear(self) -> None:
        """Forget the requests and the counts."""
        self.world.log.clear()
        self._connections_before = self._connections()
