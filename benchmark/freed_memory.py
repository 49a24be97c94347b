"""Memory that is freed and not given back.

What a stage keeps, such as decoded images or the maps of each, lies between large blocks that are
freed again. The next large block often fits no gap between them, and glibc gives the gaps back only
from the end of its heap: it grows by a megabyte a photograph, to five times what is in use.
"""

from __future__ import annotations

import ctypes

from benchmark.repeated import Repeated

SECONDS = 5.0
"""A step takes a few milliseconds more after memory was given back, so not after each."""


def give_back() -> bool:
    """Let the C library give back what is free; False where it cannot, as outside of glibc."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no such function, or no library to look in
        return False
    trim(0)
    return True


class FreedMemory(Repeated):
    """Gives freed memory back every few seconds while the block runs."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__(seconds)

    def act(self) -> None:
        """Give it back, where the C library can."""
        give_back()
