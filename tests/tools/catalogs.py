"""What keeps the catalogs complete and true: collected from the sources, checked, filled in from JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

from dashboard.web.i18n.translations import CATALOGS, catalog_of
from tests.tools.untranslated_python import literals
from tests.tools.untranslated_templates import unwrapped

ROOT = CATALOGS.parent
TEMPLATE = CATALOGS / "messages.pot"
USAGE = "usage: python -m tests.tools.catalogs extract | check | missing LOCALE | merge LOCALE FILE"

_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
_TAG = re.compile(r"</?\w+")
# Between a context and a message, as in compiled catalogs.
_GLUE = "\x04"

Translations = Mapping[str, str | list[str]]


def extract() -> Catalog:
    """Return every string to translate, as the sources have them now."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    catalog = Catalog(project="Team Hours", header_comment="# Every string to translate.", fuzzy=False)
    result = extract_from_dir(ROOT, methods, options, comment_tags=("Translators:",), strip_comment_tags=True)
    for filename, line, message, comments, context in result:
        catalog.add(message, locations=[(filename, line)], auto_comments=comments, context=context)
    return catalog


def complaints(extracted: Catalog, written: Catalog, translated: Iterable[Catalog]) -> Iterator[str]:
    """Yield what keeps the catalogs from being complete and true."""
    now, then = _keys(extracted), _keys(written)
    yield from (f"messages.pot lacks {key!r}" for key in now - then)
    yield from (f"messages.pot still has {key!r}" for key in then - now)
    for catalog in translated:
        yield from (f"{catalog.locale}: {wrong}" for wrong in _wrong_in(catalog, now))


def _wrong_in(catalog: Catalog, now: set[str]) -> Iterator[str]:
    yield from (f"lacks {key!r}" for key in now - _keys(catalog, done=True))
    yield from (f"still has {key!r}" for key in _keys(catalog) - now)
    yield from (f"keeps the obsolete {message!r}" for message in catalog.obsolete)
    for message in _messages(catalog):
        yield from (f"{_key(message)!r}: {wrong}" for wrong in _wrong_with(message, catalog))


def _wrong_with(message: Message, catalog: Catalog) -> Iterator[str]:
    """Yield what a translation does wrong; one that is not there is missed elsewhere."""
    if message.fuzzy:
        yield "is fuzzy"
    yield from (str(error) for error in message.check(catalog))
    sources, strings = _forms(message.id), _forms(message.string)
    if not all(strings):
        return
    for string in strings:
        # A form for exactly one or two may leave the number out; nothing may invent a name.
        full = string is strings[-1]
        needed, given = set(_PLACEHOLDER.findall(sources[-1])), set(_PLACEHOLDER.findall(string))
        if given - needed or (full and needed - given):
            yield f"placeholders differ: {string!r}"
        if sorted(_TAG.findall(sources[-1])) != sorted(_TAG.findall(string)):
            yield f"tags differ: {string!r}"
        if string != string.strip():
            yield f"begins or ends with a space: {string!r}"


def missing(extracted: Catalog, catalog: Catalog) -> list[dict[str, object]]:
    """Return what a catalog lacks, with what a translator should know; ``key`` is what `merge` reads."""
    done = _keys(catalog, done=True)
    return [
        {
            "key": _key(message),
            "text": message.id if isinstance(message.id, str) else list(message.id),
            "forms": 1 if isinstance(message.id, str) else catalog.num_plurals,
            "said_of": message.auto_comments,
            "found_in": sorted({filename for filename, _ in message.locations}),
        }
        for message in _messages(extracted)
        if _key(message) not in done
    ]


def merged(extracted: Catalog, catalog: Catalog, translations: Translations) -> Catalog:
    """Return a catalog of the strings there are now: newly translated, else as they were, else empty."""
    before = {_key(message): message.string for message in _messages(catalog) if not message.fuzzy}
    created = Catalog(
        locale=catalog.locale, project=extracted.project, header_comment="#", fuzzy=False, domain="messages"
    )
    for message in _messages(extracted):
        string = translations.get(_key(message), before.get(_key(message), ""))
        created.add(
            message.id,
            tuple(string) if isinstance(string, list) else string,
            context=message.context,
            auto_comments=message.auto_comments,
        )
    return created


def read(locale: str) -> Catalog:
    """Return a locale's catalog, an empty one where there is none yet."""
    path = catalog_of(locale)
    if not path.is_file():
        return Catalog(locale=Locale.parse(locale))
    with path.open("rb") as file:
        return read_po(file)


def write(catalog: Catalog, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        # Line numbers would make every edit of a template an edit of this file.
        write_po(file, catalog, sort_by_file=True, include_lineno=False, width=100)


def _messages(catalog: Catalog) -> Iterator[Message]:
    """Yield the messages without the header."""
    return (message for message in catalog if message.id)


def _keys(catalog: Catalog, *, done: bool = False) -> set[str]:
    """Return the messages' keys; only translated ones when asked for."""
    return {
        _key(message)
        for message in _messages(catalog)
        if not (done and (message.fuzzy or not all(_forms(message.string))))
    }


def _key(message: Message) -> str:
    text = _forms(message.id)[0]
    return f"{message.context}{_GLUE}{text}" if message.context else text


def _forms(text: object) -> list[str]:
    return [str(form or "") for form in text] if isinstance(text, list | tuple) else [str(text or "")]


def _check() -> Iterator[str]:
    translated = [read(path.parts[-3]) for path in CATALOGS.glob("*/LC_MESSAGES/messages.po")]
    with TEMPLATE.open("rb") as file:
        written = read_po(file)
    yield from complaints(extract(), written, translated)
    yield from unwrapped(ROOT / "templates")
    yield from literals(ROOT / "dashboard" / "web")


def main(arguments: list[str]) -> str | None:
    """Do what is asked; return the complaint to end with, None when all is well."""
    match arguments:
        case ["extract"]:
            write(extract(), TEMPLATE)
        case ["check"]:
            return "\n".join(sorted(_check())) or None
        case ["missing", locale]:
            lacking = missing(extract(), read(locale))
            sys.stdout.write(json.dumps(lacking, ensure_ascii=False, indent=1) + "\n")
        case ["merge", locale, file]:
            translations = json.loads(Path(file).read_text(encoding="utf-8"))
            write(merged(extract(), read(locale), translations), catalog_of(locale))
        case _:
            return USAGE
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
