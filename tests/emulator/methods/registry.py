"""The table of REST methods: who may call what, and what a call brings along."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import RestError
from ..people import Person
from ..php import entries
from ..portal import Portal

PAGE = 50


@dataclass(frozen=True)
class Listing:
    """One page of a list, with its place in the whole."""

    items: list[Any]
    total: int
    next: int | None


@dataclass
class Call:
    """A method called by somebody, with the parameters as they came."""

    portal: Portal
    person: Person
    client_id: str
    params: dict[str, Any] = field(default_factory=dict)

    def param(self, name: str, default: Any = None) -> Any:
        """Return a parameter whatever its case."""
        for key, value in self.params.items():
            if key.lower() == name.lower():
                return value
        return default

    def fields(self, name: str) -> dict[str, Any]:
        """Return a parameter that is a map."""
        return entries(self.param(name))

    def require_admin(self) -> None:
        """Refuse everybody but administrators."""
        if not self.person.admin:
            raise RestError("ACCESS_DENIED")


Work = Callable[[Call], Any]


@dataclass(frozen=True)
class Method:
    """A method, the scopes of which one is needed, and what it does."""

    name: str
    scopes: tuple[str, ...]
    work: Work

    def allowed(self, granted: list[str]) -> bool:
        """Return whether the granted scopes suffice."""
        return not self.scopes or any(scope in granted for scope in self.scopes)


METHODS: dict[str, Method] = {}


def method(name: str, *scopes: str) -> Callable[[Work], Work]:
    """Register a method; without scopes it is a basic one."""

    def register(work: Work) -> Work:
        METHODS[name] = Method(name, scopes, work)
        return work

    return register


def missing_argument(name: str) -> RestError:
    """Return the refusal of a null argument, which names it a second time."""
    return RestError("ERROR_ARGUMENT", f"Argument '{name}' is null or empty", argument=name)
