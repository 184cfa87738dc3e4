"""How templates find what all of them share."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from flask.templating import Environment


class PlainGlobals(Environment):
    """An environment that hands its globals to the templates as one dict.

    The library lays a map of its own over them for each template, and walks it name by name at every
    import: a page of ours imports some twenty parts. Nothing is added once the first template is loaded.
    """

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **d} if d else self.globals
