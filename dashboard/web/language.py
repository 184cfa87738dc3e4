"""The reader's language: Bitrix24's codes to locales, their catalogues, and what keeps those complete."""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from flask import g, has_app_context
from jinja2 import Environment

ROOT = Path(__file__).parents[2]
CATALOGUES = ROOT / "translations"
TEMPLATE = CATALOGUES / "messages.pot"

# Bitrix24's codes are its own: "la" is Spanish, not Latin, and "in" is English as written in India.
LOCALES = {
    code: code for code in ("ar", "de", "en", "fr", "hi", "id", "it", "ja", "ms", "pl", "ru", "th", "tr")
}
LOCALES |= {
    "br": "pt_BR",
    "in": "en",
    "kz": "kk",
    "la": "es",
    "sc": "zh_Hans",
    "tc": "zh_Hant",
    "ua": "uk",
    "vn": "vi",
}


@dataclass(frozen=True)
class Language:
    """A locale with its catalogue."""

    locale: Locale
    catalogue: NullTranslations

    @property
    def tag(self) -> str:
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        return self.locale.text_direction


# The strings in the source are the English ones, so English needs no catalogue.
ENGLISH = Language(Locale("en"), NullTranslations())


def use(lang: str | None, *, catalogues: Path = CATALOGUES) -> Language:
    """Speak the language of a Bitrix24 code for the rest of the request; English where we have no other."""
    g.language = find(lang, catalogues=catalogues)
    return current()


def find(lang: str | None, *, catalogues: Path = CATALOGUES) -> Language:
    """Return the language of a Bitrix24 code if it has a catalogue, else English."""
    locale = LOCALES.get((lang or "").lower(), "en")
    path = catalogues / locale / "LC_MESSAGES" / "messages.po"
    return Language(Locale.parse(locale), _read(path)) if path.is_file() else ENGLISH


@cache
def _read(path: Path) -> NullTranslations:
    # Compiled in memory, once a process: a catalogue is small, and a .mo in the repository goes stale.
    compiled = io.BytesIO()
    write_mo(compiled, _catalogue(path))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def everywhere(message: str) -> dict[str, str]:
    """Return a message in every language there is a catalogue for, by Bitrix24's codes."""
    spoken = {code: find(code) for code in LOCALES}
    return {
        code: language.catalogue.gettext(message)
        for code, language in spoken.items()
        if code == "en" or language is not ENGLISH
    }


def current() -> Language:
    """Return the language in use; English outside a request."""
    language = g.get("language") if has_app_context() else None
    return language if isinstance(language, Language) else ENGLISH


def _(message: str) -> str:
    return current().catalogue.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    return current().catalogue.ngettext(singular, plural, n)


def pgettext(context: str, message: str) -> str:
    return current().catalogue.pgettext(context, message)


def npgettext(context: str, singular: str, plural: str, n: int) -> str:
    return current().catalogue.npgettext(context, singular, plural, n)


def N_(message: str) -> str:
    """Mark a constant for extraction; it is translated where it is shown."""
    return message


def install(env: Environment) -> None:
    """Teach the templates to speak the language in use."""
    env.add_extension("jinja2.ext.i18n")
    env.policies["ext.i18n.trimmed"] = True
    # The extension adds this method to the environment, which its type cannot know.
    env.install_gettext_callables(  # type: ignore[attr-defined]
        _, ngettext, newstyle=True, pgettext=pgettext, npgettext=npgettext
    )
    env.globals["language"] = current


def extract() -> Catalog:
    """Return every string to translate, as the sources have them now."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    catalogue = Catalog(
        project="Calendar settings", header_comment="# Every string to translate.", fuzzy=False
    )
    found = extract_from_dir(ROOT, methods, options, comment_tags=("Translators:",), strip_comment_tags=True)
    for filename, line, message, comments, context in found:
        catalogue.add(message, locations=[(filename, line)], auto_comments=comments, context=context)
    return catalogue


def complaints(extracted: Catalog, written: Catalog, translated: list[Catalog]) -> Iterator[str]:
    """Yield what keeps the catalogues from being complete and true."""
    now, then = _messages(extracted), _messages(written)
    yield from (f"messages.pot lacks {message!r}" for message in now - then)
    yield from (f"messages.pot still has {message!r}" for message in then - now)
    for catalogue in translated:
        yield from (
            f"{catalogue.locale} lacks {message!r}" for message in now - _messages(catalogue, done=True)
        )
        wrong = (
            f"{catalogue.locale}, {message.id!r}: {error}"
            for message, errors in catalogue.check()
            for error in errors
        )
        yield from wrong


def _messages(catalogue: Catalog, *, done: bool = False) -> set[tuple[object, str | None]]:
    """Return the ids with their contexts; only translated ones when asked for."""
    return {
        (message.id, message.context)
        for message in catalogue
        if message.id and not (done and (message.fuzzy or not _complete(message.string)))
    }


def _complete(string: str | tuple[str, ...] | list[str] | None) -> bool:
    return all(string) if isinstance(string, list | tuple) else bool(string)


def main(command: str) -> str | None:
    """Write or check the catalogue template; return the complaint to end with, None when all is well."""
    if command == "extract":
        TEMPLATE.parent.mkdir(exist_ok=True)
        with TEMPLATE.open("wb") as file:
            # Line numbers would make every edit of a template an edit of this file.
            write_po(file, extract(), sort_by_file=True, include_lineno=False)
        return None
    if command == "check":
        translated = [_catalogue(path) for path in sorted(CATALOGUES.glob("*/LC_MESSAGES/messages.po"))]
        return "\n".join(sorted(complaints(extract(), _catalogue(TEMPLATE), translated))) or None
    return "usage: python -m dashboard.web.language extract|check"


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
