"""The list of a portal's employees, by ``user.get`` (user/user-get.md): pages of fifty, fifty a request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from pydantic import BeforeValidator

from dashboard.bitrix24.client import MAX_BATCH_COMMANDS, Batch, Client, Command
from dashboard.bitrix24.errors import Unreadable
from dashboard.bitrix24.schemas import Flag, Id, PersonName, Text, parse_as
from dashboard.core.json_values import Json, as_list, parse_int

METHOD = "user.get"
TOO_LARGE = "answer_too_large"
PAGE_SIZE = 50
MAX_USERS = 200_000
MAX_URL_LENGTH = 1000
MAX_DEPARTMENTS = 50  # of one person
# Of all that is listed, in characters: three hundred for each person of the largest portal. A portal on its
# owner's server answers what it likes, and a worker that reads it must not run out of memory.
MAX_LIST_SIZE = 60_000_000
DEPARTMENT_SIZE = 20
FIELDS = (
    *("ID", "ACTIVE", "NAME", "LAST_NAME", "WORK_POSITION"),
    *("PERSONAL_PHOTO", "UF_DEPARTMENT", "TIME_ZONE", "USER_TYPE"),
)


def _photo(value: Any) -> Any:
    fits = isinstance(value, str) and value.startswith("https://") and len(value) <= MAX_URL_LENGTH
    return value if fits and value.isprintable() else ""


def _departments(value: Any) -> Any:
    """Return numbers; the list may hold text, or be missing."""
    numbers = map(parse_int, (as_list(value) or [])[:MAX_DEPARTMENTS])
    return tuple(number for number in numbers if number)


class Employee(PersonName):
    """One row; who is dismissed, a guest or a machine is told apart by the filter, and once more here."""

    ID: Id
    ACTIVE: Flag = True
    WORK_POSITION: Text = ""
    TIME_ZONE: Text = ""
    USER_TYPE: Text = "employee"
    PERSONAL_PHOTO: Annotated[str, BeforeValidator(_photo)] = ""
    UF_DEPARTMENT: Annotated[tuple[int, ...], BeforeValidator(_departments)] = ()

    @property
    def size(self) -> int:
        """Return about how many characters are kept of the row."""
        texts = (self.NAME, self.LAST_NAME, self.WORK_POSITION, self.TIME_ZONE, self.PERSONAL_PHOTO)
        return sum(map(len, texts)) + DEPARTMENT_SIZE * len(self.UF_DEPARTMENT)

    @property
    def works_here(self) -> bool:
        return self.ACTIVE and self.USER_TYPE in ("employee", "")


@dataclass(frozen=True)
class EmployeeList:
    """The active employees by their number, and whether these are all of them as far as one can tell."""

    people: Mapping[int, Employee]
    complete: bool


def list_employees(client: Client, token: str, *, expected: int) -> EmployeeList:
    """Return the active employees; ``expected`` of them were there the last time.

    The list is incomplete where a portal repeats pages, as one does that ignores ``start``, where it names a
    next page after one that is not full, where at the end it counts a page of people more than it listed, and
    where a page, an answer or the whole is larger than any real one.

    :raise Bitrix24Error: a page could not be read; then nothing is known about anybody.
    """
    found: dict[int, Employee] = {}
    start, listed, size, complete = 0, 0, 0, True
    totals: list[int] = []
    pages = min(MAX_BATCH_COMMANDS, expected // PAGE_SIZE + 1)
    while pages > 0 and complete:
        commands = {f"page{number}": _page(start + number * PAGE_SIZE) for number in range(pages)}
        batch = _batch(client, token, commands)
        if batch is None:
            complete = False
            break
        totals = _totals(batch)
        for key in commands:
            page = _listed(batch, key)
            rows = {row.ID: row for row in _rows(page)}
            complete = complete and _is_in_order(page, is_new=bool(rows.keys() - found.keys()), batch=batch, key=key)
            found |= rows
            listed += len(page)
            size += sum(row.size for row in rows.values())
        start += pages * PAGE_SIZE
        pages = _pages_left(batch, start, is_full=len(page) >= PAGE_SIZE)
        complete = complete and size <= MAX_LIST_SIZE and (not pages or start < MAX_USERS)
    # Fewer than a page: people come and go while the list is read.
    complete = complete and min(totals, default=0) - listed < PAGE_SIZE
    return EmployeeList({number: row for number, row in found.items() if row.works_here}, complete)


def find_still_employed(client: Client, token: str, user_ids: Iterable[int]) -> set[int]:
    """Return which of these people are active employees, asking for each by their number.

    A list read page by page misses somebody when another one leaves meanwhile; this does not.
    """
    asked, here = tuple(user_ids), set[int]()
    numbers = iter(asked)
    while chunk := list(islice(numbers, PAGE_SIZE * MAX_BATCH_COMMANDS)):
        chosen = [chunk[at : at + PAGE_SIZE] for at in range(0, len(chunk), PAGE_SIZE)]
        commands = {f"page{number}": _page(0, user_ids=some) for number, some in enumerate(chosen)}
        batch = _batch(client, token, commands)
        if batch is None:
            return set(asked)
        rows = [row for key in commands for row in _rows(_listed(batch, key))]
        if not {row.ID for row in rows} <= set(chunk):
            return set(asked)  # the portal ignored the numbers, so its answer says nothing about them
        here |= {row.ID for row in rows if row.works_here}
    return here


def _batch(client: Client, token: str, commands: Mapping[str, Command]) -> Batch | None:
    """Return the answer, None where it is larger than any real one: it will be no smaller later."""
    try:
        return client.batch(commands, token=token, read_only=True)
    except Unreadable as error:
        if error.code != TOO_LARGE:
            raise
        return None


def _page(start: int, *, user_ids: Iterable[int] = ()) -> Command:
    parameters = {"sort": "ID", "order": "ASC", "start": str(start)}
    parameters |= {"FILTER[USER_TYPE]": "employee", "FILTER[ACTIVE]": "true"}
    parameters |= {f"FILTER[ID][{number}]": str(user_id) for number, user_id in enumerate(user_ids)}
    parameters |= {f"select[{number}]": name for number, name in enumerate(FIELDS)}
    return Command(METHOD, parameters)


def _listed(batch: Batch, key: str) -> list[Json]:
    """Return a page as it came; one that is no list is an error."""
    listed = as_list(batch[key])
    if listed is None:
        raise Unreadable("bad_answer")
    return listed


def _is_in_order(page: list[Json], *, is_new: bool, batch: Batch, key: str) -> bool:
    """Tell whether a page is one of a list that goes on as documented, to the end."""
    if len(page) > PAGE_SIZE:
        return False
    return is_new if len(page) == PAGE_SIZE else not parse_int(batch.nexts.get(key))


def _rows(page: list[Json]) -> list[Employee]:
    """Return a page's people; a row that is none is left out, and so is what is more than a page."""
    return [row for one in page[:PAGE_SIZE] if (row := _employee(one))]


def _employee(row: Json) -> Employee | None:
    try:
        return parse_as(Employee, row)
    except Unreadable:
        return None


def _totals(batch: Batch) -> list[int]:
    return [total for told in batch.totals.values() if (total := parse_int(told)) is not None]


def _pages_left(batch: Batch, start: int, *, is_full: bool) -> int:
    """Return how many pages to ask for next. After a full page there may be more, whatever is counted."""
    totals = _totals(batch)
    told = math.ceil((max(totals, default=0) - start) / PAGE_SIZE)
    if told > 0 or not is_full:
        return min(MAX_BATCH_COMMANDS, max(0, told))
    # Nothing is counted, or more was listed than counted: only a page that is not full is the last one.
    return 1 if start - max(totals, default=0) < PAGE_SIZE else MAX_BATCH_COMMANDS
