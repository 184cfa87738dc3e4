"""How templates find each other, and what all of them share."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from flask.sansio.app import App
from flask.templating import Environment
from markupsafe import Markup

from dashboard.web.i18n import translations


class TemplateEnvironment(Environment):
    """An environment made for pages of many small parts: one of ours imports some twenty.

    The library keeps the order in which templates were used last, so that it can forget some, and lays a
    map of its own over the globals for each, to be walked name by name at every import. Ours are few,
    stay, and find no global added once the first of them is loaded.
    """

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, cache_size=-1, **options)
        self.globals["shared"] = self._shared
        self._said: dict[tuple[str, str], Markup] = {}

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **d} if d else self.globals

    def _shared(self, name: str) -> Markup:
        """Return a part that says the same to all who speak a language: it is rendered once for each."""
        wanted = (name, translations.current().tag)
        if wanted not in self._said:
            self._said[wanted] = Markup(self.get_template(name).render())  # noqa: S704  # escaped in there
        return self._said[wanted]
