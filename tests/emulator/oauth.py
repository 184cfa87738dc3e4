"""The authorization server: tokens for codes, tokens for refresh tokens, app.info."""

from email.utils import formatdate
from typing import Any

from .clock import iso
from .door import Visit, attend
from .errors import RestError
from .portal import Portal
from .rest import params_of, token_of
from .tokens import ACCESS_LIFE, Pair
from .wire import Answer, Request
from .world import World


class AuthorizationServer:
    """Answers `/oauth/token/` and `/rest/app.info`; only it ever sees the client secret."""

    def __init__(self, world: World, portals: dict[str, Portal]) -> None:
        self.world = world
        self.portals = portals

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        method = request.path.strip("/").removesuffix(".json")
        params = params_of(request)
        visit = Visit("authorization", method, grant=str(params.get("grant_type", "")))
        token = str(params.get("refresh_token") or params.get("auth") or "")
        self._introduce(visit, token)
        answer = attend(self.world, request, visit, lambda: self._work(request, visit, params))
        answer.headers["Date"] = formatdate(self.world.clock.now(), usegmt=True)
        return answer

    def _introduce(self, visit: Visit, token: str) -> None:
        tokens = self.world.tokens
        pair = tokens.by_refresh(token) or tokens.by_access(token)
        if pair is not None:
            portal = self._portal_of(pair)
            visit.portal, visit.user = portal.name, pair.owner.user_id
            visit.person = portal.directory.find(pair.owner.user_id).key

    def _work(self, request: Request, visit: Visit, params: dict[str, Any]) -> None:
        with self.world.lock:
            try:
                if visit.method == "oauth/token":
                    visit.body = self._token(params)
                    visit.granted = True
                elif visit.method == "rest/app.info":
                    visit.body = self._app_info(token_of(request, params))
                else:
                    raise RestError("ERROR_METHOD_NOT_FOUND")
            except RestError as error:
                visit.refuse(error)
                # The one error without a text; it comes with HTTP 200.
                if error.code == "wrong_client":
                    visit.body = {"error": "wrong_client"}

    def _token(self, params: dict[str, Any]) -> dict[str, Any]:
        client_id = str(params.get("client_id", ""))
        secret = self.world.secrets.get(client_id)
        if secret is None:
            raise RestError("wrong_client", status=200)
        if params.get("client_secret") != secret:
            raise RestError("invalid_client")
        if params.get("grant_type") == "refresh_token":
            return self._refresh(client_id, str(params.get("refresh_token") or ""))
        if params.get("grant_type") == "authorization_code":
            return self._exchange(client_id, str(params.get("code") or ""))
        raise RestError("invalid_request", "Invalid grant_type parameter or parameter missing")

    def _refresh(self, client_id: str, refresh_token: str) -> dict[str, Any]:
        if not refresh_token:
            raise RestError("invalid_request", 'No "refresh_token" parameter found')
        pair = self.world.tokens.by_refresh(refresh_token)
        if pair is None or pair.owner.client_id != client_id:
            raise RestError("invalid_grant")
        portal = self._portal_of(pair)
        self._check_application(portal)
        now = self.world.clock.now()
        former = pair.owner.installation != portal.application.installation
        if pair.refresh_killed or former or pair.refresh_expires <= now:
            raise RestError("invalid_grant")
        strictness = self.world.strictness
        rotated = self.world.tokens.rotate(
            pair,
            now=now,
            once=strictness.refresh_once,
            kill_sibling=strictness.refresh_kills_sibling,
        )
        return self._token_answer(rotated)

    def _exchange(self, client_id: str, code: str) -> dict[str, Any]:
        if not code:
            raise RestError("invalid_request", 'No "code" parameter found')
        now, issued = self.world.clock.now(), self.world.tokens.take_code(code)
        if issued is None or issued.owner.client_id != client_id:
            raise RestError("invalid_grant")
        if issued.expires <= now:
            text = "The authorization token provided has expired."
            raise RestError("expired_token", text, status=400)
        return self._token_answer(self.world.tokens.mint(issued.owner, now=now))

    def _check_application(self, portal: Portal) -> None:
        if portal.application.removed_at is not None:
            raise RestError("NOT_INSTALLED")
        if portal.application.trial_over:
            raise RestError("PAYMENT_REQUIRED")

    def _token_answer(self, pair: Pair) -> dict[str, Any]:
        """Return the answer in its recorded order; `domain` is this server, not the portal."""
        portal = self._portal_of(pair)
        return {
            "access_token": pair.access,
            "expires": int(pair.expires),
            "expires_in": ACCESS_LIFE,
            "scope": "app",
            "domain": self.world.authorization_host,
            "server_endpoint": self.world.server_endpoint,
            "status": portal.application.status,
            "client_endpoint": portal.client_endpoint,
            "member_id": portal.member_id,
            "user_id": pair.owner.user_id,
            "refresh_token": pair.refresh,
        }

    def _app_info(self, token: str) -> dict[str, Any]:
        if not token:
            raise RestError("NO_AUTH_FOUND")
        pair = self.world.tokens.by_access(token)
        if pair is None:
            # What looks like a token gets another refusal than garbage does.
            raise RestError("invalid_client" if _looks_like_a_token(token) else "invalid_token")
        portal = self._portal_of(pair)
        if portal.application.removed_at is not None:
            raise RestError("ERROR_OAUTH")
        if pair.access_killed or pair.owner.installation != portal.application.installation:
            raise RestError("invalid_client")
        now = self.world.clock.now()
        if pair.expires <= now:
            raise RestError("expired_token")
        portal.unproven.discard(token)
        return {"result": self._installation(pair, portal), "time": _time(now)}

    def _installation(self, pair: Pair, portal: Portal) -> dict[str, Any]:
        application = portal.application
        scope = ",".join(application.scopes)
        return {
            "client_id": pair.owner.client_id,
            "scope": scope,
            "expires": iso(pair.expires),
            "install": {
                "installed": application.installed,
                "version": str(application.version),
                "status": application.status,
                "scope": scope,
                "domain": portal.domain,
                "uri": portal.origin,
                "client_endpoint": portal.client_endpoint,
                "member_id": portal.member_id,
                "member_type": "bitrix24",
            },
            "user_id": str(pair.owner.user_id),
        }

    def _portal_of(self, pair: Pair) -> Portal:
        owned = (one for one in self.portals.values() if one.member_id == pair.owner.member_id)
        return next(owned)


def _looks_like_a_token(text: str) -> bool:
    return len(text) == 70 and all(character in "0123456789abcdef" for character in text)


def _time(now: float) -> dict[str, Any]:
    return {
        "start": now,
        "finish": now,
        "duration": 0.0,
        "processing": 0.0,
        "date_start": iso(now),
        "date_finish": iso(now),
    }
