"""List a portal's departments with ``department.get`` (Bitrix24 REST docs, departments/department-get.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from dashboard.bitrix24.client import MAX_BATCH_COMMANDS, BatchResult, Client, Command
from dashboard.bitrix24.errors import BAD_RESPONSE, Unreadable
from dashboard.bitrix24.schemas import Id, OptionalId, ResponseModel, Text, parse_as
from dashboard.bitrix24.transport import ResponseLimit
from dashboard.core.json_values import as_list, parse_int

METHOD = "department.get"
SCOPE = "department"
PAGE_SIZE = 50
# More than real companies have; a portal may invent any number of them.
MAX_PORTAL_DEPARTMENTS = 5_000
DEFAULT_SORT, MAX_SORT = 500, 2**31 - 1
# A page has names of up to 255 characters, and portals may add fields. Only workers list departments.
LIST_LIMIT = ResponseLimit(bytes=4 * 1024 * 1024, values=100_000)


def _parse_sort(value: Any) -> int:
    number = parse_int(value)
    return DEFAULT_SORT if number is None else min(max(number, 0), MAX_SORT)


class ListedDepartment(ResponseModel):
    """A department. The company itself has no parent, and a department without a head has ``0`` or no field."""

    ID: Id
    NAME: Text = ""
    PARENT: OptionalId = None
    SORT: Annotated[int, BeforeValidator(_parse_sort)] = DEFAULT_SORT
    UF_HEAD: OptionalId = None


class LedDepartments(NamedTuple):
    """The ids of the departments that a user heads; there may be more if they fill a page."""

    ids: frozenset[int]
    is_complete: bool


def read_departments(client: Client, token: str) -> dict[int, ListedDepartment]:
    """Return the departments by ID, at most MAX_PORTAL_DEPARTMENTS of them, in one request for each fifty pages.

    The list ends where a portal repeats pages (some ignore ``start``).

    :raise Bitrix24Error: a page could not be read.
    """
    departments: dict[int, ListedDepartment] = {}
    starts: Iterable[int] = [0]
    while starts:
        commands = {f"departments{start}": _page_command(start) for start in starts}
        batch = client.batch(commands, token=token, read_only=True, limit=LIST_LIMIT)
        pages = [_parse_page(batch, key) for key in commands]
        last_start = max(starts)
        if not any(page.keys() - departments.keys() for page in pages):
            break
        for page in pages:
            departments |= page
        starts = _following_starts(batch, last_start + PAGE_SIZE, is_full=len(pages[-1]) >= PAGE_SIZE)
    return dict(list(departments.items())[:MAX_PORTAL_DEPARTMENTS])


def led_departments(user_id: int) -> Command:
    """Return the command that lists the departments a user heads; see ``parse_led_departments``."""
    return Command(METHOD, {"sort": "ID", "order": "ASC", "UF_HEAD": str(user_id)})


def parse_led_departments(batch: BatchResult, key: str, user_id: int) -> LedDepartments:
    """Return the departments that the user heads.

    :raise Bitrix24Error: they could not be read.
    """
    page = _parse_page(batch, key)
    ids = frozenset(department.ID for department in page.values() if user_id == department.UF_HEAD)
    return LedDepartments(ids, is_complete=len(page) < PAGE_SIZE)


def _page_command(start: int) -> Command:
    return Command(METHOD, {"sort": "ID", "order": "ASC", "START": str(start)})


def _parse_page(batch: BatchResult, key: str) -> dict[int, ListedDepartment]:
    """Return the departments of a page, without malformed rows and rows beyond a page."""
    rows = as_list(batch[key])
    if rows is None:
        raise Unreadable(BAD_RESPONSE)
    departments: dict[int, ListedDepartment] = {}
    for row in rows[:PAGE_SIZE]:
        with suppress(Unreadable):
            department = parse_as(ListedDepartment, row)
            departments[department.ID] = department
    return departments


def _following_starts(batch: BatchResult, start: int, *, is_full: bool) -> range:
    """Return where the next pages start: as many as the total needs; after a full page without a total, a batch.

    One request for each page would let a portal that answers slowly keep a worker's thread for an hour.
    """
    totals = [total for value in batch.totals.values() if (total := parse_int(value)) is not None]
    end = min(max(totals, default=0), MAX_PORTAL_DEPARTMENTS)
    pages = max(math.ceil((end - start) / PAGE_SIZE), 0)
    if not pages and is_full:
        pages = math.ceil((MAX_PORTAL_DEPARTMENTS - start) / PAGE_SIZE)
    return range(start, start + PAGE_SIZE * min(pages, MAX_BATCH_COMMANDS), PAGE_SIZE)
