"""The events of a portal: queued as they happen, or forged as a test needs them."""

from typing import Any

from .events import FORM, Delivery, QueuedEvent, encoded, fields_of, post
from .people import Person
from .portal_base import PortalBase


class PortalEvents(PortalBase):
    """A portal that tells its applications what happened."""

    def deliver_events(self) -> list[Delivery]:
        """Send what is queued, now; each entry unpacks as (event, status, seconds)."""
        return self.queue.deliver(now=self.world.clock.now())

    def send_event(
        self,
        event: str,
        *,
        to: str | None = None,
        data: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
        extra: dict[str, Any] | None = None,
        raw: bytes | None = None,
        content_type: str = FORM,
        **overrides: Any,
    ) -> tuple[int, str]:
        """Send an event past the queue, forged as told; return the handler's status and body.

        A keyword replaces the field of that name, at the top (`ts`, `event`, `event_handler_id`)
        or in `auth` (`application_token`, `member_id`, ...); None leaves the field out.
        `without` names top-level fields to leave out, `extra` adds top-level ones.
        """
        fields = self._fields(event, self._usual_data(event) if data is None else data, handler_id=1)
        for name, value in overrides.items():
            home = fields if name in {"ts", "event", "event_handler_id"} else fields["auth"]
            home[name] = value
        fields["auth"] = {name: value for name, value in fields["auth"].items() if value is not None}
        stored = {name: value for name, value in fields.items() if name not in without}
        body = encoded(stored | (extra or {}), now=self.world.clock.now()) if raw is None else raw
        url = to or f"{self.world.app_url}/events"
        delivery = post(event, url, body, content_type=content_type)
        return delivery.status, delivery.body

    def _usual_data(self, event: str) -> dict[str, Any]:
        lang, version = self._installer().lang, self.application.version
        usual: dict[str, dict[str, Any]] = {
            "ONAPPINSTALL": {"VERSION": version, "ACTIVE": "Y", "INSTALLED": "Y"},
            "ONAPPUPDATE": {"VERSION": version + 1, "PREVIOUS_VERSION": version},
            "ONAPPUNINSTALL": {"CLEAN": 1},
            "ONAPPPAYMENT": {"CODE": self.world.app_code, "STATUS": "F", "PAYMENT_EXPIRED": "N"},
        }
        return usual.get(event.upper(), {}) | {"LANGUAGE_ID": lang}

    def _installer(self) -> Person:
        return self.directory.find(self.application.installer_id)

    def _queue_event(self, event: str, data: dict[str, Any], *, tokens: bool = False) -> None:
        # Handlers bound by an installer that never finished hear nothing.
        if not self.application.installed:
            return
        for handler in self.application.handlers_of(event):
            fields = self._fields(event, data, handler_id=handler.id, tokens=tokens)
            self.queue.put(QueuedEvent(event, handler.url, fields))

    def _fields(
        self, event: str, data: dict[str, Any], *, handler_id: int, tokens: bool | None = None
    ) -> dict[str, Any]:
        carries = event.upper() in {"ONAPPINSTALL", "ONAPPUPDATE"} if tokens is None else tokens
        auth = self._token_fields() if carries and self.application.added else {}
        auth |= {
            "domain": self.domain,
            "server_endpoint": self.world.server_endpoint,
            "client_endpoint": self.client_endpoint,
            "member_id": self.member_id,
        }
        # The payment event is the one that nothing authenticates.
        if event.upper() != "ONAPPPAYMENT":
            auth["application_token"] = self.application.token
        return fields_of(event, handler_id=handler_id, data=data, auth=auth)

    def _token_fields(self) -> dict[str, Any]:
        installer = self._installer()
        pair = self.mint(installer)
        return {
            "access_token": pair.access,
            "expires": int(pair.expires),
            "expires_in": 3600,
            "scope": ",".join(self.application.scopes),
            "status": self.application.status,
            "user_id": installer.user_id,
            "refresh_token": pair.refresh,
        }
