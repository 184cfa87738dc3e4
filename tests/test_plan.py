"""Find a time over HTTP: who is in a plan, what machines read, malformed values, saved groups, and shared links."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from dashboard.models import Department, DepartmentMember, Person, Portal
from dashboard.people import saved_groups, storage_limit
from dashboard.people.saved_groups import MAX_GROUPS
from dashboard.team.plan_people import MAX_PEOPLE
from tests.emulator.places import passed_on
from tests.team_fixtures import NEVER_OPENED, Session, in_english, open_to_everyone, rows_on, store_people, text_of
from tests.world import World

KYIV = ZoneInfo("Europe/Kyiv")
THURSDAY = "2027-03-11"
PATTERNS: tuple[dict[str, Any], ...] = (
    {"name": "Olena Marchuk", "calendar_zone": "Europe/Kyiv", "work_start": 540, "work_end": 1080},
    {"name": "Rafael Siqueira", "calendar_zone": "America/Sao_Paulo", "work_start": 480, "work_end": 1020},
    {"name": "Meera Vaidya", "calendar_zone": "Asia/Kolkata", "work_start": 600, "work_end": 1140},
    {"name": "Haruka Minase", "calendar_zone": "Asia/Tokyo", "work_start": 540, "work_end": 1080},
    {"name": "Nobody Knows", "calendar_zone": "", "zone": ""},
)
OLENA, RAFAEL, MEERA, HARUKA, UNKNOWN = range(5001, 5006)


class _Slots(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.slots: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if "data-slot" in attributes:
            self.slots.append((attributes["data-slot"] or "", attributes["data-outside"] or ""))


def slots_on(page: str) -> list[tuple[str, str]]:
    parser = _Slots()
    parser.feed(page)
    return parser.slots


@pytest.fixture
def anna(world: World) -> Session:
    """Return the session of Anna, who is in Kyiv, and store her colleagues."""
    session = in_english(world)
    store_people(world, *PATTERNS)
    with world.database.write_session() as database:
        database.execute(update(Person).where(Person.user_id == 1).values(zone="Europe/Kyiv"))
    return session


def get(world: World, session: Session, path: str, status: int = 200) -> str:
    response = world.browser.get(path, headers=session)
    assert response.status_code == status, response.text[:500]
    return response.text


def plan_of(world: World, session: Session, *people: int, more: str = "") -> str:
    return get(world, session, f"/plan?people={','.join(map(str, people))}&date={THURSDAY}{more}")


def test_machines_read_zones_hours_and_slots(world: World, anna: Session) -> None:
    page = plan_of(world, anna, OLENA, RAFAEL, MEERA)

    rows = {int(row["user"]): (row["timezone"], row["hours"]) for row in rows_on(page)}
    assert rows == {
        OLENA: ("Europe/Kyiv", "2027-03-11T07:00Z/2027-03-11T16:00Z"),
        RAFAEL: ("America/Sao_Paulo", "2027-03-11T11:00Z/2027-03-11T20:00Z"),
        MEERA: ("Asia/Kolkata", "2027-03-11T04:30Z/2027-03-11T13:30Z"),
    }
    assert slots_on(page)[0] == ("2027-03-11T12:00Z/2027-03-11T13:00Z", "")
    assert "Three times when everyone is at work" in page
    assert "Clocks change in Kyiv on Sun, Mar 28" in page
    assert "until Mar 27" in page


def test_hours_are_cut_to_the_readers_day_in_several_spans(world: World, anna: Session) -> None:
    store_people(world, {"user_id": 5100, "calendar_zone": "Europe/Kyiv", "work_start": 1320, "work_end": 360})

    (row,) = rows_on(plan_of(world, anna, 5100))

    assert row["hours"] == "2027-03-10T22:00Z/2027-03-11T04:00Z 2027-03-11T20:00Z/2027-03-11T22:00Z"


def test_where_nobody_fits_the_page_says_who_would_stretch_and_what_would_help(world: World, anna: Session) -> None:
    page = plan_of(world, anna, HARUKA, OLENA, RAFAEL)

    assert [outside for _slot, outside in slots_on(page)] == [str(RAFAEL), str(HARUKA), f"{RAFAEL} {HARUKA}"]
    text = unescape(" ".join(re.sub(r"<[^>]+>", "", page).split()))
    assert "No time when all three are at work" in text
    assert "Haruka would work late" in text
    assert "3 h after work" in text
    assert ">21:00</text>" in page  # beside the end of Haruka's stretch, in her time
    assert "Without Haruka, 13:00 – 18:00 suits the other 2." in text
    assert "A shorter meeting doesn't help." in text


def test_hours_that_are_too_short_are_no_absence(world: World, anna: Session) -> None:
    alone = plan_of(world, anna, OLENA, more="&minutes=480")
    together = plan_of(world, anna, OLENA, RAFAEL, more="&minutes=480")
    absent = get(world, anna, f"/plan?people={OLENA}&date=2027-03-13")

    assert "When <bdi>Olena</bdi> is at work" in alone
    assert "Everyone is at work for less than 8 h in a row" in together
    assert "<bdi>Olena</bdi> is not at work on this day" in absent
    store_people(world, {"user_id": 5101, "name": "Vera Kay", "work_start": 540, "work_end": 600})
    short = plan_of(world, anna, 5101, more="&minutes=90")
    assert "<bdi>Vera</bdi> works for less than <bdi>1 h 30 min</bdi> in a row on this day" in short


def test_who_is_not_known_is_left_out_in_silence_and_whose_hours_are_not_is_listed(world: World, anna: Session) -> None:
    page = plan_of(world, anna, OLENA, UNKNOWN, 999_999_999)

    assert {(row["user"], row["timezone"], row["hours"] == "") for row in rows_on(page)} == {
        (str(OLENA), "Europe/Kyiv", False),
        (str(UNKNOWN), "", True),
    }
    assert all(not outside for _slot, outside in slots_on(page))
    assert rows_on(get(world, anna, "/plan?people=999999999")) == []
    assert rows_on(get(world, anna, "/plan?people=")) == []


def test_guests_and_people_of_other_portals_are_nobody(world: World, anna: Session) -> None:
    store_people(world, {"user_id": 5300, "listed": False})
    world.install("beta")
    store_people(world, {"user_id": 5400}, portal="beta")

    page = plan_of(world, anna, OLENA, 5300, 5400)

    assert [int(row["user"]) for row in rows_on(page)] == [OLENA]
    assert "Colleague 0" not in get(world, anna, "/plan/people?q=colleague")


def test_without_people_the_reader_plans_today(world: World, anna: Session) -> None:
    page = get(world, anna, "/plan")

    assert [row["user"] for row in rows_on(page)] == ["1"]
    today = world.now().astimezone(KYIV).date()
    assert f'value="{today}"' in page
    assert "Add colleagues to see when everyone is at work." in page
    assert f"people=1,{OLENA}" in page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("people=1,x", "people"),
        ("people=-1", "people"),
        ("people=١", "people"),
        ("people=" + ",".join(map(str, range(1, MAX_PEOPLE + 2))), "people"),
        ("department=sales", "department"),
        ("date=2027-02-29", "date"),
        ("date=11.03.2027", "date"),
        ("date=20270311", "date"),
        ("date=9999-12-31", "date"),
        ("date=2027-03-11&date=2027-03-12", "date"),
        ("minutes=14", "minutes"),
        ("minutes=481", "minutes"),
        ("minutes=1e2", "minutes"),
    ],
)
def test_a_malformed_value_is_named(world: World, anna: Session, query: str, field: str) -> None:
    page = get(world, anna, f"/plan?{query}", status=400)

    assert f"The value of “{field}” is not valid." in page
    assert 'data-error="invalid_request"' in page


@pytest.mark.parametrize(("minutes", "length"), [("15", 15), ("480", 480), ("50", 50), ("", 60)])
def test_slots_are_as_long_as_asked(world: World, anna: Session, minutes: str, length: int) -> None:
    for slot, _outside in slots_on(plan_of(world, anna, OLENA, more=f"&minutes={minutes}")):
        start, end = (datetime.fromisoformat(text) for text in slot.split("/"))
        assert end - start == timedelta(minutes=length)


def test_days_off_have_no_hours_and_a_better_day_is_named(world: World, anna: Session) -> None:
    page = get(world, anna, f"/plan?people={OLENA},{MEERA}&date=2027-03-13")

    assert [row["hours"] for row in rows_on(page)] == ["", ""]
    assert {outside for _slot, outside in slots_on(page)} == {f"{OLENA} {MEERA}"}
    assert "Nobody works on this day" in page
    assert "On Mon, Mar 15 everyone is at work at the same time." in page


def test_company_hours_and_profile_zones_are_assumed(world: World, anna: Session) -> None:
    store_people(world, {**NEVER_OPENED, "user_id": 5200, "zone": "Europe/Kyiv", "zone_source": "profile"})
    with world.database.write_session() as session:
        session.execute(update(Portal).values(work_start=600, work_end=900))

    page = plan_of(world, anna, OLENA, 5200)

    assert {row["user"]: row["hours"] for row in rows_on(page)}["5200"] == "2027-03-11T08:00Z/2027-03-11T13:00Z"
    assert "Everyone is at work · 1 assumed" in page
    assert {"Time zone from profile", "Company hours"} <= set(re.findall(r"__source\">([^<]+)<", page))


def store_department(world: World, number: int, *user_ids: int, head: int | None = None) -> None:
    portal_id = world.known().id
    with world.database.write_session() as session:
        values = {"department_id": number, "name": f"Room {number}", "sort": number, "head_id": head}
        session.execute(insert(Department), [{"portal_id": portal_id, **values}])
        people = session.query(Person).where(Person.user_id.in_(user_ids), Person.portal_id == portal_id)
        members = [{"portal_id": portal_id, "department_id": number, "person_id": person.id} for person in people]
        session.execute(insert(DepartmentMember), members)


def test_a_department_is_planned_with_its_people_alone(world: World, anna: Session) -> None:
    store_department(world, 70, OLENA, RAFAEL)

    page = get(world, anna, f"/plan?department=70&date={THURSDAY}")
    both = get(world, anna, f"/plan?department=70&people={MEERA},{OLENA}&date={THURSDAY}")

    assert {int(row["user"]) for row in rows_on(page)} == {OLENA, RAFAEL}
    assert "Room 70" in page
    assert sorted(int(row["user"]) for row in rows_on(both)) == [OLENA, RAFAEL, MEERA]
    assert rows_on(get(world, anna, "/plan?department=71")) == []


def test_a_head_plans_with_the_people_of_their_departments(world: World, anna: Session) -> None:
    boris = world.portal().people["boris"].user_id
    open_to_everyone(world, "boris")
    world.browser.post("/admin/team", data={"who": "heads"}, headers=world.session("anna"))
    get(world, world.session("boris"), "/plan", status=403)
    store_department(world, 70, OLENA, RAFAEL, head=boris)
    session = world.session("boris")
    with world.database.write_session() as database:
        database.execute(update(Portal).values(scopes=[*(world.known().scopes or ()), "department"]))
        # As if Bitrix24 had confirmed it just now.
        database.execute(update(Person).where(Person.user_id == boris).values(headships_at=world.now()))

    page = plan_of(world, session, OLENA, RAFAEL, MEERA, boris)

    assert {int(row["user"]) for row in rows_on(page)} == {OLENA, RAFAEL, boris}
    found = get(world, session, "/plan/people?q=vaidya")
    assert "Meera" not in found


def test_a_search_finds_people_departments_and_groups_that_are_not_in_the_plan(world: World, anna: Session) -> None:
    store_department(world, 70, OLENA)
    save(world, anna, "Meeting of three", OLENA, RAFAEL, MEERA)

    found = get(world, anna, f"/plan/people?q=me&people={OLENA}&date={THURSDAY}")

    assert "Meera Vaidya" in found
    assert f"people={OLENA},{MEERA}&amp;date={THURSDAY}" in found
    assert "Meeting of three" in found
    assert "Rafael" not in found
    assert "Room 70" in get(world, anna, "/plan/people?q=room")
    assert "Nobody found." in get(world, anna, "/plan/people?q=zzz")


def save(world: World, session: Session, name: str, *people: int, status: int = 200) -> str:
    form = {"name": name, "people": ",".join(map(str, people)), "date": THURSDAY}
    response = world.browser.post("/plan/groups", data=form, headers=session)
    assert response.status_code == status, response.text[:500]
    return response.text


def test_a_group_is_saved_replaced_and_deleted_by_its_owner_alone(each_world: World) -> None:
    anna = in_english(each_world)
    store_people(each_world, *PATTERNS)
    open_to_everyone(each_world, "boris")
    assert "The group <bdi>Three</bdi> is saved." in save(each_world, anna, " Three\n", OLENA, RAFAEL, 999_999)
    save(each_world, anna, "Three", OLENA, RAFAEL, MEERA)

    (group,) = each_world.rows("SELECT id, name, user_ids FROM saved_groups")
    ids = group["user_ids"] if isinstance(group["user_ids"], list) else json.loads(group["user_ids"])
    assert (group["name"], ids) == ("Three", [OLENA, RAFAEL, MEERA])
    page = get(each_world, anna, "/plan")
    assert f"people={OLENA},{RAFAEL},{MEERA}" in page
    assert "Three" not in get(each_world, each_world.session("boris"), "/plan")

    delete = f"/plan/groups/{group['id']}/delete"
    assert each_world.browser.post(delete, headers=each_world.session("boris")).status_code == 200
    assert each_world.one("SELECT count(*) FROM saved_groups") == 1
    for _click in range(2):
        assert each_world.browser.post(delete, headers=anna).status_code == 200
    assert each_world.one("SELECT count(*) FROM saved_groups") == 0


def test_a_group_says_if_it_lacks_people_of_the_plan(
    world: World, anna: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_groups, "MAX_GROUP_PEOPLE", 2)

    assert "Only the first" not in save(world, anna, "Two", OLENA, RAFAEL)
    assert "Only the first 2 people are included." in save(world, anna, "Three", OLENA, RAFAEL, MEERA)


def test_a_group_is_not_saved_after_everything_was_deleted(world: World, anna: Session) -> None:
    forget = {"domain": world.portal().domain}
    world.before_next_write(lambda: world.browser.post("/admin/forget", data=forget, headers=anna))

    save(world, anna, "Too late", OLENA, status=401)

    assert world.one("SELECT count(*) FROM saved_groups") == 0


def test_a_group_is_not_saved_after_its_person_was_deleted(world: World, anna: Session) -> None:
    def delete_anna() -> None:
        with world.database.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM people WHERE user_id = 1")

    world.before_next_write(delete_anna)

    save(world, anna, "Too late", OLENA, status=401)


def test_groups_are_limited_in_number_and_name(world: World, anna: Session) -> None:
    for number in range(MAX_GROUPS):
        save(world, anna, f"Group {number}", OLENA)

    assert 'data-error="too_many_groups"' in save(world, anna, "One more", OLENA, status=400)
    save(world, anna, "Group 3", MEERA)
    save(world, anna, "", OLENA, status=400)
    save(world, anna, "x" * 101, OLENA, status=400)
    assert world.one("SELECT count(*) FROM saved_groups") == MAX_GROUPS


def test_groups_are_exported_and_deleted_with_their_person(each_world: World) -> None:
    anna = in_english(each_world)
    store_people(each_world, *PATTERNS)
    save(each_world, anna, "Pair", OLENA, RAFAEL)

    document = json.loads(get(each_world, anna, "/admin/export.json"))

    (group,) = document["saved_groups"]
    assert (group["user_id"], group["name"], group["user_ids"]) == (1, "Pair", [OLENA, RAFAEL])
    each_world.browser.post("/admin/forget", data={"domain": each_world.portal().domain}, headers=anna)
    assert each_world.one("SELECT count(*) FROM saved_groups") == 0


def test_stored_groups_take_up_space(world: World, anna: Session) -> None:
    before = world.one("SELECT stored_bytes FROM portals WHERE id = 1")
    save(world, anna, "Pair", OLENA, RAFAEL)
    assert world.one("SELECT stored_bytes FROM portals WHERE id = 1") == before + storage_limit.GROUP_BYTES
    with world.database.write_session() as session:
        storage_limit.recount(session, [world.known().id])
        people = session.query(Person).where(Person.portal_id == world.known().id).all()
    counted = sum(storage_limit.PERSON_BYTES + person.snapshot_bytes for person in people)
    expected = counted + storage_limit.GROUP_BYTES
    departments = world.one("SELECT count(*) FROM departments WHERE portal_id = 1")
    expected += departments * storage_limit.DEPARTMENT_BYTES
    assert world.one("SELECT stored_bytes FROM portals WHERE id = 1") == expected


def test_a_copied_link_opens_the_same_plan_in_the_portal(world: World, anna: Session) -> None:
    link = re.search(r'id="plan-link"[^>]*>([^<]+)<', plan_of(world, anna, OLENA, MEERA, more="&minutes=90"))
    assert link, "no link"
    query = passed_on(unescape(link[1]).split("?")[1])
    assert query == {"plan": "1", "people": f"{OLENA},{MEERA}", "date": THURSDAY, "minutes": "90"}

    opened = world.open("anna", PLACEMENT_OPTIONS=json.dumps(query)).text
    assert {int(row["user"]) for row in rows_on(opened)} == {OLENA, MEERA}
    assert f'value="{THURSDAY}"' in opened

    # Who may not see the team, and whoever follows a broken link, sees their own settings.
    for person, options in (("boris", query), ("anna", {**query, "date": "soon"}), ("anna", {**query, "plan": ""})):
        other = world.open(person, PLACEMENT_OPTIONS=json.dumps(options)).text
        assert "data-plan" not in other
        assert "data-refresh" in other


def test_the_copied_text_has_the_date_and_every_city(world: World, anna: Session) -> None:
    text = text_of(plan_of(world, anna, OLENA, RAFAEL, MEERA), 'id="plan-text"')

    assert text.startswith("Thursday, March 11, 2027 ")
    assert "17:30 – 18:30 Kolkata · 14:00 – 15:00 Kyiv · 09:00 – 10:00 Sao Paulo" in text


def test_many_people_are_folded_into_their_zones_but_nobody_alone(world: World, anna: Session) -> None:
    store_people(world, *({"user_id": 6000 + number} for number in range(20)))

    page = plan_of(world, anna, OLENA, 1, RAFAEL, *range(6000, 6020))

    assert len(rows_on(page)) == 23
    folded = [len(rows_on(part.split("</details>")[0])) for part in page.split('<details class="plan-chart-zone"')[1:]]
    assert sorted(folded) == [2, 20]


@pytest.mark.parametrize("path", ["/team/{}/history", "/plan/groups/{}/delete", "/reach/{}"])
def test_an_id_that_no_database_takes_is_not_found(world: World, anna: Session, path: str) -> None:
    address = path.format(2**63)

    response = world.browser.open(address, method="POST" if "delete" in path else "GET", headers=anna)

    assert response.status_code == 404
