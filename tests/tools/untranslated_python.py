"""Find texts in Python that are not marked for translation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TRANSLATING = ("_", "N_", "ngettext", "pgettext", "npgettext", "in_every_language")
# Operators and developers read these, not users.
NOT_FOR_USERS = ("client_socket.py", "metrics.py", "styleguide.py")
_LOGGING = ("debug", "info", "warning", "error", "exception")

# Two words in a row, or one capitalized word of three letters or more; Unicode categories have two.
_SENTENCE = re.compile(r"(?<!\w)[^\W\d_]{2,} [^\W\d_]{2,}|^[A-Z][a-z]{2,}[.!?…:]?$")
_SEPARATOR = re.compile(r"[,;] ")


def literals(folder: Path) -> Iterator[str]:
    """Yield each text that is not translated, and each list joined with punctuation of some languages only."""
    for path in sorted(folder.rglob("*.py")):
        if path.name not in NOT_FOR_USERS:
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
    """Tell whether users never see the text, or see it translated."""
    match node:
        # Docstrings; exceptions, whose texts are for the log; names of headers.
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
