"""Faults on order: what goes wrong, where, for which method, how many times."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """Something to go wrong with the next matching request.

    `kind` is one of, with its own value after a colon:

    - `status:500` an empty answer of that status; `html:503` a page of it;
    - `error:CODE[:STATUS[:TEXT]]` Bitrix24's own JSON, the usual status unless given;
    - `truncated` half of the body, then the end; `reset` nothing done, connection reset;
    - `lost` the work is done, then the connection is reset;
    - `hang` no answer; `slow:0.3` the work is done, the answer waits; `trickle:0.05` a byte each;
    - `hold` the work is done, the answer waits until `released` is set;
    - `redirect:URL` a 302; `body:TEXT` 200 with that text; `huge:BYTES` 200 with that many;
    - `answer` the ordinary answer, passed through `change`.
    """

    kind: str
    where: str = "portal"
    method: str = "*"
    times: int | None = 1
    portal: str = "*"
    person: str = "*"
    inner: str = ""
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Return the kind without its value."""
        return self.kind.partition(":")[0]

    @property
    def value(self) -> str:
        """Return what follows the colon."""
        return self.kind.partition(":")[2]


class Faults:
    """The faults still to happen; each is used up by the requests it meets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Order a fault; it stays until it has happened `times` times, or for ever on None."""
        with self._lock:
            self._waiting.append(fault)
        return fault

    def lose_answer(self, method: str, *, times: int = 1) -> Fault:
        """Do the work of a method, such as rotating a token, and lose the answer."""
        return self.add(Fault(kind="lost", where=_home_of(method), method=method, times=times))

    def waiting(self) -> list[Fault]:
        """Return the faults still to happen."""
        with self._lock:
            return list(self._waiting)

    def clear(self) -> None:
        """Call every fault off."""
        with self._lock:
            self._waiting.clear()

    def take(self, *, where: str, method: str, portal: str, person: str, inner: bool = False) -> Fault | None:
        """Return the fault for this request, or for this command of a batch."""
        with self._lock:
            for fault in self._waiting:
                named = fault.inner if inner else fault.method
                if (
                    fault.where == where
                    and bool(fault.inner) == inner
                    and _fits(named, method)
                    and _fits(fault.portal, portal)
                    and _fits(fault.person, person)
                ):
                    self._use(fault)
                    return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times <= 0:
            self._waiting.remove(fault)


def _fits(wanted: str, seen: str) -> bool:
    return wanted in {"*", seen}


def _home_of(method: str) -> str:
    return "authorization" if method in {"oauth/token", "rest/app.info"} else "portal"
