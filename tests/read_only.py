"""Run a module as on a read-only file system: `python -m tests.read_only MODULE ARGUMENTS`.

What Python opens, creates, renames or deletes fails, except in TMPDIR, among the devices, and in the tests' own cache
of templates.
"""

from __future__ import annotations

import errno
import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import compiled_templates

WRITABLE = (os.environ.get("TMPDIR", ""), "/dev", str(compiled_templates.FOLDER))
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# How many of an event's first arguments are paths that change.
CHANGED_PATHS = {"os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "os.rename": 2}


def refuse_writes(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise an error for an event that would write; an audit hook of Python."""
    count = CHANGED_PATHS.get(event, 1 if event == "open" and arguments[2] & WRITE_FLAGS else 0)
    for path in arguments[:count]:
        if not isinstance(path, int) and not str(Path(os.fsdecode(path)).absolute()).startswith(WRITABLE):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


if __name__ == "__main__":
    sys.addaudithook(refuse_writes)
    with suppress(OSError):
        Path("written").touch()
        sys.exit("The file system is not read-only.")
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
