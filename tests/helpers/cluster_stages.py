"""Stage functions for workers of a cluster, which import them from here."""

from __future__ import annotations

import os
import signal
import time

from worker_stages import FUNCTIONS as LOCAL

from benchmark.store import Metrics, Workspace


def unlucky(work: Workspace) -> Metrics:
    """Tells which worker it is on and waits to be killed with it; the second time it goes on."""
    attempts = work.scratch / "attempts.txt"
    before = int(attempts.read_text()) if attempts.exists() else 0
    attempts.write_text(str(before + 1))
    with work.progress.task(work.label, 4, before) as task:
        task.advance(note="half way")
        if before == 0:
            work.locations["worker"].write_text(str(os.getppid()))
            time.sleep(300)
    return {"attempts": before + 1}


def cursed(work: Workspace) -> Metrics:
    """Takes its worker along."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(300)
    return {}


def slow(work: Workspace) -> Metrics:
    """Ends when another stage has let it."""
    deadline = time.monotonic() + 300
    while not work.locations["gate"].exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return {}


def opener(work: Workspace) -> Metrics:
    work.locations["gate"].touch()
    return {}


FUNCTIONS = LOCAL | {"unlucky": unlucky, "cursed": cursed, "slow": slow, "opener": opener}
