"""The departments of a portal, with their heads."""

from dataclasses import dataclass


@dataclass
class Department:
    """A department; the company itself has no parent."""

    id: int
    name: str
    parent: int | None = None
    head: int | None = None
    sort: int = 500


def company() -> list[Department]:
    """Return the departments of Alpha: two of them have departments below, one has a head of no portal."""
    return [
        Department(1, "Alpha", head=1),
        Department(2, "Engineering", parent=1, head=7, sort=100),
        Department(3, "Platform <b>", parent=2, sort=100),
        Department(4, "Sales & partners", parent=1, head=9, sort=200),
        Department(5, "Поддержка", parent=4, head=999, sort=300),
    ]
