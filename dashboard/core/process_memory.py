"""What a process that serves or works for months tells its memory, once everything is loaded."""

from __future__ import annotations

import ctypes
import gc
import sys

ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def limit_memory() -> None:
    """Leave what is loaded alone, and keep what comes and goes together.

    What is here by now stays: the garbage collector need not look at it, which would also write to pages that
    forked processes share. A page makes some thousand objects and drops them again; to look through them
    seven times a page finds nothing. And the C library keeps a heap for each of many threads, unless told
    that two are enough: most of what they allocate is allocated under the interpreter's lock.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    if sys.platform == "linux":
        # Another C library has another way, and no such function: then nothing is gained and nothing lost.
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(ARENA_MAX, 2)
