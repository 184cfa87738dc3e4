"""Configure Jinja for pages made of many small templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache, partial
from types import CodeType, FunctionType
from typing import Any

from flask.sansio.app import App
from flask.templating import Environment
from jinja2 import Environment as JinjaEnvironment
from jinja2 import Template
from jinja2.environment import TemplateModule
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.utils import missing, pass_eval_context
from markupsafe import Markup, escape

ATTRIBUTE_NAME = re.compile(r"[a-z-]+")
MAX_CACHED_TEXT = 64  # characters; longer texts seldom repeat

# Marks a text as escaped. ``Markup`` would first look for a method ``__html__``, which plain text does not have.
_mark: Callable[[str], Markup] = partial(str.__new__, Markup)


class _Context(Context):
    """Call without Jinja's checks: no function that templates call takes the context as an argument."""

    def call(self, __obj: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs.pop("_block_vars", None)
            kwargs.pop("_loop_vars", None)
        return __obj(*args, **kwargs)


class _Macro:
    """Let Python bind a macro's arguments, which Jinja does in a loop. What the macro prints is already escaped.

    :raise TypeError: the macro uses ``varargs`` or ``kwargs``, which are not supported.
    """

    def __init__(
        self,
        environment: JinjaEnvironment,
        function: FunctionType,
        name: str,
        arguments: list[str],
        *flags: bool,
    ) -> None:
        uses_kwargs, uses_varargs, _uses_caller, autoescape = flags
        if uses_kwargs or uses_varargs:
            raise TypeError(f"The macro {name!r} must name all its arguments.")
        code = function.__code__
        # The compiled macro replaces `missing` by its own defaults, but knows none for the caller.
        function.__defaults__ = (missing,) * len(arguments)
        if code.co_argcount > len(arguments):
            function.__defaults__ += (environment.undefined(name="caller"),)
        self._function = function
        self._print = _mark if autoescape else str
        self._parameters = dict(zip((*arguments, "caller"), code.co_varnames, strict=False)) if code.co_argcount else {}

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        named = {self._parameters.get(name, name): value for name, value in kwargs.items()} if kwargs else kwargs
        return self._print(self._function(*args, **named))


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
        template.root_render_func.__globals__.update(escape=_escape_once, Macro=_Macro, Markup=_mark)
        return template

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        """Return what the template exports; all share their globals, so that it is the same for every page."""
        return self._module or super()._get_default_module()


def _escape_once(value: Any) -> str:
    if type(value) is Markup:
        return value
    return _escape_text(value) if type(value) is str and len(value) <= MAX_CACHED_TEXT else escape(value)


# A page has hundreds of texts, and most are labels, addresses and names of classes that all pages have.
@lru_cache(maxsize=4096)
def _escape_text(text: str) -> Markup:
    return escape(text)


# It has the signature of the filter that it replaces, because templates may have been compiled for that one.
@pass_eval_context
def _attributes(_context: EvalContext, attributes: Mapping[str, object]) -> Markup:
    """Return attributes of an element; those that are None are left out.

    :raise ValueError: a name could end the attribute.
    """
    if not all(map(ATTRIBUTE_NAME.fullmatch, attributes)):
        raise ValueError("An attribute's name may have lowercase letters and hyphens only.")
    items = attributes.items()
    return _mark("".join([f' {name}="{_escape_once(value)}"' for name, value in items if value is not None]))


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
        self.filters["xmlattr"] = _attributes

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the environment's globals, with the template's own if it has any."""
        return {**self.globals, **d} if d else self.globals
