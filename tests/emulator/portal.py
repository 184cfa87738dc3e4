"""A portal as tests hold it: it opens the application the way a browser would."""

from typing import Any
from urllib.parse import urlencode

from .calendar_tab import CalendarTab
from .opening import Form, Opening, form_of, query_of
from .people import Person
from .portal_life import CannotOpen, PortalLife
from .tokens import Pair

__all__ = ["CannotOpen", "Portal"]


class Portal(PortalLife):
    """A Bitrix24 account with the one application under test."""

    def open_as(
        self,
        key: str,
        placement: str = "DEFAULT",
        options: dict[str, Any] | None = None,
        form: Form = "new",
        client_id: str | None = None,
    ) -> Opening:
        """Return what the browser would post; raise CannotOpen where the portal would not."""
        person = self.people[key]
        with self.world.lock:
            self._check_may_open(person)
            url = self._handler_of(placement) or f"{self.world.app_url}/"
            pair = self.mint(person, client_id=client_id)
            return self._opening(pair, person, url, placement=placement, options=options, form=form)

    def open_installer_as(self, key: str, form: Form = "new") -> Opening:
        """Add the application, if it is not there, and return what the installer gets."""
        person = self.people[key]
        if not person.admin:
            raise CannotOpen(f"{person.full_name} is no administrator of {self.name}.")
        with self.world.lock:
            self.add_application(by=key)
            return self._opening(
                self.mint(person),
                person,
                f"{self.world.app_url}/install",
                placement="DEFAULT",
                options=None,
                form=form,
                installer=True,
            )

    def _check_may_open(self, person: Person) -> None:
        if not self.installed:
            raise CannotOpen(
                f"{self.name} has not finished installing: call open_installer_as() and finish_install(), or install()."
            )
        if not person.active or person.restricted:
            raise CannotOpen(f"{person.full_name} may not open the application.")

    def calendar_tab(self, key: str) -> CalendarTab:
        """Open the portal's own calendar in a tab of a person's browser."""
        return CalendarTab(self.people[key], self.world.lock)

    def page_url(
        self,
        key: str,
        *,
        placement: str = "DEFAULT",
        colleague: str = "",
        form: Form = "new",
        controls: bool = False,
    ) -> str:
        """Return the address of the portal's page for a person, for a browser to open."""
        requests = {"person": key, "form": form}
        if placement != "DEFAULT":
            requests["placement"] = placement
        if colleague:
            requests["colleague"] = colleague
        if controls:
            requests["controls"] = "open"
        return f"{self.origin}/?{urlencode(requests)}"

    def bound(self, placement: str) -> bool:
        """Return whether the application has a handler for a placement."""
        return self._handler_of(placement) is not None

    def _handler_of(self, placement: str) -> str | None:
        bound = (one.url for one in self.application.placements if one.code == placement)
        return next(bound, None)

    def _opening(
        self,
        pair: Pair,
        person: Person,
        url: str,
        *,
        placement: str,
        options: dict[str, Any] | None,
        form: Form,
        installer: bool = False,
    ) -> Opening:
        fields = form_of(
            pair,
            form=form,
            server_endpoint=self.world.server_endpoint,
            application_token=self.application.token,
            scopes=self.application.scopes,
            member_id=self.member_id,
            status=self.application.status,
            placement=placement,
            options=options,
        )
        query = query_of(domain=self.domain, lang=person.lang)
        return Opening(url, query, fields, person, options=options or {}, installer=installer)
