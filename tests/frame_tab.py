"""What tests do in the application's frame, in any browser that Playwright does not drive."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from typing import Any


class FrameTab(ABC):
    """A tab with a portal's page, and the application's frame in it."""

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of an expression in the frame."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """Return what went wrong in the frame and in the page around it."""

    def wait_for(self, selector: str, *, seconds: float = 60.0) -> None:
        """Wait until the frame shows such an element."""
        page = f"Boolean(document.querySelector({json.dumps(selector)})?.checkVisibility())"
        until = time.monotonic() + seconds
        while not self.evaluate(page):
            assert time.monotonic() < until, f"{selector} never came"
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector: str, text: str, *, event: str = "input") -> None:
        """Type a text into a field, all letters at once."""
        field = f"document.querySelector({json.dumps(selector)})"
        happening = f"new Event({json.dumps(event)}, {{bubbles: true}})"
        self.evaluate(f"({field}.value = {json.dumps(text)}, {field}.dispatchEvent({happening}))")

    def text(self, selector: str) -> str:
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))
