"""What pages print with our replacements of Jinja's macros, calls and attributes."""

from __future__ import annotations

from inspect import getattr_static

import pytest
from flask import Flask
from jinja2 import DictLoader
from jinja2.exceptions import UndefinedError
from markupsafe import Markup

from dashboard.web.http.templating import TemplateEnvironment
from dashboard.web.presenters import template_filters
from tests.world import World

BAD = '<b a="1">&'
ESCAPED = "&lt;b a=&#34;1&#34;&gt;&amp;"
LIBRARY = """
{% macro show(first, class="none", items=[]) %}{{ first }}|{{ class }}|{{ items|length }}{% endmacro %}
{% macro add(items=[]) %}{% set _ = items.append(1) %}{{ items|length }}{% endmacro %}
{% macro box(title) %}{{ title }}[{{ caller(title) }}]{% endmacro %}
{% macro frame(title) %}{{ title }}{% if caller %}[{{ caller() }}]{% endif %}{% endmacro %}
{% macro nothing() %}-{% endmacro %}
"""

TEMPLATES = {"test_library.html": LIBRARY, "test_base.html": "{% block title %}base{% endblock %}:{{ self.title() }}"}


@pytest.fixture
def app() -> Flask:
    return Flask("templating", static_folder=None)


def render(app: Flask, source: str, **values: object) -> str:
    environment = TemplateEnvironment(app, loader=DictLoader(TEMPLATES), autoescape=app.select_jinja_autoescape)
    environment.globals["cached"] = template_filters._cached
    return environment.from_string(source).render(values)


def with_library(app: Flask, source: str, **values: object) -> str:
    names = "show, add, box, frame, nothing"
    return render(app, f'{{% from "test_library.html" import {names} %}}{source}', **values)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ show(bad) }}", f"{ESCAPED}|none|0"),
        ("{{ show(show(bad)) }}", f"{ESCAPED}|none|0|none|0"),
        ("{{ show(first=bad, class=bad) }}", f"{ESCAPED}|{ESCAPED}|0"),
        ("{{ show() }}", "|none|0"),
        ("{{ add() }}{{ add() }}", "11"),
        ("{% call(text) box(bad) %}{{ text }}{{ bad }}{% endcall %}", f"{ESCAPED}[{ESCAPED}{ESCAPED}]"),
        ("{% call frame(bad) %}{{ bad }}{% endcall %}", f"{ESCAPED}[{ESCAPED}]"),
        ("{{ frame(bad) }}", ESCAPED),
        ("{% set text %}{{ bad }}{% endset %}{{ text }}", ESCAPED),
        ("{% for one in [bad] %}{{ show(one, loop.index) }}{% endfor %}", f"{ESCAPED}|1|0"),
        ("{% for one in [[bad]] recursive %}{{ one if one is string else loop(one) }}{% endfor %}", ESCAPED),
        ("{{ {'title': bad, 'hidden': none}|xmlattr }}", f' title="{ESCAPED}"'),
        ("{{ 'a' ~ bad }}", f"a{ESCAPED}"),
    ],
)
def test_texts_are_escaped_once(app: Flask, source: str, expected: str) -> None:
    assert with_library(app, source, bad=BAD) == expected


def test_blocks_escape_too(app: Flask) -> None:
    source = '{% extends "test_base.html" %}{% block title %}{{ super() }} {{ bad }}{% endblock %}'

    assert render(app, source, bad=BAD) == f"base {ESCAPED}:base {ESCAPED}"


def test_a_template_imported_with_its_context(app: Flask) -> None:
    source = '{% import "test_library.html" as library with context %}{{ library.show(bad) }}'

    assert render(app, source, bad=BAD) == f"{ESCAPED}|none|0"


@pytest.mark.parametrize(
    "call",
    ["nothing(1)", "nothing(x=1)", "show(1, 2, 3, 4)", "show(1, first=2)", "show(1, other=2)", "show(1, caller=2)"],
)
def test_a_wrong_argument_is_an_error(app: Flask, call: str) -> None:
    with pytest.raises(TypeError):
        with_library(app, f"{{{{ {call} }}}}")


def test_a_macro_without_its_caller_is_an_error(app: Flask) -> None:
    with pytest.raises(UndefinedError, match="'caller' is undefined"):
        with_library(app, "{{ box(1) }}")


@pytest.mark.parametrize("name", ["varargs", "kwargs"])
def test_a_macro_names_all_its_arguments(app: Flask, name: str) -> None:
    with pytest.raises(TypeError, match="must name all its arguments"):
        render(app, f"{{% macro show(first) %}}{{{{ {name} }}}}{{% endmacro %}}")


@pytest.mark.parametrize("name", ["a b", "a>", 'a"', "a/", "a=", "onload\n", ""])
def test_an_attributes_name_ends_no_element(app: Flask, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        render(app, "{{ {name: 1}|xmlattr }}", name=name)


def test_a_cached_text_is_not_taken_for_markup(app: Flask) -> None:
    source = "{{ cached(show, markup) }} {{ cached(show, bad) }}"

    assert with_library(app, source, markup=Markup(BAD), bad=BAD) == f"{BAD}|none|0 {ESCAPED}|none|0"


def test_long_texts_are_not_cached() -> None:
    printed: list[str] = []

    def show(text: str) -> str:
        printed.append(text)
        return text

    short, long = "a" * (template_filters.MAX_CACHED_BYTES // 2), "a" * template_filters.MAX_CACHED_BYTES
    wide = short + "\N{PARTY POPPER}"
    for text in (short, short, long, long, wide, wide):
        assert template_filters._cached(show, text) == text

    assert printed == [short, long, long, wide, wide]


def test_no_function_of_the_templates_takes_the_context(world: World) -> None:
    """Because they are called without Jinja's check."""
    functions = world.app.jinja_env.globals.items()

    assert [name for name, function in functions if getattr_static(function, "jinja_pass_arg", None)] == []
