"""How templates find each other, and what all of them share."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from flask.sansio.app import App
from flask.templating import Environment


class Templates(Environment):
    """An environment made for pages of many small parts: one of ours imports some twenty.

    The library keeps the order in which templates were used last, so that it can forget some, and lays a
    map of its own over the globals for each, to be walked name by name at every import. Ours are few,
    stay, and find no global added once the first of them is loaded.
    """

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, cache_size=-1, **options)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **d} if d else self.globals
