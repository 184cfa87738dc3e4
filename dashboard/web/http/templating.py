"""Configure Jinja for pages made of many small templates."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import lru_cache
from types import CodeType
from typing import Any

from flask.sansio.app import App
from flask.templating import Environment
from jinja2 import Environment as JinjaEnvironment
from jinja2 import Template
from jinja2.runtime import Context, Macro
from markupsafe import Markup, escape

MAX_CACHED_TEXT = 64  # characters; longer texts seldom repeat


class _Context(Context):
    """Call macros directly: Jinja would first check whether what it calls wants the context as an argument."""

    def call(self, __obj: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if type(__obj) is not _Macro:
            return super().call(__obj, *args, **kwargs)
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        return __obj(self.eval_ctx, *args, **kwargs)


class _Macro(Macro):
    """Mark what a macro prints as escaped without asking it: it is always a plain text."""

    def _invoke(self, arguments: list[Any], autoescape: bool) -> str:
        return str.__new__(Markup if autoescape else str, self._func(*arguments))


class _Template(Template):
    """Print escaped text as it is: Jinja would copy it at each level of macros, up to the whole page."""

    @classmethod
    def from_code(
        cls,
        environment: JinjaEnvironment,
        code: CodeType,
        globals: MutableMapping[str, Any],
        uptodate: Callable[[], bool] | None = None,
    ) -> Template:
        template = super().from_code(environment, code, globals, uptodate)
        template.root_render_func.__globals__.update(escape=_escape_once, Macro=_Macro)
        return template


def _escape_once(value: Any) -> str:
    if type(value) is str and len(value) <= MAX_CACHED_TEXT:
        return _escape_text(value)
    return value if type(value) is Markup else escape(value)


# A page has hundreds of texts, and most are labels, addresses and names of classes that all pages have.
@lru_cache(maxsize=4096)
def _escape_text(text: str) -> Markup:
    return escape(text)


class TemplateEnvironment(Environment):
    """Keep every template, and share the globals between them.

    Jinja gives each template a ``ChainMap`` of its own and looks every name up through it. A page imports some
    twenty templates, so plain globals save a fifth of its rendering time. They must be set before the first
    template is loaded.
    """

    context_class = _Context
    template_class = _Template

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, cache_size=-1, **options)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the environment's globals, with the template's own if it has any."""
        return {**self.globals, **d} if d else self.globals
