"""Fold text for searching and sorting, because SQLite folds the case of ASCII letters only."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import literal
from sqlalchemy.sql.functions import GenericFunction

# Case folding may triple a text. Both bounds keep a search among ten thousand people fast.
MAX_TEXT_LENGTH = 300
MAX_NEEDLE_LENGTH = 60

# Accents of Latin, Greek and Cyrillic letters, and the vowel points of Hebrew and Arabic. Other scripts have marks that
# make different words.
MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")
# Letters that Unicode does not compose of a letter and a mark.
UNMARKED_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
)


def searchable(name: str, position: str) -> str:
    """Return the text that a search for a person looks in."""
    return fold(f"{name}\n{position}")[:MAX_TEXT_LENGTH]


def fold(text: str) -> str:
    """Return a text without differences of case, accents and composition: ё is е, ß is ss, and ł is l."""
    unmarked = MARKS.sub("", unicodedata.normalize("NFD", text.casefold()))
    return unicodedata.normalize("NFC", unmarked.translate(UNMARKED_LETTERS))


def contains(column: ColumnElement[str] | Any, needle: str) -> ColumnElement[bool]:
    """Return the SQL condition that a searchable text contains the folded needle, up to MAX_NEEDLE_LENGTH.

    LIKE is a hundred times as slow for texts that repeat one letter.
    """
    return strpos(column, literal(needle[:MAX_NEEDLE_LENGTH])) > 0


class strpos(GenericFunction[int]):  # SQLAlchemy takes Postgres's name from the class
    """The position of a text in another one, from 1; 0 if it is not there."""

    type = Integer()
    inherit_cache = True


@compiles(strpos, "sqlite")
def _instr(function: strpos, compiler: Any, **options: Any) -> str:
    return f"instr{compiler.process(function.clause_expr, **options)}"
