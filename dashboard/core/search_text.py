"""Fold text for searching and sorting, because SQLite folds the case of ASCII letters only."""


def searchable(name: str, position: str) -> str:
    """Return the text that a search for a person looks in."""
    return folded(f"{name}\n{position}")


def folded(text: str) -> str:
    """Return the form in which two texts are compared."""
    return text.casefold().replace("ё", "е")
