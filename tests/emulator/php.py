"""PHP's manners at the edges: its JSON, its bracketed forms, its one kind of array."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

_HEX = str.maketrans(
    {
        "<": "\\u003C",
        ">": "\\u003E",
        "&": "\\u0026",
        "'": "\\u0027",
        "/": "\\/",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
_ESCAPE = re.compile(r"\\(.)")


def encode(value: object) -> str:
    """Return the JSON text Bitrix24 would send: hex for markup, escaped slashes, raw Cyrillic."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    quoted = _ESCAPE.sub(lambda found: "\\u0022" if found[1] == '"' else found[0], text)
    return quoted.translate(_HEX)


def array(entries: Mapping[str, Any]) -> dict[str, Any] | list[Any]:
    """Return a map as PHP would print it: a list when empty or numbered from nought."""
    if list(entries) == [str(number) for number in range(len(entries))]:
        return list(entries.values())
    return dict(entries)


def entries(value: object) -> dict[str, Any]:
    """Return a list or a map as a map, anything else as an empty one."""
    if isinstance(value, list):
        return {str(number): member for number, member in enumerate(value)}
    return dict(value) if isinstance(value, dict) else {}


def members(value: object) -> list[Any]:
    """Return the members of a list or of a numbered map; a scalar is a list of one."""
    if isinstance(value, list | dict):
        return list(entries(value).values())
    return [] if value is None else [value]


def truthy(value: object) -> bool:
    """Return what PHP's (bool) makes of a value: "0" and "" are false, "false" is true."""
    return bool(value) and value != "0"


def flag(value: object) -> bool:
    """Return what a REST parameter meant as a boolean says."""
    return str(value).lower() in {"1", "true", "y"}


def parse_form(text: str) -> dict[str, Any]:
    """Return the nested fields of a query string or a form body."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _put(fields, path=_path(name), value=value)
    return fields


def _path(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    return [head, *rest.removesuffix("]").split("][")] if bracket else [head]


def _put(fields: dict[str, Any], *, path: list[str], value: str) -> None:
    for key in path[:-1]:
        branch = fields.get(key or str(len(fields)))
        if not isinstance(branch, dict):
            branch = {}
            fields[key or str(len(fields))] = branch
        fields = branch
    fields[path[-1] or str(len(fields))] = value


def build_form(fields: Mapping[str, Any]) -> str:
    """Return nested fields as a form body with bracket keys; every leaf becomes text."""
    return urlencode(list(_pairs(fields, prefix="")))


def _pairs(fields: Mapping[str, Any], *, prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in fields.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, dict | list):
            yield from _pairs(entries(value), prefix=name)
        else:
            yield name, "" if value is None else str(value)
