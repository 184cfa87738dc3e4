"""Fill the application the way a company would: Anna installs it, then people open it."""

import time

import requests

from .opening import Opening
from .portal import Portal

# Some never look, so that the application has somebody to miss.
ABSENT = {"ruth", "mere", "tomas", "employee502", "patronymic"}
PATIENCE = 60


def post(opening: Opening) -> requests.Response:
    """Post an opening to the application, as a browser would, without any cookie."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return session.post(opening.action, data=opening.body, headers=headers, timeout=30)


def rehearse(portal: Portal) -> None:
    """Install the application and open it as everybody but the absent."""
    wait_for(portal.world.app_url)
    admin = next(key for key, person in portal.people.items() if person.admin)
    post(portal.open_installer_as(admin)).raise_for_status()
    portal.finish_install()
    for key, person in portal.people.items():
        if person.active and key not in ABSENT:
            post(portal.open_as(key))


def wait_for(url: str) -> None:
    """Wait until somebody answers there; give up after a minute."""
    until = time.monotonic() + PATIENCE
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                session.head(url, timeout=2)
            except requests.RequestException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return
