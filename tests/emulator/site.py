"""Which part of a host answers which path."""

from .controls import control
from .door import HTML
from .oauth import AuthorizationServer
from .page import asset, page, photo
from .panel import people, seen
from .portal import Portal
from .rest import PortalRest
from .wire import Answer, Request
from .world import World

CONTROLS = "/_emulator/"


class PortalSite:
    """A portal's host: REST, the page people see, the emulator's controls."""

    def __init__(self, world: World, portal: Portal, portals: dict[str, Portal]) -> None:
        self.world = world
        self.portal = portal
        self.portals = portals
        self.rest = PortalRest(world, portal)

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path.startswith("/rest/"):
            return self.rest.handle(request)
        if not self.rest.addressed_rightly(request):
            return Answer(302, headers=HTML | {"Location": f"{self.portal.origin}{request.path}"})
        if request.path.startswith(CONTROLS):
            return self._control(request, request.path.removeprefix(CONTROLS))
        if request.path in ("/", f"/marketplace/view/{self.world.app_code}/"):
            return page(self.portal, self.portals, request)
        return Answer(404, b"Not found", dict(HTML))

    def _control(self, request: Request, name: str) -> Answer:
        if name.startswith("assets/"):
            return asset(name)
        if name.startswith("photo/"):
            return photo(name)
        if name == "seen":
            return seen(self.world, self.portal, request)
        if name == "people":
            return people(self.portal)
        return control(self.world, self.portal, request, name)


class AuthorizationSite:
    """The authorization server's host; it also serves the frame library."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path.startswith("/api/v1"):
            return asset("bx24.js")
        return self.server.handle(request)
