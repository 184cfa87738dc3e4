"""Methods of the calendar: one's own settings, the account's settings, sections."""

import json
from typing import Any

from .. import user_settings
from ..errors import RestError
from ..people import Section
from ..time_zones import guessed_settings
from .registry import Call, method

_GROUP_SECTIONS = {6: [Section(49, "Product launch", "#2FC6F6")]}
# Nearly everything in the account's settings is text, whatever it stands for.
_ACCOUNT: dict[str, Any] = {
    "work_time_start": "9",
    "work_time_end": "18.30",
    "year_holidays": "1.01,1.05,25.12,26.12",
    "year_workdays": "31.12",
    "week_holidays": ["SA", "SU"],
    "week_start": "MO",
    "user_name_template": "#NAME# #LAST_NAME#",
    "sync_by_push": "",
    "user_show_login": "1",
    "path_to_user": "/company/personal/user/#user_id#/",
    "path_to_user_calendar": "/company/personal/user/#user_id#/calendar/",
    "path_to_group": "/workgroups/group/#group_id#/",
    "path_to_group_calendar": "/workgroups/group/#group_id#/calendar/",
    "path_to_vr": "",
    "path_to_rm": "",
    "rm_iblock_type": "",
    "rm_iblock_id": "",
    "dep_manager_sub": "1",
    "denied_superpose_types": [],
    "pathes_for_sites": "",
    "pathes": [],
    "forum_id": "1",
    "rm_for_sites": "1",
    "path_to_type_company_calendar": "/calendar/",
    "path_to_type_events": "",
    "path_to_type_location": "",
}


@method("calendar.user.settings.get", "calendar")
def user_settings_get(call: Call) -> dict[str, Any]:
    """Tell the caller's own settings, whoever else is asked for in the parameters."""
    person = call.person
    settings = user_settings.read(person)
    if person.zone_is_guessed:
        settings |= guessed_settings(person.time_zone, now=call.portal.world.clock.now(), lang=person.lang)
    return settings


@method("calendar.user.settings.set", "calendar")
def user_settings_set(call: Call) -> bool:
    """Store the caller's settings, people from outside too; whatever becomes of them, the answer is `true`."""
    wanted = call.param("settings")
    if wanted is None:
        raise RestError(
            "",
            'The mandatory parameter "settings" is not specified for the method "calendar.user.settings.set"',
        )
    user_settings.write(call.person, wanted)
    return True


@method("calendar.settings.get", "calendar")
def settings_get(call: Call) -> dict[str, Any]:
    """Tell the account's settings; people from outside get two numbers."""
    if call.person.extranet:
        return {"work_time_start": 9, "work_time_end": 19}
    return json.loads(json.dumps(_ACCOUNT))  # type: ignore[no-any-return]


@method("calendar.section.get", "calendar")
def section_get(call: Call) -> list[dict[str, Any]]:
    """List the calendars of somebody; its errors have an empty code."""
    kind, owner = str(call.param("type") or ""), str(call.param("ownerId") or "")
    if not kind:
        raise _unset("type")
    if not owner and kind not in {"user", "company_calendar"}:
        raise _unset("ownerId")
    if call.person.extranet:
        raise RestError("", "Access denied")
    if kind == "group":
        result = _GROUP_SECTIONS.get(int(owner), []) if owner.isdigit() else []
        return [_section(section, kind=kind, owner=owner) for section in result]
    if kind != "user":
        return []
    owner = owner or str(call.person.user_id)
    people = [one for one in call.portal.people.values() if str(one.user_id) == owner]
    return [_section(section, kind=kind, owner=owner) for one in people for section in one.sections]


def _unset(name: str) -> RestError:
    text = f'The required parameter "{name}" for the method "calendar.section.get" is not set'
    return RestError("", text)


def _section(section: Section, *, kind: str, owner: str) -> dict[str, Any]:
    return {
        "ID": str(section.id),
        "NAME": section.name,
        "GAPI_CALENDAR_ID": None,
        "DESCRIPTION": "",
        "COLOR": section.color,
        "TEXT_COLOR": section.text_color or None,
        # An empty map is a list, a filled one is not.
        "EXPORT": {"ALLOW": True, "LINK": "/bitrix/tools/ical.php"} if kind == "user" else [],
        "CAL_TYPE": kind,
        "OWNER_ID": owner,
        "CREATED_BY": owner,
        "DATE_CREATE": "10.02.2024 12:00:00",
        "TIMESTAMP_X": "10.02.2024 12:00:00",
        "CAL_DAV_CON": None,
        "SYNC_TOKEN": None,
        "PAGE_TOKEN": None,
        "EXTERNAL_TYPE": "local",
        "ACCESS": {"G2": 13} if kind == "user" else [],
        "IS_COLLAB": False,
        "PERM": {"view_time": True, "view_title": True, "view_full": True, "add": True, "edit": True},
    }
