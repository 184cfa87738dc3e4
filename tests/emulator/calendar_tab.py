"""The portal's own calendar in a browser tab that somebody keeps open."""

from threading import RLock
from typing import Any

from . import user_settings
from .people import Person
from .php import build_form, flag, parse_form, truthy


class CalendarTab:
    """A calendar page. It knows the settings as they were when it was loaded, whoever changed them since."""

    def __init__(self, person: Person, lock: RLock) -> None:
        self._person, self._lock = person, lock
        self.reload()

    def reload(self) -> None:
        """Load the page anew."""
        with self._lock:
            self.settings: dict[str, Any] = user_settings.read(self._person)

    def save(self, **changes: object) -> None:
        """Press Save in the slider after changing these controls; the page posts all settings, and is loaded anew.

        So whatever was changed elsewhere since the page was loaded is undone.
        """
        page = self.settings | changes
        if not flag(page["showTasks"]):
            page |= {"syncTasks": "N", "showCompletedTasks": "N"}
        form = build_form({"user_settings": {key: _posted(key, value) for key, value in page.items()}})
        with self._lock:
            user_settings.write(self._person, parse_form(form)["user_settings"])
        self.reload()

    def use_grid(self, key: str, value: object) -> None:
        """Switch the view, or collapse the hours off work: the grid saves this one setting at once."""
        self.settings[key] = value
        with self._lock:
            user_settings.write_key(self._person, key, value)

    def create_event(self, reminders: list[dict[str, Any]], *, all_day: bool = False) -> None:
        """Create an event: its reminders become the default for events of this kind, from then on as a list."""
        with self._lock:
            stored = user_settings.read(self._person)["defaultReminders"]
            halves = stored if isinstance(stored, dict) else {}
            changed = {**halves, "fullDay" if all_day else "withTime": reminders}
            user_settings.write(self._person, {"defaultReminders": changed})


def _posted(key: str, value: Any) -> Any:
    """Return a value as the page's script puts it into a form."""
    if isinstance(value, dict):
        return {name: _posted(name, member) for name, member in value.items()} or [""]
    if isinstance(value, list):
        return [_posted("", member) for member in value] or [""]
    if key in {"showDeclined", "denyBusyInvitation"}:
        return int(truthy(value))
    return str(value).lower() if isinstance(value, bool) else value
