"""Stage functions for processes of their own, which import them from here."""

from __future__ import annotations

import os
import signal
import time

from benchmark.errors import BenchmarkError
from benchmark.store import Metrics, Workspace


def first(work: Workspace) -> Metrics:
    with work.progress.task(work.label, 2) as task:
        task.advance(2, "both")
    (work.out / "value.txt").write_text(str(work.config["value"]))
    return {"process": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS", "")}


def meeting(work: Workspace) -> Metrics:
    """Ends only when as many processes as the config says are here at the same time."""
    place = work.locations["place"]
    (place / work.label).touch()
    deadline = time.monotonic() + 30
    while len(list(place.iterdir())) < work.config["guests"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return {}


def both(work: Workspace) -> Metrics:
    values = [(folder / "value.txt").read_text() for folder in work.inputs.values()]
    (work.out / "sum.txt").write_text(str(sum(map(int, values))))
    return {}


def bad(work: Workspace) -> Metrics:
    (work.out / "half").touch()
    while "after" in work.locations and not work.locations["after"].exists():
        time.sleep(0.01)
    if work.config["error"] == "user":
        raise BenchmarkError("no such folder")
    raise ZeroDivisionError("of nothing")


def deadly(work: Workspace) -> Metrics:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def endless(work: Workspace) -> Metrics:
    with work.progress.task(work.label, 1):
        (work.out / "half").touch()
        work.locations["begun"].touch()
        time.sleep(60)
    return {}


def leaking(work: Workspace) -> Metrics:
    """Fills 300 MB and waits for its end."""
    held = bytearray(300_000_000)
    work.locations["begun"].write_text(str(len(held)))
    time.sleep(60)
    return {}


FUNCTIONS = {
    "first": first,
    "meeting": meeting,
    "both": both,
    "bad": bad,
    "deadly": deadly,
    "endless": endless,
    "leaking": leaking,
}
