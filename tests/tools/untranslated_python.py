"""Words in our Python that nobody could translate, because they are not handed to a translation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TRANSLATING = ("_", "N_", "ngettext", "pgettext", "npgettext", "in_every_language")
# Prometheus and developers read these, and no person of a portal.
NOT_FOR_READERS = ("metrics.py", "styleguide.py")
_LOGGING = ("debug", "info", "warning", "error", "exception")

# Two words in a row, or one alone with a capital letter and more than two: Unicode categories are no words.
_SENTENCE = re.compile(r"(?<!\w)[^\W\d_]{2,} [^\W\d_]{2,}|^[A-Z][a-z]{2,}[.!?…:]?$")
_SEPARATOR = re.compile(r"[,;] ")


def literals(folder: Path) -> Iterator[str]:
    """Yield where a module speaks in one language only, or lists words as only some languages do."""
    for path in sorted(folder.rglob("*.py")):
        if path.name not in NOT_FOR_READERS:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (f"{path.name}: not translatable: {words!r}" for words in _bare(tree))


def _bare(node: ast.AST) -> Iterator[str]:
    if _is_for_machines(node):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SENTENCE.search(node.value):
        yield node.value
    if isinstance(node, ast.Call) and _name(node) == "join":
        yield from (text for text in [_joined_with(node)] if _SEPARATOR.fullmatch(text))
    for child in ast.iter_child_nodes(node):
        yield from _bare(child)


def _is_for_machines(node: ast.AST) -> bool:
    """Tell what people never see as it stands, or see translated."""
    match node:
        # Docstrings; errors, which carry facts and are put into words at the door; names of headers.
        case ast.Expr(value=ast.Constant()) | ast.Raise():
            return True
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(attr="headers"))]):
            return True
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Attribute(attr="headers"))):
            return True
        case ast.Compare(comparators=[ast.Attribute(attr="headers")]):
            return True
        case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id="log"))):
            return name in _LOGGING
    return isinstance(node, ast.Call) and _name(node) in TRANSLATING


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _joined_with(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Constant(value=str(text))):
            return text
    return ""
