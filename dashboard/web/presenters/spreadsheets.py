"""Write tables as CSV files and Excel workbooks, in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import shutil
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, TypeAlias

from babel import Locale
from babel.numbers import get_decimal_symbol

from dashboard.calendar.working_hours import DAY, ClockTime, minutes_to_clock
from dashboard.core.json_values import escape_surrogates

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

# Characters that begin a formula in some spreadsheet, with their full-width and small forms.
FORMULA_STARTS = frozenset("=＝﹦+＋﹢-－﹣−@＠﹫")
# A spreadsheet may split cells at a comma, semicolon, tab or bar, depending on the country and on its import
# dialog, and some ignore quotes. So a cell may begin after each of these, and after every kind of line end.
SEPARATORS = ",;|\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Spreadsheets ignore invisible characters in front of a formula, and remove quotes: spaces, control and format
# characters, combining marks, unassigned characters, and fillers that count as letters.
IGNORED_CATEGORIES = frozenset(["Cc", "Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"])
IGNORED = '"\u115f\u1160\u2800\u3164\uffa0'
# Without it Excel reads the file in the machine's own encoding.
BYTE_ORDER_MARK = "\ufeff"

MAX_BYTES_IN_MEMORY = 1024 * 1024  # of a workbook, which is complete before its first byte can be sent
PART_BYTES = 64 * 1024
TEMPORARY_PREFIX = "team-export-"
MAX_EXPORT_SECONDS = 3600
MAX_SHEET_NAME_LENGTH = 31

Cell: TypeAlias = str | int | datetime | ClockTime | None  # a datetime is the user's local time, without a zone


@dataclass(frozen=True)
class Column:
    """A column of a table: its title and the width of its cells, in characters."""

    title: str
    width: int = 12


def csv_parts(
    columns: Sequence[Column], batches: Iterable[Iterable[Sequence[Cell]]], *, locale: Locale
) -> Iterator[str]:
    """Yield a CSV file: first the titles, then each batch of rows.

    Where the language writes decimals with a comma, spreadsheets expect semicolons between cells.
    """
    delimiter = ";" if get_decimal_symbol(locale) == "," else ","

    def lines(rows: Iterable[Iterable[Cell]]) -> str:
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
        writer.writerows([_without_formulas(_text(cell)) for cell in row] for row in rows)
        return file.getvalue()

    yield BYTE_ORDER_MARK + lines([[column.title for column in columns]])
    yield from map(lines, batches)


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M}"  # every spreadsheet understands this format
        case ClockTime(minutes):
            return minutes_to_clock(minutes)
    return escape_surrogates(str(cell))


def _without_formulas(cell: str) -> str:
    """Put an apostrophe, which marks text, wherever a spreadsheet could see the beginning of a formula."""
    if FORMULA_STARTS.isdisjoint(cell):
        return cell
    characters: list[str] = []
    cell_start: int | None = 0  # until a visible character follows
    for character in cell:
        if cell_start is not None and character in FORMULA_STARTS:
            characters.insert(cell_start, "'")
            cell_start = None
        characters.append(character)
        if character in SEPARATORS:
            cell_start = len(characters)
        elif character not in IGNORED and unicodedata.category(character) not in IGNORED_CATEGORIES:
            cell_start = None
    return "".join(characters)


def workbook_parts(
    name: str, columns: Sequence[Column], batches: Iterable[Iterable[Sequence[Cell]]], *, right_to_left: bool
) -> Iterator[bytes]:
    """Yield an Excel workbook with one sheet, whose titles stay visible and filter the rows.

    Dates and times are values that Excel can compute with.

    :raise OSError: the folder of temporary files has no room. Nothing stays in it.
    """
    # Two megabytes, in a process that has written a workbook.
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import FileCreateError

    _remove_abandoned_folders()
    with TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder, SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as file:
        # Rows go to a temporary file as they come, so the memory does not grow with the table.
        workbook = Workbook(file, {"constant_memory": True, "tmpdir": folder})
        sheet = workbook.add_worksheet(name[:MAX_SHEET_NAME_LENGTH])
        if right_to_left:
            sheet.right_to_left()
        with closing(sheet.row_data_fh):  # XlsxWriter leaves it open if writing fails
            _write_sheet(sheet, columns, batches, workbook)
            try:
                workbook.close()
            except FileCreateError as error:
                raise OSError(str(error)) from error
        file.seek(0)
        while part := file.read(PART_BYTES):
            yield part


def _remove_abandoned_folders() -> None:
    """Delete what killed processes have left: it contains names."""
    for folder in Path(gettempdir()).glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > MAX_EXPORT_SECONDS:
                shutil.rmtree(folder)


def _write_sheet(
    sheet: Worksheet, columns: Sequence[Column], batches: Iterable[Iterable[Sequence[Cell]]], workbook: Workbook
) -> None:
    title = workbook.add_format({"bold": True})
    # The brackets let the midnight that ends a day be 24:00.
    number_formats = {ClockTime: "[hh]:mm", datetime: "yyyy-mm-dd\\ hh:mm"}
    formats = {kind: workbook.add_format({"num_format": code}) for kind, code in number_formats.items()}
    formats[str] = workbook.add_format()
    for number, column in enumerate(columns):
        sheet.set_column(number, number, column.width)
        sheet.write_string(0, number, column.title, title)
    sheet.freeze_panes(1, 0)
    last_row = 0
    for last_row, cells in enumerate((row for rows in batches for row in rows), start=1):
        for number, cell in enumerate(cells):
            _write_cell(sheet, last_row, number, cell, formats)
    sheet.autofilter(0, 0, last_row, len(columns) - 1)


def _write_cell(sheet: Worksheet, row: int, number: int, cell: Cell, formats: Mapping[type, Format]) -> None:
    match cell:
        case datetime():
            sheet.write_datetime(row, number, cell, formats[datetime])
        case ClockTime(minutes):
            sheet.write_number(row, number, minutes / DAY, formats[ClockTime])
        case int():
            sheet.write_number(row, number, cell)
        case str():
            text = escape_surrogates(cell)
            if text.startswith("<r>") and text.endswith("</r>"):
                # XlsxWriter writes such a text as it is, as formatted runs of its own: a formula could be in it.
                sheet.write_rich_string(row, number, text[:1], formats[str], text[1:])
            else:
                sheet.write_string(row, number, text)
