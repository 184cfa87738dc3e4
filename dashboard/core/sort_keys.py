"""Compute keys that sort names as languages do, because databases order text in their own ways.

PyICU has no wheels, and the collations of SQLite and Postgres differ. So each person has two stored keys, and a page
uses the one that suits its reader's language. Accents count only in the second one: German sorts Ä with A, but Polish
has Ó, and Turkish Ö, after all of O.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from dashboard.core.search_text import fold

MAX_LENGTH = 100  # of a key; names that differ only later are sorted by their ids

# Higher than any letter. The key of ñ is "n" and this, so ñ follows all words that have n at its place.
_AFTER = "\uffff"


def _after(base: str, letters: str) -> dict[str, str]:
    """Return keys for letters that follow all words with ``base`` at that place, in this order."""
    return {letter: f"{base}{_AFTER}{number}" for number, letter in enumerate(letters, start=1)}


# Letters that stand after another one in all languages that have them.
_LETTERS = {
    **_after("n", "ñ"),
    **_after("а", "ә"),
    **_after("г", "ґғ"),
    **_after("е", "є"),
    **_after("и", "іїй"),
    **_after("к", "қ"),
    **_after("н", "ң"),
    **_after("о", "ө"),
    **_after("у", "ўүұ"),
}
# Letters of the Polish and Turkish alphabets that other languages sort as variants of a letter.
_ACCENTED_LETTERS = {
    **_LETTERS,
    **_after("a", "ą"),
    **_after("c", "ćç"),
    **_after("e", "ę"),
    **_after("g", "ğ"),
    **_after("h", "ı"),
    **_after("l", "ł"),
    **_after("n", "ńñ"),
    **_after("o", "óö"),
    **_after("s", "śş"),
    **_after("u", "ü"),
    **_after("z", "źż"),
    "İ": f"i{_AFTER}1",
}
LANGUAGES_WITH_ACCENTED_LETTERS = frozenset({"pl", "tr"})


def sort_key(name: str) -> str:
    """Return the key of a name for most languages."""
    return "".join(map(_weight, unicodedata.normalize("NFC", name)))[:MAX_LENGTH]


def accented_sort_key(name: str) -> str:
    """Return the key of a name for the languages in which letters with accents are letters of their own."""
    return "".join(map(_accented_weight, unicodedata.normalize("NFC", name)))[:MAX_LENGTH]


# A list of employees has the same few letters a hundred thousand times.
@lru_cache(maxsize=4096)
def _weight(letter: str) -> str:
    return _weight_among(letter, _LETTERS)


@lru_cache(maxsize=4096)
def _accented_weight(letter: str) -> str:
    return _weight_among(letter, _ACCENTED_LETTERS)


def _weight_among(letter: str, letters: dict[str, str]) -> str:
    folded = letter.casefold()
    return letters.get(letter) or letters.get(folded) or fold(folded)
