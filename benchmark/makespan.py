"""How long stages take on several devices, given out as the executor gives them to its workers."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from benchmark.store import Stage


def makespan(stages: Sequence[Stage], seconds: Mapping[str, float], devices: int) -> float:
    """Return the seconds from the first stage's start to the last one's end.

    Whenever a device is free it gets the first stage, in the order of ``stages``, of which all
    inputs among ``stages`` are finished (list scheduling). ``seconds`` by key; ValueError for no
    device. Devices are alike, and moving files between them takes no time.
    """
    if devices < 1:
        raise ValueError("stages need at least one device")
    waiting = [stage.key for stage in stages]
    needs = _needs(stages)
    running: list[tuple[float, str]] = []
    unfinished = set(waiting)
    now = 0.0
    while unfinished:
        ready = [key for key in waiting if needs[key].isdisjoint(unfinished)]
        for key in ready[: devices - len(running)]:
            heapq.heappush(running, (now + seconds[key], key))
            waiting.remove(key)
        now = running[0][0]
        while running and running[0][0] == now:
            unfinished.discard(heapq.heappop(running)[1])
    return now


def longest_chain(stages: Sequence[Stage], seconds: Mapping[str, float]) -> float:
    """Return the seconds of the stages that must follow one another: no devices are faster.

    ``stages`` with inputs before what needs them.
    """
    ends: dict[str, float] = {}
    needs = _needs(stages)
    for stage in stages:
        start = max((ends[key] for key in needs[stage.key]), default=0.0)
        ends[stage.key] = start + seconds[stage.key]
    return max(ends.values(), default=0.0)


def _needs(stages: Sequence[Stage]) -> dict[str, set[str]]:
    """Return the keys of each stage's inputs among ``stages``."""
    keys = {stage.key for stage in stages}
    return {s.key: {upstream.key for upstream in s.inputs.values()} & keys for s in stages}
