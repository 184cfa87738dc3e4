"""More people for whoever tries the application by hand: other languages, guessed zones, photos, no names."""

from .people import Person, Section, fresh_settings, saved_settings


def newcomers() -> list[Person]:
    """Return the people who join Alpha in `make run`."""
    return [*_languages(), *_nameless()]


def _languages() -> list[Person]:
    return [
        # Reads Russian, so that the server guesses among nine Russian cities: Yekaterinburg instead of Tashkent.
        Person(
            "darya", 20, "Дарья", "Соколова", fresh_settings("Asia/Tashkent"), "Asia/Tashkent",
            zone_is_guessed=True, lang="ru", gender="F", position="Head of support", has_photo=True,
            departments=[5], sections=[Section(121, "Дарья Соколова")],
        ),
        # From right to left; the guess is Astrakhan instead of Dubai.
        Person(
            "amira", 21, "أميرة", "المنصوري", fresh_settings("Asia/Dubai"), "Asia/Dubai",
            zone_is_guessed=True, lang="ar", gender="F", position="Account manager", has_photo=True,
            departments=[4], sections=[Section(131, "أميرة")],
        ),
        Person(
            "elif", 22, "Elif", "Yılmaz",
            saved_settings("Europe/Istanbul") | {"view": "week", "work_time_start": "9.00", "work_time_end": "18.00"},
            "Europe/Istanbul", lang="tr", gender="F", position="Tester", has_photo=True,
            departments=[3], sections=[Section(141, "Elif Yılmaz")],
        ),
        # Has never opened the application; the server's guess stays unseen until then.
        Person(
            "tomas", 23, "Tomás", "Quispe", fresh_settings("America/Lima"), "America/Lima",
            zone_is_guessed=True, lang="la", gender="M", position="Sales", has_photo=True,
            departments=[4], sections=[Section(151, "Tomás Quispe")],
        ),
    ]  # fmt: skip


def _nameless() -> list[Person]:
    return [
        # Invited by mail and never filled in a profile.
        Person("employee502", 502, "", "", fresh_settings("Europe/Warsaw"), "Europe/Warsaw", departments=[2]),
        # Only a patronymic, as some imports leave it.
        Person(
            "patronymic", 503, "", "", fresh_settings("Asia/Almaty"), "Asia/Almaty",
            second_name="Сергеевич", lang="ru", gender="M", position="Driver", departments=[5],
        ),
    ]  # fmt: skip
