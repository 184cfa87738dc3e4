"""List a portal's employees with ``user.get`` (Bitrix24 REST docs, user/user-get.md), which returns pages of fifty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from pydantic import BeforeValidator

from dashboard.bitrix24.client import MAX_BATCH_COMMANDS, BatchResult, Client, Command
from dashboard.bitrix24.errors import RESPONSE_TOO_LARGE, Unreadable
from dashboard.bitrix24.schemas import Flag, Text, User, parse_as
from dashboard.core.json_values import Json, as_list, parse_int

METHOD = "user.get"
PAGE_SIZE = 50
MAX_USERS = 200_000
MAX_URL_LENGTH = 1000
MAX_DEPARTMENTS = 50  # of one user
# Characters of a whole list: 300 for each user of the largest portal. A self-hosted portal can answer anything,
# and the worker that reads it must not run out of memory.
MAX_LIST_SIZE = 60_000_000
# From this size on, the lists that a process reads take turns; a real one may have some 10,000 users.
LARGE_LIST_SIZE = 3_000_000
DEPARTMENT_SIZE = 20
FIELDS = (
    *("ID", "ACTIVE", "NAME", "LAST_NAME", "WORK_POSITION"),
    *("PERSONAL_PHOTO", "UF_DEPARTMENT", "TIME_ZONE", "USER_TYPE"),
)


def _parse_photo(value: Any) -> str:
    if isinstance(value, str) and value.startswith("https://") and len(value) <= MAX_URL_LENGTH:
        return value if value.isprintable() else ""
    return ""


def _parse_departments(value: Any) -> tuple[int, ...]:
    numbers = map(parse_int, (as_list(value) or [])[:MAX_DEPARTMENTS])
    return tuple(number for number in numbers if number)


class Employee(User):
    """A user of the list. It may be dismissed, a guest or a bot, although the filter excludes these."""

    ACTIVE: Flag = True
    WORK_POSITION: Text = ""
    USER_TYPE: Text = "employee"
    PERSONAL_PHOTO: Annotated[str, BeforeValidator(_parse_photo)] = ""
    UF_DEPARTMENT: Annotated[tuple[int, ...], BeforeValidator(_parse_departments)] = ()

    @property
    def size(self) -> int:
        """Return the approximate number of characters that are kept."""
        texts = (self.NAME, self.LAST_NAME, self.WORK_POSITION, self.TIME_ZONE, self.PERSONAL_PHOTO)
        return sum(map(len, texts)) + DEPARTMENT_SIZE * len(self.UF_DEPARTMENT)

    @property
    def is_employed(self) -> bool:
        """Tell whether this is an active employee."""
        return self.ACTIVE and self.USER_TYPE in ("employee", "")


@dataclass(frozen=True)
class EmployeeList:
    """The active employees by ID, and whether the list seems complete."""

    employees: Mapping[int, Employee]
    complete: bool


def list_employees(client: Client, token: str, *, expected: int, wait_for_turn: Callable[[], bool]) -> EmployeeList:
    """Return the active employees; ``expected`` is the number found last time.

    The list is incomplete where a portal repeats pages (some ignore ``start``), names a next page after one
    that is not full, counts at least a page of users more than it listed, or sends a page, a response or a
    list that is larger than any real one. The list is also incomplete if it grows
    large and ``wait_for_turn`` returns False.

    :raise Bitrix24Error: a page could not be read.
    """
    users: dict[int, Employee] = {}
    start, received, size, complete = 0, 0, 0, True
    totals: list[int] = []
    pages = min(MAX_BATCH_COMMANDS, expected // PAGE_SIZE + 1)
    while pages > 0 and complete:
        commands = {f"page{number}": _page_command(start + number * PAGE_SIZE) for number in range(pages)}
        batch = _call(client, token, commands)
        if batch is None:
            complete = False
            break
        totals = [total for value in batch.totals.values() if (total := parse_int(value)) is not None]
        for key in commands:
            rows = _rows(batch, key)
            page = _parse_rows(rows)
            complete = complete and _is_in_order(rows, is_new=bool(page.keys() - users.keys()), batch=batch, key=key)
            users |= page
            received += len(rows)
            size += sum(user.size for user in page.values())
        start += pages * PAGE_SIZE
        pages = _pages_left(totals, start, is_full=len(rows) >= PAGE_SIZE)
        complete = complete and size <= MAX_LIST_SIZE and (not pages or start < MAX_USERS)
        complete = complete and (size < LARGE_LIST_SIZE or wait_for_turn())
    # Users come and go while the list is read, so a difference of less than a page is normal.
    complete = complete and min(totals, default=0) - received < PAGE_SIZE
    return EmployeeList({user_id: user for user_id, user in users.items() if user.is_employed}, complete)


def find_still_employed(client: Client, token: str, user_ids: Iterable[int]) -> set[int]:
    """Return which of these users are active employees; if the response cannot be trusted, all of them.

    A list that is read page by page can miss a user when another one leaves meanwhile; this cannot.
    """
    unchecked, employed = set(user_ids), set[int]()
    remaining = iter(sorted(unchecked))
    while chunk := list(islice(remaining, PAGE_SIZE * MAX_BATCH_COMMANDS)):
        pages = [chunk[at : at + PAGE_SIZE] for at in range(0, len(chunk), PAGE_SIZE)]
        commands = {f"page{number}": _page_command(0, user_ids=page) for number, page in enumerate(pages)}
        batch = _call(client, token, commands)
        if batch is None:
            return unchecked
        users = {user_id: user for key in commands for user_id, user in _parse_rows(_rows(batch, key)).items()}
        if not users.keys() <= set(chunk):
            return unchecked  # the portal ignores the filter by ID
        employed |= {user_id for user_id, user in users.items() if user.is_employed}
    return employed


def _call(client: Client, token: str, commands: Mapping[str, Command]) -> BatchResult | None:
    """Return the batch, None where the response is too large: it would be so again."""
    try:
        return client.batch(commands, token=token, read_only=True)
    except Unreadable as error:
        if error.code != RESPONSE_TOO_LARGE:
            raise
        return None


def _page_command(start: int, *, user_ids: Iterable[int] = ()) -> Command:
    parameters = {"sort": "ID", "order": "ASC", "start": str(start)}
    parameters |= {"FILTER[USER_TYPE]": "employee", "FILTER[ACTIVE]": "true"}
    parameters |= {f"FILTER[ID][{number}]": str(user_id) for number, user_id in enumerate(user_ids)}
    parameters |= {f"select[{number}]": name for number, name in enumerate(FIELDS)}
    return Command(METHOD, parameters)


def _rows(batch: BatchResult, key: str) -> list[Json]:
    rows = as_list(batch[key])
    if rows is None:
        raise Unreadable("bad_answer")
    return rows


def _parse_rows(rows: list[Json]) -> dict[int, Employee]:
    """Return the users of a page by ID, without malformed rows and rows beyond a page."""
    users: dict[int, Employee] = {}
    for row in rows[:PAGE_SIZE]:
        with suppress(Unreadable):
            user = parse_as(Employee, row)
            users[user.ID] = user
    return users


def _is_in_order(rows: list[Json], *, is_new: bool, batch: BatchResult, key: str) -> bool:
    """Tell whether a page continues the list as documented."""
    if len(rows) > PAGE_SIZE:
        return False
    return is_new if len(rows) == PAGE_SIZE else not parse_int(batch.next_starts.get(key))


def _pages_left(totals: list[int], start: int, *, is_full: bool) -> int:
    """Return how many pages to request next; after a full page at least one, whatever the totals say."""
    left = math.ceil((max(totals, default=0) - start) / PAGE_SIZE)
    if left > 0 or not is_full:
        return min(MAX_BATCH_COMMANDS, max(0, left))
    return 1 if start - max(totals, default=0) < PAGE_SIZE else MAX_BATCH_COMMANDS
