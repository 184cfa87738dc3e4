"""JSON as Bitrix24 sends it, where numbers come as text and nothing comes as false."""

import json
import re
import unicodedata
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Fifteen digits hold any id or count there is, and keep hostile numbers out of int() and str().
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
# U+202A to U+202E and U+2066 to U+2069 embed, override and isolate directions; U+2028 and U+2029 end lines.
_CONTROLS = dict.fromkeys(
    [*(set(range(0x20)) - {0x09, 0x0A}), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_int(value: Json) -> int | None:
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


def as_list(value: Json) -> list[Json] | None:
    """Return the list, None for any other value; PHP sends a list with gaps as an object."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else None


def as_object(value: Json) -> dict[str, Json]:
    """Return the object, empty for any other value; PHP sends an empty object as a list."""
    return value if isinstance(value, dict) else {}


def is_unset(value: Json) -> bool:
    """Tell whether PHP would call the value empty, or a form once turned its `false` into text."""
    return not value or value in ("false", "0")


def compact(value: Json) -> str:
    """Return the value as compact JSON that always encodes to UTF-8."""
    return printable(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def printable(text: str) -> str:
    """Escape the halves of broken surrogate pairs: JSON may carry them, UTF-8 may not."""
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def without_controls(text: str) -> str:
    """Drop what would be obeyed and not seen: control characters, and orders for the direction of text.

    Lines and tabs stay, and so do the marks and joiners that names in Arabic, Hebrew or Persian need.
    """
    return printable(text).translate(_CONTROLS)


def escape_invisible(text: str) -> str:
    """Escape what a terminal obeys or hides instead of showing it: control, format and bidi characters.

    What stays is on one line. In JSON, where these stand in strings alone, the escape is JSON's own.
    """
    return "".join(mark if mark.isprintable() or _is_space(mark) else _escaped(mark) for mark in text)


def _is_space(mark: str) -> bool:
    return unicodedata.category(mark) == "Zs"


def _escaped(mark: str) -> str:
    units = mark.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
