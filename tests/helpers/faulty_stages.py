"""Stage functions that go wrong, for processes of their own, which import them from here."""

from __future__ import annotations

import ctypes
import time

from benchmark.store import Metrics, Workspace


def _attempt(work: Workspace) -> int:
    """Return how often the stage has been begun, this time included."""
    place = work.locations["attempts"]
    place.mkdir(exist_ok=True)
    number = len(list(place.iterdir())) + 1
    (place / str(number)).touch()
    return number


def stuck(work: Workspace) -> Metrics:
    """Hangs without end in its first attempts, as many as the config says."""
    number = _attempt(work)
    with work.progress.task(work.label, 3) as task:
        task.advance()
        (work.out / "half").touch()
        if number <= work.config["times"]:
            _hang(work.config["how"])
    return {"attempt": number}


def _hang(how: str) -> None:
    if how == "in C":  # with the interpreter's lock held: no thread and no signal handler runs
        ctypes.PyDLL(None).sleep(120)
    else:
        time.sleep(120)


def steady(work: Workspace) -> Metrics:
    """Takes long, and shows progress all the while."""
    _attempt(work)
    with work.progress.task(work.label, work.config["steps"]) as task:
        for _ in range(work.config["steps"]):
            time.sleep(work.config["seconds"])
            task.advance()
    return {}


def bad(work: Workspace) -> Metrics:
    """Fails once another stage has begun."""
    while not work.locations["after"].exists():
        time.sleep(0.01)
    raise ZeroDivisionError("of nothing")


FUNCTIONS = {"stuck": stuck, "steady": steady, "bad": bad}
