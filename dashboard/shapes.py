"""JSON as Bitrix24 sends it, where numbers come as text and nothing comes as false."""

import json
import re
import unicodedata
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Fifteen digits hold any id or count there is, and keep hostile numbers out of int() and str().
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(value: Json) -> int | None:
    """Return the integer a number or numeric text stands for, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = f"{value:.0f}"
    if isinstance(value, int):
        return value if abs(value) < 10**15 else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return None


def is_unset(value: Json) -> bool:
    """Tell whether PHP would call the value empty, or a form once turned its `false` into text."""
    return not value or value in ("false", "0")


def compact(value: Json) -> str:
    """Return the value as compact JSON that always encodes to UTF-8."""
    return printable(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def printable(text: str) -> str:
    """Escape the halves of broken surrogate pairs: JSON may carry them, UTF-8 may not."""
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def visible(text: str) -> str:
    """Escape what a terminal obeys or hides instead of showing it: control, format and bidi characters.

    What stays is on one line. In JSON, where these stand in strings alone, the escape is JSON's own.
    """
    return "".join(mark if mark.isprintable() or _is_space(mark) else _escaped(mark) for mark in text)


def _is_space(mark: str) -> bool:
    return unicodedata.category(mark) == "Zs"


def _escaped(mark: str) -> str:
    units = mark.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
