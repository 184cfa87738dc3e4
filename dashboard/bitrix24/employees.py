"""The list of a portal's employees, by ``user.get`` (user/user-get.md): pages of fifty, fifty a request."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any

from pydantic import BeforeValidator

from dashboard.bitrix24.answers import Answered, Flag, Id, Text, read_as
from dashboard.bitrix24.client import LONGEST_BATCH, Batch, Client, Command
from dashboard.bitrix24.errors import Unreadable
from dashboard.shapes import Json, whole

METHOD = "user.get"
PAGE = 50
LARGEST_PORTAL = 200_000
LONGEST_ADDRESS = 1000
FIELDS = (
    *("ID", "ACTIVE", "NAME", "LAST_NAME", "WORK_POSITION"),
    *("PERSONAL_PHOTO", "UF_DEPARTMENT", "TIME_ZONE", "USER_TYPE"),
)


def _photo(value: Any) -> Any:
    fits = isinstance(value, str) and value.startswith("https://") and len(value) <= LONGEST_ADDRESS
    return value if fits and value.isprintable() else ""


def _departments(value: Any) -> Any:
    """Return numbers; the list may be a map with gaps, hold text, or be missing."""
    listed = list(value.values()) if isinstance(value, dict) else value
    return tuple(number for one in listed if (number := whole(one))) if isinstance(listed, list) else ()


class Employee(Answered):
    """One row; who is dismissed, a guest or a machine is told apart by the filter, and once more here."""

    ID: Id
    ACTIVE: Flag = True
    NAME: Text = ""
    LAST_NAME: Text = ""
    WORK_POSITION: Text = ""
    TIME_ZONE: Text = ""
    USER_TYPE: Text = "employee"
    PERSONAL_PHOTO: Annotated[str, BeforeValidator(_photo)] = ""
    UF_DEPARTMENT: Annotated[tuple[int, ...], BeforeValidator(_departments)] = ()

    @property
    def full_name(self) -> str:
        return f"{self.NAME} {self.LAST_NAME}".strip()[:255]

    @property
    def works_here(self) -> bool:
        return self.ACTIVE and self.USER_TYPE in ("employee", "")


def everyone(client: Client, token: str, *, expected: int) -> dict[int, Employee]:
    """Return the active employees by their number; ``expected`` of them were there the last time.

    :raise Bitrix24Error: a page could not be read; then nothing is known about anybody.
    """
    found: dict[int, Employee] = {}
    start, pages = 0, min(LONGEST_BATCH, expected // PAGE + 1)
    while pages > 0 and start < LARGEST_PORTAL:
        commands = {f"page{number}": _page(start + number * PAGE) for number in range(pages)}
        batch = client.batch(commands, token=token)
        listed = [_listed(batch, key) for key in commands]
        for row in (row for page in listed for row in _rows(page)):
            found[row.ID] = row
        start += pages * PAGE
        pages = _pages_left(batch, start, last_page=listed[-1])
    return {number: row for number, row in found.items() if row.works_here}


def still_here(client: Client, token: str, user_ids: Iterable[int]) -> set[int]:
    """Return which of these people are active employees, asking for each by their number.

    A list read page by page misses somebody when another one leaves meanwhile; this does not.
    """
    numbers, here = iter(user_ids), set[int]()
    while chunk := list(islice(numbers, PAGE * LONGEST_BATCH)):
        chosen = [chunk[at : at + PAGE] for at in range(0, len(chunk), PAGE)]
        commands = {f"page{number}": _page(0, user_ids=some) for number, some in enumerate(chosen)}
        batch = client.batch(commands, token=token)
        here |= {row.ID for key in commands for row in _rows(_listed(batch, key)) if row.works_here}
    return here


def _page(start: int, *, user_ids: Iterable[int] = ()) -> Command:
    parameters = {"sort": "ID", "order": "ASC", "start": str(start)}
    parameters |= {"FILTER[USER_TYPE]": "employee", "FILTER[ACTIVE]": "true"}
    parameters |= {f"FILTER[ID][{number}]": str(user_id) for number, user_id in enumerate(user_ids)}
    parameters |= {f"select[{number}]": name for number, name in enumerate(FIELDS)}
    return Command(METHOD, parameters)


def _listed(batch: Batch, key: str) -> list[Json]:
    """Return a page as it came; one that is no list is an error."""
    listed = batch[key]
    if isinstance(listed, dict):
        listed = list(listed.values())
    if not isinstance(listed, list):
        raise Unreadable("bad_answer")
    return listed


def _rows(page: list[Json]) -> list[Employee]:
    """Return a page's people; a row that is none is left out."""
    return [row for one in page if (row := _employee(one))]


def _employee(row: Json) -> Employee | None:
    try:
        return read_as(Employee, row)
    except Unreadable:
        return None


def _pages_left(batch: Batch, start: int, *, last_page: list[Json]) -> int:
    """Return how many pages to ask for next; a portal that does not count has more after a full page."""
    totals = [total for told in batch.totals.values() if (total := whole(told))]
    if totals:
        return min(LONGEST_BATCH, math.ceil((max(totals) - start) / PAGE))
    return LONGEST_BATCH if len(last_page) >= PAGE else 0
