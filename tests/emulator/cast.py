"""The cast: invented people of two portals, each bringing one odd thing Bitrix24 can answer."""

from typing import Any

from .people import People, Person, Section, fresh_settings, saved_settings


def alpha() -> People:
    """Return the people of Alpha: Anna runs it, Boris works there."""
    return People.of([*_europe(), *_americas(), *_asia_and_oceania(), *_at_the_edges()])


def beta() -> People:
    """Return the people of Beta: Clara runs it and must see nothing of Alpha."""
    return People.of(
        [
            Person(
                "clara", 1, "Clara", "Moreau", fresh_settings("Europe/Paris"), "Europe/Paris",
                admin=True, lang="fr", gender="F", position="Director",
                sections=[Section(2, "Clara Moreau")],
            ),
            Person(
                "dmitri", 2, "Dmitri", "Lang",
                saved_settings("Europe/Vienna") | _hours("9.00", "17.00"), "Europe/Vienna",
                lang="de", gender="M", position="Accountant",
                sections=[Section(4, "Dmitri Lang")],
            ),
            # The same number as somebody in Alpha: a portal is part of who a person is.
            Person(
                "esther", 7, "Esther", "Banda", fresh_settings("Africa/Lusaka"), "Africa/Lusaka",
                gender="F", position="Lawyer", sections=[Section(5, "Esther Banda")],
                zone_is_guessed=True,
            ),
        ]
    )  # fmt: skip


def crowd(count: int, *, first_id: int = 1000) -> list[Person]:
    """Return many plain people, for paging and for sizes."""
    zones = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "UTC")
    return [
        Person(
            f"person{number}", first_id + number, f"Person {number}", "Crowd",
            fresh_settings(zones[number % len(zones)]), zones[number % len(zones)],
            position="Colleague",
        )
        for number in range(count)
    ]  # fmt: skip


def _hours(start: str, end: str) -> dict[str, Any]:
    return {"work_time_start": start, "work_time_end": end}


def _reminders(full_day: object, with_time: object) -> dict[str, Any]:
    return {"defaultReminders": {"fullDay": full_day, "withTime": with_time}}


def _europe() -> list[Person]:
    return [
        # Created events by hand: both halves are lists, the numbers are numbers.
        Person(
            "anna", 1, "Анна", "Орлова",
            fresh_settings("Europe/Moscow")
            | {"view": "week", "meetSection": "4", "lastUsedSection": 4, "showDeclined": True,
               "defaultSections": {"user1": 4, "group6": "49"}}
            | _hours("9.00", "18.00")
            | _reminders(
                [{"type": "daybefore", "before": 0, "time": 480}],
                [{"type": "min", "count": 15}, {"type": "hour", "count": 1}],
            ),
            "Europe/Moscow", admin=True, lang="ru", gender="F", position="Head of operations",
            sections=[Section(4, "Анна Орлова"), Section(11, "Поездки", "#e89b06")],
        ),
        # The documentation's own example: strings for numbers, "false" as text.
        Person(
            "boris", 7, "Boris", "Keller",
            saved_settings("Europe/Berlin")
            | {"defaultSections": {"user7": "4", "group6": "49"}}
            | _hours("9.00", "19.00")
            | _reminders([{"type": "min", "count": 15}], [{"type": "min", "count": 50}]),
            "Europe/Berlin", lang="de", gender="M", position="Engineer",
            departments=[2], sections=[Section(4, "Boris Keller"), Section(21, "Ops & on-call", "9dcf00")],
        ),
        # The zone has an old name, and half of the stored work time is missing.
        Person(
            "olena", 8, "Олена", "Коваленко",
            fresh_settings("Europe/Kiev")
            | {"collapseOffHours": True, "showWeekNumbers": False, "showTasks": "true"}
            | _hours(".00", "18.00"),
            "Europe/Kiev", lang="ua", gender="F", position="Designer",
            departments=[2, 4], sections=[Section(31, "Олена")],
        ),
    ]  # fmt: skip


def _americas() -> list[Person]:
    return [
        # Never opened the settings: 21 keys, single objects for reminders, no work time.
        Person(
            "julia", 9, "Júlia", "D'Ávila", fresh_settings("America/Sao_Paulo"),
            "America/Sao_Paulo", lang="br", gender="F", position="Sales",
            departments=[4], sections=[Section(41, "Júlia D'Ávila")],
        ),
        # Works through the night, and wiped half of the settings to nulls.
        Person(
            "marcus", 10, "Marcus", "O'Neill",
            fresh_settings("America/New_York")
            | {"view": "list", "meetSection": None, "crmSection": None, "lastUsedSection": None,
               "sendFromEmail": None, "showDeclined": None, "denyBusyInvitation": True,
               "defaultSections": None, "syncPeriodPast": None, "syncPeriodFuture": "false"}
            | _hours("22.00", "6.00"),
            "America/New_York", gender="M", position="Night support",
            departments=[3], sections=[Section(51, "Marcus", "")],
        ),
        # Half an hour off the hour; removed every reminder of one kind, the other is missing.
        Person(
            "ruth", 11, "Ruth", "Penney",
            fresh_settings("America/St_Johns")
            | {"view": "day", "defaultReminders": {"fullDay": []}}
            | _hours("8.30", "16.30"),
            "America/St_Johns", gender="F", position="Analyst", departments=[3], sections=[Section(61, "Ruth")],
        ),
    ]  # fmt: skip


def _asia_and_oceania() -> list[Person]:
    return [
        # A quarter of an hour off; one half of the reminders a list, the other an object.
        Person(
            "sanjay", 12, "Sanjay <b>", "Thapa",
            fresh_settings("Asia/Kathmandu")
            | _hours("10.00", "18.00")
            | _reminders([{"type": "day", "count": 1}], {"type": "hour", "count": 2}),
            "Asia/Kathmandu", gender="M", position="Developer",
            sections=[Section(71, "<i>Sanjay</i> & co", "red")],
        ),
        # Pressed Save with empty lists: the form sends one empty text for each.
        Person(
            "priya", 13, "Priya", "Raman",
            saved_settings("Asia/Calcutta")
            | {"defaultSections": [""], "sendFromEmail": "priya@mail.example", "syncTasks": "Y"}
            | _hours("9.30", "18.30")
            | _reminders([""], {"type": "min", "count": "0"}),
            "Asia/Calcutta", lang="in", gender="F", position="Team lead",
            sections=[Section(4, "Priya")],
        ),
        # A custom view of some application, work till midnight, a reminder at a fixed moment.
        Person(
            "kenji", 14, "健司", "佐藤",
            fresh_settings("Asia/Tokyo")
            | {"view": "custom_7", "showCompletedTasks": "Y", "syncTasks": True}
            | _hours("0.00", "24.00")
            | _reminders(
                {"type": "date", "value": "05.12.2025 10:00:00"},
                [{"type": "date", "value": "05.12.2025 10:00:00"}, {"type": "day", "count": "3"}],
            ),
            "Asia/Tokyo", lang="ja", gender="M", position="Partner manager",
            departments=[5], sections=[Section(81, "佐藤 健司")],
        ),
        # Leftovers of old versions pass through; reminders are nothing at all.
        Person(
            "mere", 15, "Mere", "Tamahori",
            fresh_settings("Pacific/Chatham")
            | {"defaultReminders": None, "tabId": "userSettings", "blink": "Y",
               "showMuted": False, "view_resourcebooking": {"days": 7, "mode": "week"}},
            "Pacific/Chatham", gender="F", position="Consultant",
            sections=[Section(91, "Mere")],
        ),
    ]  # fmt: skip


def _at_the_edges() -> list[Person]:
    return [
        # The offset was cached before the clocks changed: it disagrees with the name.
        Person(
            "amina", 16, "Amina", "Wanjiru",
            fresh_settings("Africa/Nairobi")
            | {"timezoneOffsetUTC": 7200, "defaultReminders": []}
            | _hours("8.00", "17.00"),
            "Africa/Johannesburg", gender="F", position="Logistics",
            sections=[Section(101, "Amina")],
        ),
        # Stored text that is not JSON: the method fails for her until someone overwrites it.
        Person(
            "petra", 17, "Petra", "Nováková", fresh_settings("Europe/Prague"), "Europe/Prague",
            broken=True, gender="F", position="Lawyer", sections=[Section(111, "Petra")],
        ),
        # A supplier's man: has settings of his own but is no employee.
        Person(
            "otto", 18, "Otto", "Brandt", fresh_settings("Europe/Zurich"), "",
            extranet=True, lang="de", gender="M", position="Supplier", departments=[],
        ),
        # Left the company; the portal still lists him when not asked for the active only.
        Person(
            "igor", 19, "Igor", "Petrov", fresh_settings("Asia/Yekaterinburg"), "",
            active=False, gender="M", position="Former colleague", departments=[],
        ),
    ]  # fmt: skip
