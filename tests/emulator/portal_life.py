"""What can happen to an application on a portal, and to the people who use it."""

import secrets

from .portal_events import PortalEvents
from .tokens import Pair


class CannotOpen(Exception):
    """The portal would show its own message: no request reaches the application."""


class PortalLife(PortalEvents):
    """A portal that installs, updates, pays for and removes the application."""

    def add_application(self, *, by: str) -> None:
        """Let the Market add the application: tokens flow, but it is not installed yet."""
        application = self.application
        application.installer_id = self.people[by].user_id
        if application.added:
            return
        if application.removed_at is not None:
            application.token = secrets.token_hex(16)
            application.installation += 1
            application.removed_at = None
        application.added = True
        application.trial_over = False

    def finish_install(self) -> None:
        """Do what installFinish does; events start to flow with ONAPPINSTALL."""
        with self.world.lock:
            if not self.application.added:
                raise CannotOpen(f"{self.name} has not added the application.")
            if self.application.installed:
                return
            self.application.installed = True
            data = {
                "VERSION": self.application.version,
                "ACTIVE": "Y",
                "INSTALLED": "Y",
                "LANGUAGE_ID": self._installer().lang,
            }
            self._queue_event("ONAPPINSTALL", data, tokens=True)

    def install(self, by: str | None = None) -> None:
        """Install without the application taking part, as if it had been done long ago."""
        admin = by or next(key for key, person in self.people.items() if person.admin)
        self.add_application(by=admin)
        self.finish_install()

    def uninstall(self, clean: bool = True) -> None:
        """Remove the application: tokens die first, then the event is queued, then bindings go."""
        with self.world.lock:
            application = self.application
            application.removed_at = self.world.clock.now()
            data = {"LANGUAGE_ID": self._installer().lang, "CLEAN": int(clean)}
            self._queue_event("ONAPPUNINSTALL", data)
            application.added = application.installed = False
            application.drop_handlers()
            application.placements = []
            application.seen_by = set()
            if clean:
                application.options = {}
                for person in self.people.values():
                    person.options = {}

    def update(self, version: int | None = None, new_application_token: bool = False) -> None:
        """Move to another version; handlers are dropped and have to be bound anew."""
        with self.world.lock:
            application = self.application
            previous = application.version
            application.version = previous + 1 if version is None else version
            if new_application_token:
                application.token = secrets.token_hex(16)
            data = {
                "VERSION": application.version,
                "PREVIOUS_VERSION": previous,
                "LANGUAGE_ID": self._installer().lang,
            }
            self._queue_event("ONAPPUPDATE", data, tokens=True)
            application.drop_handlers()

    def end_trial(self) -> None:
        """Let the paid or trial period run out: PAYMENT_REQUIRED."""
        self._pay(trial_over=True)

    def restore_trial(self) -> None:
        """Let somebody pay."""
        self._pay(trial_over=False)

    def _pay(self, *, trial_over: bool) -> None:
        with self.world.lock:
            self.application.trial_over = trial_over
            self.application.status = "T" if trial_over else "F"
            data = {
                "CODE": self.world.app_code,
                "VERSION": self.application.version,
                "STATUS": self.application.status,
                "PAYMENT_EXPIRED": "Y" if trial_over else "N",
                "DAYS": -1 if trial_over else 14,
                "LANGUAGE_ID": self._installer().lang,
            }
            self._queue_event("ONAPPPAYMENT", data)

    def close(self) -> None:
        """Close the portal: PORTAL_DELETED, which on a server of one's own may pass."""
        self.closed = True

    def reopen(self) -> None:
        """Open the portal again."""
        self.closed = False

    def expire(self, key: str) -> None:
        """Age every access token of a person past its hour; refresh tokens stay good."""
        now = self.world.clock.now()
        for pair in self._pairs_of(key):
            pair.expires = min(pair.expires, now - 1)

    def kill_refresh(self, key: str) -> None:
        """Make a person's refresh tokens void."""
        for pair in self._pairs_of(key):
            pair.refresh_killed = True

    def _pairs_of(self, key: str) -> list[Pair]:
        with self.world.lock:
            return list(self.world.tokens.of(self.member_id, self.people[key].user_id))

    def dismiss(self, key: str) -> None:
        """Let a person leave the company."""
        self.people[key].active = False

    def restrict(self, key: str) -> None:
        """Take away a person's right to use the application."""
        self.people[key].restricted = True

    def grant_scope(self, scope: str) -> None:
        """Let an administrator grant the application one more permission."""
        if scope not in self.application.scopes:
            self.application.scopes.append(scope)

    def drop_scope(self, scope: str) -> None:
        """Let the application lose a permission."""
        self.application.scopes = [one for one in self.application.scopes if one != scope]
