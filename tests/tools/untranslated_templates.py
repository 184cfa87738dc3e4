"""Words in templates that nobody could translate, because they are not marked as words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

# Attributes that people read or hear.
SPOKEN = ("alt", "aria-label", "aria-description", "placeholder", "title")
TRANSLATING = ("_", "gettext", "ngettext", "pgettext", "npgettext")
# What is not for readers: the page for those who develop, and text for terminals and machines.
NOT_FOR_USERS = ("styleguide.html",)
# Names are the same in every language.
_NAMES = re.compile(r"\b(?:Bitrix24|UTC|CSV|JSON)\b")

# A macro may hold an attribute for a tag that stands elsewhere.
_ATTRIBUTE = re.compile(r'[a-z-]+="[^"]*"')
_SEPARATOR = re.compile(r"\s*[,;]\s*")
_WORD = re.compile(r"[^\W\d_]{2,}")
# The last is what stands between the words of a list, which `listed` knows for every language.
_SENTENCE = re.compile(r"[A-Z][a-z]+$|[A-Z][a-z]* [a-z]|[a-z]+ [a-z]+ |[,;] $")


def unwrapped(folder: Path) -> Iterator[str]:
    """Yield where a template speaks in one language only, or lists words as only some languages do."""
    parser = Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
    for path in sorted(folder.rglob("*.html")):
        if path.name not in NOT_FOR_USERS:
            tree = parser.parse(path.read_text(encoding="utf-8"))
            name = path.relative_to(folder)
            yield from (f"{name}: not translatable: {words!r}" for words in _bare(tree))


def _bare(tree: nodes.Template) -> Iterator[str]:
    html = _Words()
    # What stands between pieces of text is some value; a digit keeps the tags around it whole.
    pieces = [piece.data for piece in tree.find_all(nodes.TemplateData)]
    html.feed("0".join(pieces))
    html.close()
    yield from html.found
    yield from (piece for piece in pieces if _SEPARATOR.fullmatch(piece))
    yield from _constants(tree)


class _Words(HTMLParser):
    """Collects the words between tags, and in the attributes people read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self._look_at(_ATTRIBUTE.sub("", data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in SPOKEN:
                self._look_at(value or "")

    def _look_at(self, text: str) -> None:
        if _WORD.search(_NAMES.sub("", text)):
            self.found.append(" ".join(text.split()))


def _constants(node: nodes.Node) -> Iterator[str]:
    """Yield texts in expressions that read like sentences and are not handed to a translation."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in TRANSLATING:
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and _SENTENCE.match(node.value):
        yield node.value
    for child in node.iter_child_nodes():
        yield from _constants(child)
