"""The export of the team: the rows of the page, safe for a spreadsheet."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, update
from xlsxwriter.worksheet import Worksheet

from dashboard.models import Person, Portal
from dashboard.team import listing
from dashboard.web.http import streaming
from dashboard.web.http.client_socket import SlowClient
from dashboard.web.presenters import spreadsheets
from tests.emulator.cast import crowd
from tests.team_fixtures import NEVER_OPENED, in_english, rows_on, store_people, today_of
from tests.world import World, errors_on

CROWD = 15
EXPORTS = ("/team.json", "/team.csv", "/team.xlsx", "/admin/export.json")
# Characters of several kinds that nobody sees in a cell, or that stand on the one before.
UNSEEN = "\u00ad\u034f\u0301\u115f\u1160\u17b4\u180b\u200b\u2065\u2800\u3164\ufe0e\ufe0f\uffa0"
UNSEEN += "\U000e0001\U000e0100\U000e0fff"


def table(body: str) -> list[list[str]]:
    assert body.startswith("\ufeff")
    return list(csv.reader(io.StringIO(body.removeprefix("\ufeff"), newline="")))


def filename_of(world: World, extension: str) -> str:
    host = world.portal().domain.replace(":", "-")
    return f'attachment; filename="team-{host}-{today_of(world)}.{extension}"'


def sheet(body: bytes) -> ElementTree.Element:
    """Return the sheet of a workbook, without namespaces."""
    with ZipFile(io.BytesIO(body)) as file:
        return ElementTree.fromstring(re.sub(rb' xmlns(:r)?="[^"]+"', b"", file.read("xl/worksheets/sheet1.xml")))


def cells(body: bytes) -> list[list[str]]:
    """Return the raw values of a workbook's sheet; an empty cell is left out."""
    return [["".join(cell.itertext()) for cell in row] for row in sheet(body).iter("row")]


def test_page_csv_and_json_agree_with_the_portal_person_by_person(world: World) -> None:
    there = world.portal()
    there.add_people(*crowd(CROWD))
    for number in range(CROWD):
        settings = there.people[f"person{number}"].settings
        settings["view"] = ("day", "week", "month", "list")[number % 4]
        settings["work_time_start"], settings["work_time_end"] = f"{7 + number % 4}.30", "17.00"
        settings["defaultReminders"] = {"withTime": {"type": "min", "count": number}, "fullDay": []}
        world.open(f"person{number}")
        world.bitrix24.clock.advance(0.5)
    anna = world.session("anna")

    message = world.browser.get("/team.json?q=crowd", headers=anna).json
    page = rows_on(world.browser.get("/team?q=crowd", headers=anna).text)
    lines = table(world.browser.get("/team.csv?q=crowd", headers=anna).text)[1:]

    assert message is not None
    assert message["total"] == CROWD
    by_user = {entry["user"]: entry for entry in message["people"]}
    for number in range(CROWD):
        person = there.people[f"person{number}"]
        entry = by_user[person.user_id]
        expected = {
            "name": person.full_name,
            "view": person.settings["view"],
            "work_hours": f"{7 + number % 4:02}:30-17:00",
            "timezone": person.settings["timezoneName"],
            "reminders": f"timed:{number}min;day:none",
            "state": "connected",
        }
        assert {name: entry[name] for name in expected} == expected
        row = next(row for row in page if int(row["user"]) == person.user_id)
        for name in ("state", "view", "timezone", "reminders"):
            assert row[name] == entry[name]
        assert row["work-hours"] == entry["work_hours"]
        line = next(line for line in lines if int(line[0]) == person.user_id)
        assert (line[1], line[5], line[6]) == (person.full_name, entry["work_hours"], entry["timezone"])


def test_exports_have_all_pages_of_the_query(world: World) -> None:
    anna = world.session("anna")
    store_people(world, *({"view": "week"} for _ in range(120)), *({"view": "day"} for _ in range(5)))

    message = world.browser.get("/team.json?view=week&page=2", headers=anna).json
    lines = table(world.browser.get("/team.csv?view=day&sort=-name", headers=anna).text)

    assert message is not None
    # Anna's own calendar opens in the week too.
    assert message["total"] == len(message["people"]) == 121
    assert [line[1] for line in lines[1:]] == [f"Colleague {number}" for number in (124, 123, 122, 121, 120)]


def test_csv_opens_in_a_spreadsheet(world: World) -> None:
    anna = world.session("anna")
    store_people(world, {"name": 'Zoë "Z", née Ыч', "position": "Line\u2028break"}, NEVER_OPENED)

    response = world.browser.get("/team.csv", headers=anna)

    assert response.data.startswith(b"\xef\xbb\xbf")
    assert response.content_type == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == filename_of(world, "csv")
    assert response.data.count(b"\r\n") == response.data.count(b"\n") == 4
    assert table(response.text)[2][1:3] == ['Zoë "Z", née Ыч', "Line\u2028break"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_cell_is_a_formula_however_a_spreadsheet_separates(world: World, delimiter: str) -> None:
    anna = world.session("anna")
    starts = ("=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠A1", "﹦1")
    inside = (
        "{}",
        "\t{}",
        " {}",
        "\u202e{}",
        "Bob;{}",
        "Bob; {}",
        "Bob\t{}",
        "Bob,{}",
        'Bob;"{}"',
        "Bob\r\n{}",
    )
    more = ("Bob|{}", "Bob\x00\n\x1f{}", "Bob\u2028{}", 'Bob;""{}')
    hostile = [form.format(start) for form in (*inside, *more) for start in starts]
    hostile += [f"{before}{mark}{start}1" for mark in UNSEEN for before in ("", "Bob; ") for start in "=+-@"]
    hostile += ['Bob;=HYPERLINK("http://evil.example/");', ";=1;=2\t=3"]
    store_people(world, *({"name": name, "position": f"{name}()", "view": name} for name in hostile))

    body = world.browser.get("/team.csv", headers=anna).text

    assert "Bob;'=HYPERLINK(" in body
    lines = csv.reader(io.StringIO(body.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    cells = [cell for line in lines for cell in line]
    assert len(cells) > len(hostile)
    ignored = "".join((*map(chr, range(33)), *UNSEEN, '"\u2028\u202e\x7f'))
    assert not [cell for cell in cells if cell.lstrip(ignored).startswith(tuple("=+-@＝＋－＠﹦"))]


def test_csv_has_semicolons_where_decimals_have_a_comma(world: World) -> None:
    world.portal().people["anna"].lang = "de"
    anna = world.session("anna")
    store_people(world, {"name": "Bob;=1,5"})

    body = world.browser.get("/team.csv?q=bob", headers=anna).text

    lines = list(csv.reader(io.StringIO(body.removeprefix("\ufeff"), newline=""), delimiter=";"))
    assert [line[1] for line in lines] == ["Name", "Bob;'=1,5"]


def test_a_workbook_has_numbers_times_and_dates(each_world: World) -> None:
    anna = in_english(each_world, "anna")
    updated = each_world.now() - timedelta(hours=3)
    people: list[dict[str, Any]] = [
        {"name": "=1+1", "work_start": 540, "work_end": 1440, "settings_at": updated, "view": "week"},
        {"name": "http://a.example/ \x0b", "view": "week"} | NEVER_OPENED,
    ]
    store_people(each_world, *people)

    response = each_world.browser.get("/team.xlsx?q=colleague&sort=-name", headers=anna)

    assert response.headers["Content-Disposition"] == filename_of(each_world, "xlsx")
    local = updated.astimezone(ZoneInfo(each_world.one("SELECT time_zone FROM people WHERE user_id = 1"))).replace(
        tzinfo=None
    )
    days = (local - datetime.fromisoformat("1899-12-30")) / timedelta(days=1)
    titles, link, formula = cells(response.data)
    assert titles == ["User ID", "Name", "Position", "State", "View", "Work starts", "Work ends", "Time zone",
                      "Reminders", "Updated", "UTC offset", "Source of the time zone",
                      "Source of the working hours"]  # fmt: skip
    assert link[:4] == ["5002", "http://a.example/ _x000B_", "Colleague", "Not opened yet"]
    assert formula[:7] == ["5001", "=1+1", "Colleague", "Confirmed", "Week", "0.375", "1"]
    assert abs(float(formula[9]) - days) < 1e-6
    xml = sheet(response.data)
    assert (xml.find(".//f"), xml.find(".//hyperlink")) == (None, None)
    assert xml.find("autoFilter").get("ref") == "A1:M3"  # type: ignore[union-attr]
    assert xml.find(".//pane").get("state") == "frozen"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        '<r><t>x</t></r></is></c><c r="Z2"><f>WEBSERVICE("http://evil.example/")</f><v>0</v></c><r></r>',
        "<r><b></r>",
        "<r></r>",
    ],
)
def test_a_workbook_has_no_markup_of_a_persons_text(world: World, text: str) -> None:
    anna = world.session("anna")
    store_people(world, {"name": "Mallory", "position": text})

    response = world.browser.get("/team.xlsx?q=mallory", headers=anna)

    assert cells(response.data)[1][1:3] == ["Mallory", text]
    assert sheet(response.data).find(".//f") is None


def test_a_full_temporary_folder_is_an_error_that_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names in it would stay on the disk, which would stay full."""
    anna = world.session("anna")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned = tmp_path / f"{spreadsheets.TEMPORARY_PREFIX}killed"
    abandoned.mkdir()
    os.utime(abandoned, (0, 0))

    def fill_the_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Worksheet, "write_number", fill_the_disk)
        refused = world.browser.get("/team.xlsx", headers=anna)
    afterwards = world.browser.get("/team.xlsx", headers=anna)

    assert (refused.status_code, afterwards.status_code) == (503, 200)
    assert len(cells(afterwards.data)) > 1
    assert list(tmp_path.iterdir()) == []


def test_a_workbook_of_an_arabic_reader_begins_at_the_right(world: World) -> None:
    world.portal().people["anna"].lang = "ar"

    view = sheet(world.browser.get("/team.xlsx", headers=world.session("anna")).data).find(".//sheetView")

    assert view is not None
    assert view.get("rightToLeft") == "1"


def test_other_text_stays_as_it_is(world: World) -> None:
    anna = world.session("anna")
    names = ("Jean-Luc", "Ann + Bob", "R&D; Sales, a=b", "a@b.example", "Q - A")
    store_people(world, *({"name": name} for name in names))

    lines = table(world.browser.get("/team.csv", headers=anna).text)

    assert set(names) <= {line[1] for line in lines}


def test_json_of_a_person_who_never_opened_the_app(world: World) -> None:
    anna = world.session("anna")
    store_people(world, NEVER_OPENED | {"zone": "Asia/Kolkata", "zone_source": "profile"})

    message = world.browser.get("/team.json?state=never", headers=anna).json

    assert message == {
        "total": 1,
        "people": [
            {
                "user": 5001, "name": "Colleague 0", "position": "Colleague", "state": "never", "view": "",
                "work_hours": "09:00-18:30", "hours_source": "account",
                "timezone": "Asia/Kolkata", "timezone_source": "profile", "utc_offset": "UTC+05:30", "reminders": "",
                "as_of": None, "problem": None,
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/team.json", "/team.csv"])
def test_exports_are_read_while_they_are_sent(world: World, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The memory for an export does not grow with the team, and people who leave meanwhile are not in it."""
    monkeypatch.setattr(listing, "BATCH_ROWS", 2)
    anna = world.session("anna")
    store_people(world, *({} for _ in range(5)))

    response = world.browser.get(f"{path}?view=month", headers=anna)
    chunks = response.iter_encoded()
    start = next(chunks) + next(chunks)
    with world.database.write_session() as session:
        session.execute(delete(Person).where(Person.user_id > 5003))
    body = (start + b"".join(chunks)).decode()
    response.close()

    if path == "/team.csv":
        assert [line[1] for line in table(body)[1:]] == ["Colleague 0", "Colleague 1", "Colleague 2"]
    else:
        export = json.loads(body)
        assert (export["total"], [person["user"] for person in export["people"]]) == (3, [5001, 5002, 5003])


@pytest.mark.parametrize("path", EXPORTS)
def test_a_person_downloads_one_export_at_a_time(world: World, path: str) -> None:
    anna = world.session("anna")

    download = world.browser.get(path, headers=anna)
    refused = world.browser.get(path, headers=anna)
    download.close()
    accepted = world.browser.get(path, headers=anna)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert errors_on(refused.text) == ["too_many_requests_at_once"]
    assert accepted.status_code == 200
    accepted.close()


def test_a_portal_leaves_a_download_to_another(world: World) -> None:
    world.install("beta")
    world.portal().add_people(*crowd(1))
    alphas = [in_english(world, person) for person in ("anna", "boris", "person0")]
    clara = world.session("clara", "beta")
    with world.database.write_session() as session:
        session.execute(update(Portal).values(team_open=True))
        session.execute(update(Person).values(listed=True))

    downloads = [world.browser.get("/team.csv", headers=headers) for headers in (*alphas, clara)]
    statuses = [download.status_code for download in downloads]
    for download in downloads:
        download.close()

    # A process with eight threads sends three at once.
    assert statuses == [200, 200, 503, 200]


@pytest.mark.parametrize("path", EXPORTS)
def test_a_download_to_a_slow_client_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    monkeypatch.setattr(streaming, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(streaming, "MIN_BYTES_PER_SECOND", math.inf)
    anna = world.session("anna")

    chunks = world.browser.get(path, headers=anna).iter_encoded()
    assert next(chunks)
    with pytest.raises(SlowClient):
        list(chunks)

    (line,) = [record.msg for record in caplog.records if "download_cut_off" in str(record.msg)]
    assert isinstance(line, dict)
    assert (line["portal"], line["person"]) == (world.known().id, 1)
    assert world.browser.get(path, headers=anna).status_code == 200


def test_a_download_that_takes_long_goes_on_while_bytes_arrive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(streaming, "MIN_BYTES_PER_SECOND", 1e-6)

    assert world.browser.get("/team.csv", headers=world.session("anna")).text


def test_responses_that_nobody_reads_hold_no_slot(world: World) -> None:
    session = world.session("anna")

    statuses = {world.browser.get(path, headers=session).status_code for path in ("/team.csv", "/team.json") * 5}

    assert statuses == {200}
