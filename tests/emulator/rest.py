"""The portal's REST server: who may call, in the order the real one checks, and the envelope."""

import json
from typing import Any

from .batch import commands_of, run_batch
from .clock import iso
from .door import Visit, attend, error_of
from .errors import RestError
from .methods import METHODS, Call, Listing, Method
from .people import Person
from .php import parse_form
from .portal import Portal
from .records import WRITES
from .tokens import Pair
from .webhooks import Credentials, split
from .wire import Answer, Request
from .world import World

OPERATING_WINDOW = 600
# So long the portal remembers whose token a token was.
CACHE_SECONDS = 3600
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "origin, content-type, accept",
    "X-Content-Type-Options": "nosniff",
}


class PortalRest:
    """Answers `/rest/METHOD` of one portal."""

    def __init__(self, world: World, portal: Portal) -> None:
        self.world = world
        self.portal = portal

    def handle(self, request: Request) -> Answer:
        """Answer one call; a browser's question beforehand is answered by the headers alone."""
        if request.verb == "OPTIONS":
            return Answer(200, headers=dict(_HEADERS))
        webhook, path = split(request.path)
        method = method_of(path)
        params = params_of(request)
        token = token_of(request, params)
        visit = Visit("portal", method, portal=self.portal.name, headers=dict(_HEADERS))
        self._introduce(visit, token)
        if method == "batch":
            visit.inner = tuple(name for name, _ in commands_of(params).values())
        if method in WRITES and isinstance(params.get("settings"), dict):
            visit.written = tuple(params["settings"])
        if self._moved(request, visit, token):
            return attend(self.world, request, visit, lambda: None)
        return attend(self.world, request, visit, lambda: self._work(request, visit, token, params, webhook))

    def _introduce(self, visit: Visit, token: str) -> None:
        pair = self.world.tokens.by_access(token)
        if pair is not None and pair.owner.member_id == self.portal.member_id:
            visit.user = pair.owner.user_id
            visit.person = self.portal.directory.find(pair.owner.user_id).key

    def addressed_rightly(self, request: Request) -> bool:
        """Return whether a request came to the portal's present address."""
        return request.headers.get("host", "").rpartition(":")[2] == str(self.portal.port)

    def _moved(self, request: Request, visit: Visit, token: str) -> bool:
        """Point from a former address to the present one, and watch who follows blindly."""
        if not self.addressed_rightly(request):
            query = f"?{request.query}" if request.query else ""
            location = f"{self.portal.origin}{request.path}{query}"
            visit.status, visit.headers = 302, {"Location": location}
            self.portal.unproven.add(token)
            return True
        unproven = self.portal.unproven
        visit.followed = token in unproven or (not token and bool(unproven))
        return False

    def _work(
        self,
        request: Request,
        visit: Visit,
        token: str,
        params: dict[str, Any],
        webhook: Credentials | None,
    ) -> None:
        began = self.world.clock.now()
        with self.world.lock:
            try:
                self._admit(request)
                if webhook is not None:
                    done = self._answer_webhook(visit.method, webhook, params)
                else:
                    done = self._answer(visit.method, token, params)
            except RestError as error:
                visit.refuse(error)
                return
        visit.body = self._envelope(done, began=began)

    def _admit(self, request: Request) -> None:
        """Let the bucket in front of everything decide; it knows addresses, not tokens."""
        bucket = self.portal.bucket
        if bucket and not bucket.admit(request.client, now=self.world.clock.now()):
            raise RestError("QUERY_LIMIT_EXCEEDED")
        if self.portal.closed:
            raise RestError("PORTAL_DELETED")

    def _answer_webhook(self, name: str, webhook: Credentials, params: dict[str, Any]) -> Any:
        scopes = self.portal.webhooks.scopes.get(webhook)
        if scopes is None:
            raise RestError("INVALID_CREDENTIALS")
        method = self._method(name)
        if method is None:
            raise RestError("ERROR_METHOD_NOT_FOUND")
        if not method.allowed(list(scopes)):
            raise RestError("insufficient_scope")
        return method.work(Call(self.portal, self.portal.directory.find(webhook.user_id), "", params))

    def _method(self, name: str) -> Method | None:
        """Return the method, if this portal's modules are new enough to have it."""
        return None if name in self.world.strictness.missing_methods else METHODS.get(name)

    def _answer(self, name: str, token: str, params: dict[str, Any]) -> Any:
        method = self._method(name)
        if method is None and name != "batch":
            raise RestError("ERROR_METHOD_NOT_FOUND")
        pair, person = self._authorize(token, method)
        if method is not None:
            return method.work(Call(self.portal, person, pair.owner.client_id, params))

        def run(inner: str, inner_params: dict[str, Any]) -> Any:
            return self._run_inner(inner, inner_params, pair, person)

        return run_batch(params, run, time_of=self._time_of_now)

    def _run_inner(self, name: str, params: dict[str, Any], pair: Pair, person: Person) -> Any:
        fault = self.world.faults.take(
            where="portal", method=name, portal=self.portal.name, person=person.key, inner=True
        )
        if fault is not None:
            raise error_of(fault)
        method = self._method(name)
        if method is None:
            raise RestError("ERROR_METHOD_NOT_FOUND")
        self._check_scope(method)
        return method.work(Call(self.portal, person, pair.owner.client_id, params))

    def _authorize(self, token: str, method: Method | None) -> tuple[Pair, Person]:
        """Check a token in the order of the real server's source."""
        if not token:
            raise RestError("NO_AUTH_FOUND")
        pair = self.world.tokens.by_access(token)
        if pair is None or pair.owner.member_id != self.portal.member_id:
            raise RestError("invalid_token")
        if pair.access_killed:
            raise RestError(self.world.strictness.killed_token_error)
        application = self.portal.application
        if application.trial_over:
            raise RestError("PAYMENT_REQUIRED")
        self._check_application(pair)
        if pair.expires <= self.world.clock.now():
            raise RestError("expired_token")
        if method is not None:
            self._check_scope(method)
        person = self.portal.directory.find(pair.owner.user_id)
        if not person.active:
            raise RestError("authorization_error")
        if person.restricted:
            raise RestError("user_access_error")
        return pair, person

    def _check_application(self, pair: Pair) -> None:
        application = self.portal.application
        if application.removed_at is not None:
            cached = self.world.clock.now() - application.removed_at < CACHE_SECONDS
            raise RestError("APPLICATION_NOT_FOUND" if cached else "ERROR_OAUTH")
        if pair.owner.installation != application.installation:
            raise RestError("invalid_token")

    def _check_scope(self, method: Method) -> None:
        if not method.allowed(self.portal.application.scopes):
            raise RestError("insufficient_scope")

    def _envelope(self, done: Any, *, began: float) -> dict[str, Any]:
        body: dict[str, Any] = {"result": done}
        if isinstance(done, Listing):
            body = {"result": done.items}
            if done.next is not None:
                body["next"] = done.next
            body["total"] = done.total
        body["time"] = self._time(began)
        return body

    def _time(self, began: float) -> dict[str, Any]:
        now, strictness = self.world.clock.now(), self.world.strictness
        start = int(began) if strictness.whole_time_start else round(began, 6)
        time: dict[str, Any] = {
            "start": start,
            "finish": round(now, 5),
            "duration": now - start,
            "processing": 0,
            "date_start": iso(began),
            "date_finish": iso(now),
        }
        if strictness.operating:
            time["operating_reset_at"] = int(now) + OPERATING_WINDOW
            time["operating"] = 0
        return time

    def _time_of_now(self, _method: str) -> dict[str, Any]:
        return self._time(self.world.clock.now())


def method_of(path: str) -> str:
    """Return the method's name, lower-cased, without its suffix."""
    name = path.removeprefix("/rest/").strip("/").lower()
    return name.removesuffix(".json").removesuffix(".xml")


def params_of(request: Request) -> dict[str, Any]:
    """Return query, form and JSON merged; a body that is not JSON is ignored silently."""
    params = parse_form(request.query)
    kind = request.headers.get("content-type", "")
    if "json" in kind:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            return params
        return params | body if isinstance(body, dict) else params
    if "form-urlencoded" in kind:
        params |= parse_form(request.body.decode("utf-8", "replace"))
    return params


def token_of(request: Request, params: dict[str, Any]) -> str:
    """Return the token: from the header, else `auth`, else `access_token`."""
    header = request.headers.get("authorization", "")
    if header.startswith("Bearer "):
        return header.removeprefix("Bearer ").strip()
    return str(params.pop("auth", "") or params.pop("access_token", "") or "")
