"""List a portal's employees with ``user.get`` (Bitrix24 REST docs, user/user-get.md), which returns pages of fifty."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from pydantic import BeforeValidator

from dashboard.bitrix24.client import MAX_BATCH_COMMANDS, BatchResult, Client, Command
from dashboard.bitrix24.errors import BAD_RESPONSE, RESPONSE_TOO_LARGE, Unreadable
from dashboard.bitrix24.schemas import Flag, Text, User, parse_as
from dashboard.bitrix24.transport import ResponseLimit
from dashboard.core.json_values import Json, as_list, parse_int

METHOD = "user.get"
PAGE_SIZE = 50
MAX_USERS = 50_000  # five times as many as the largest plan of Bitrix24's cloud has
MAX_URL_LENGTH = 1000
MAX_DEPARTMENTS_OF_USER = 10
# Characters of a whole list: 300 for each user of the largest portal. A self-hosted portal can answer anything,
# and must not fill the database.
MAX_LIST_SIZE = 15_000_000
MAX_CHECKED_USERS = PAGE_SIZE * MAX_BATCH_COMMANDS  # users in one request
DEPARTMENT_SIZE = 20  # characters of a department's id in JSON, at most
# 1.6 KB and 80 values for each user, because some portals send all fields. Only workers list users.
LIST_LIMIT = ResponseLimit(bytes=4 * 1024 * 1024, values=200_000)
FIELDS = (
    *("ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "WORK_POSITION"),
    *("PERSONAL_PHOTO", "UF_DEPARTMENT", "TIME_ZONE", "USER_TYPE"),
)


# Photos are stored only from these addresses. The Content-Security-Policy of pages allows the second one only in
# development, where portals run on this machine (TRUST_LOOPBACK).
PHOTO_ADDRESSES = ("https://", "http://localhost:")


def _parse_photo(value: Any) -> str:
    if isinstance(value, str) and value.startswith(PHOTO_ADDRESSES) and len(value) <= MAX_URL_LENGTH:
        return value if value.isprintable() else ""
    return ""


def _parse_departments(value: Any) -> tuple[int, ...]:
    numbers = map(parse_int, (as_list(value) or [])[:MAX_DEPARTMENTS_OF_USER])
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
        texts = (self.NAME, self.LAST_NAME, self.SECOND_NAME, self.WORK_POSITION, self.TIME_ZONE, self.PERSONAL_PHOTO)
        return sum(map(len, texts)) + DEPARTMENT_SIZE * len(self.UF_DEPARTMENT)

    @property
    def is_employed(self) -> bool:
        """Tell whether this is an active employee."""
        return self.ACTIVE and self.USER_TYPE in ("employee", "")


@dataclass(frozen=True)
class ListPosition:
    """How far a list has been read. It is stored, so that the next slice of a run can continue."""

    start: int = 0  # rows before the next page
    pages: int = 1  # to request next; 0 at the end of the list
    received: int = 0  # rows
    size: int = 0  # characters
    last_id: int = 0  # the highest user ID
    is_full: bool = False  # whether there was no room to store some users
    reader: int | None = None  # the id of the person whose token reads the list; see `sync/directory_sync.py`
    refused: Sequence[int] = ()  # the ids of the people whose token could not read it

    @classmethod
    def first(cls, *, expected: int, reader: int, refused: Sequence[int] = ()) -> ListPosition:
        """Return the beginning of a list that had ``expected`` users last time."""
        return cls(pages=min(MAX_BATCH_COMMANDS, expected // PAGE_SIZE + 1), reader=reader, refused=refused)

    @classmethod
    def load(cls, stored: Mapping[str, Any] | None) -> ListPosition:
        """Return a stored position; one without a reader if none is stored, or another version stored it."""
        names = {field.name for field in fields(cls)}
        return cls(**stored) if stored is not None and stored.keys() == names else cls()


@dataclass(frozen=True)
class ListPart:
    """The active employees of one request by ID, where the list continues, and whether it seems complete so far."""

    employees: Mapping[int, Employee]
    next: ListPosition
    complete: bool


def read_part(client: Client, token: str, position: ListPosition) -> ListPart:
    """Return the active employees of the next pages, in one request.

    The list is incomplete where a portal repeats pages (some ignore ``start``), names a next page after one
    that is not full, counts at least a page of users more than it listed, or sends a page, a response or a
    list that is larger than any real one.

    :raise Bitrix24Error: a page could not be read.
    """
    commands = {f"page{number}": _page_command(position.start + number * PAGE_SIZE) for number in range(position.pages)}
    batch = _call(client, token, commands)
    if batch is None:
        return ListPart({}, position, complete=False)
    users: dict[int, Employee] = {}
    received, size, complete = position.received, position.size, True
    for key in commands:
        rows = _rows(batch, key)
        page = _parse_rows(rows)
        # The list is sorted by ID, so a page without a higher ID was returned before.
        is_new = bool(page.keys() - users.keys()) and max(page) > position.last_id
        complete = complete and _is_in_order(rows, is_new=is_new, batch=batch, key=key)
        users |= page
        received += len(rows)
        size += sum(user.size for user in page.values())
    totals = [total for value in batch.totals.values() if (total := parse_int(value)) is not None]
    start = position.start + len(commands) * PAGE_SIZE
    pages = _pages_left(totals, start, is_full=len(rows) >= PAGE_SIZE)
    complete = complete and size <= MAX_LIST_SIZE and (not pages or start < MAX_USERS)
    # Users come and go while the list is read, so a difference of less than a page is normal.
    complete = complete and (pages > 0 or min(totals, default=0) - received < PAGE_SIZE)
    last_id = max((position.last_id, *users))
    next_position = replace(position, start=start, pages=pages, received=received, size=size, last_id=last_id)
    return ListPart({user_id: user for user_id, user in users.items() if user.is_employed}, next_position, complete)


def find_still_employed(client: Client, token: str, user_ids: Collection[int]) -> set[int]:
    """Return which users are active employees; all of them if the response is not plausible.

    One request checks up to MAX_CHECKED_USERS. Reading the list page by page can miss a user when another one leaves
    meanwhile; a filter by ID cannot.
    """
    ordered = sorted(user_ids)
    pages = [ordered[at : at + PAGE_SIZE] for at in range(0, len(ordered), PAGE_SIZE)]
    commands = {f"page{number}": _page_command(0, user_ids=page) for number, page in enumerate(pages)}
    batch = _call(client, token, commands)
    if batch is None:
        return set(user_ids)
    users = {user_id: user for key in commands for user_id, user in _parse_rows(_rows(batch, key)).items()}
    if not users.keys() <= set(user_ids):
        return set(user_ids)  # the portal ignores the filter by ID
    return {user_id for user_id, user in users.items() if user.is_employed}


def _call(client: Client, token: str, commands: Mapping[str, Command]) -> BatchResult | None:
    """Return the batch; None if the response is too large, because a retry would not help."""
    try:
        return client.batch(commands, token=token, read_only=True, limit=LIST_LIMIT)
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
        raise Unreadable(BAD_RESPONSE)
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
