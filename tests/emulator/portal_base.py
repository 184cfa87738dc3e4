"""Where a portal lives and who is in it."""

import hashlib
import secrets
from typing import Any

import requests

from .application import DEFAULT_SCOPES, Application
from .calendar_tab import CalendarTab
from .departments import Department
from .events import EventQueue
from .limiter import Bucket
from .people import People, Person
from .tokens import Owner, Pair
from .webhooks import Webhooks
from .wire import Handle, Server
from .world import World


class PortalBase:
    """A Bitrix24 account: an address that may change, a directory, a copy of the application."""

    def __init__(self, world: World, name: str, people: People, *, number: int) -> None:
        self.world = world
        self.name = name
        self.number = number
        # For ever the same, so that an application with a lasting store knows the portal again.
        self.member_id = hashlib.md5(f"{world.client_id}/{name}".encode()).hexdigest()
        self.directory = people
        self.departments: list[Department] = []
        self.application = Application(token=secrets.token_hex(16), scopes=list(DEFAULT_SCOPES))
        self.queue = EventQueue()
        self.webhooks = Webhooks()
        self.closed = False
        # The calendars that the controls of the portal's page have opened, by the key of the person.
        self.tabs: dict[str, CalendarTab] = {}
        # Placements that this portal's version does not have yet.
        self.lacks_placements: set[str] = set()
        strictness = world.strictness
        self.bucket = (
            Bucket(depth=strictness.bucket_depth, leak=strictness.bucket_leak)
            if strictness.bucket_depth is not None
            else None
        )
        # Tokens answered with a 302 and not taken to the authorization server since.
        self.unproven: set[str] = set()
        self._handle: Handle | None = None
        self._servers: list[Server] = []

    def serve(self, handle: Handle, *, port: int = 0) -> None:
        """Begin to answer on a port of its own."""
        self._handle = handle
        server = Server(handle, port=port)
        self._servers.append(server)
        server.start()

    def stop(self) -> None:
        """Stop answering, on the former addresses too."""
        for server in self._servers:
            server.stop()

    @property
    def port(self) -> int:
        """Return the present port."""
        return self._servers[-1].port

    @property
    def connections(self) -> int:
        """Return how many TCP connections were accepted."""
        return sum(server.connections for server in self._servers)

    @property
    def domain(self) -> str:
        """Return the host with its port, as DOMAIN says it."""
        return f"localhost:{self.port}"

    @property
    def origin(self) -> str:
        """Return the portal's origin."""
        return f"http://{self.domain}"

    @property
    def client_endpoint(self) -> str:
        """Return the root of the portal's REST."""
        return f"{self.origin}/rest/"

    def rename(self, *, gone: bool = False) -> str:
        """Move to a new address and return its origin; the old one answers 302 from now on, or not at all."""
        if self._handle is None:
            raise RuntimeError("The emulator has not been started.")
        former = list(self._servers)
        self.serve(self._handle)
        for server in former if gone else ():
            server.stop()
        return self.origin

    @property
    def people(self) -> dict[str, Person]:
        """Return the cast, by key."""
        return self.directory.by_key

    def add_people(self, *people: Person) -> None:
        """Hire somebody."""
        self.directory = People.of([*self.people.values(), *people])

    @property
    def application_token(self) -> str:
        """Return the token that proves events of the present installation."""
        return self.application.token

    @property
    def installed(self) -> bool:
        """Return whether installFinish has been reached."""
        return self.application.installed

    def mint(self, person: Person, *, client_id: str | None = None) -> Pair:
        """Return a new pair of tokens for a person."""
        owner = self._owner(person, client_id=client_id or self.world.client_id)
        with self.world.lock:
            return self.world.tokens.mint(owner, now=self.world.clock.now())

    def ask(self, method: str, token: str, **params: Any) -> dict[str, Any]:
        """Call a method over the wire, as a bare client would, and return the answer's JSON."""
        with requests.Session() as session:
            session.trust_env = False
            url, body = f"{self.client_endpoint}{method}", {"auth": token, **params}
            answer = session.post(url, json=body, allow_redirects=False, timeout=10)
        message: dict[str, Any] = answer.json()
        return message

    def webhook_of(self, key: str, *scopes: str) -> str:
        """Return the address of a new incoming webhook of a person."""
        return f"{self.origin}{self.webhooks.make(self.people[key].user_id, *scopes)}"

    def code_for(self, key: str) -> str:
        """Return an authorization code, as the redirect of /oauth/authorize/ carries it."""
        owner = self._owner(self.people[key], client_id=self.world.client_id)
        return self.world.tokens.issue_code(owner, now=self.world.clock.now())

    def _owner(self, person: Person, *, client_id: str) -> Owner:
        return Owner(
            client_id=client_id,
            member_id=self.member_id,
            portal_number=self.number,
            installation=self.application.installation,
            user_id=person.user_id,
        )
