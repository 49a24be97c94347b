"""Something that is done every few seconds beside the work."""

from __future__ import annotations

import threading
from typing import Self


class Repeated:
    """Calls ``act`` every ``seconds`` in a thread of its own while the block runs.

    The first time is ``seconds`` after the beginning; the end waits for a call that is under way.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def act(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self._seconds):
            self.act()
