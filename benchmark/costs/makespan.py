"""How long stages take on several devices, given out as the executor gives them to its workers."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from benchmark.order import chain_lengths, chosen
from benchmark.store import Stage


def makespan(stages: Sequence[Stage], seconds: Mapping[str, float], devices: int) -> float:
    """Return the seconds from the first stage's start to the last one's end.

    Whenever a device is free it gets one of the stages of which all inputs among ``stages`` are
    finished (list scheduling; ``benchmark.order`` says which). ``stages`` with inputs before what
    needs them, ``seconds`` by key; ValueError for no device. Devices are alike, and moving files
    between them takes no time.
    """
    if devices < 1:
        raise ValueError("stages need at least one device")
    needs, lengths = _needs(stages), chain_lengths(stages)
    waiting = list(stages)
    running: list[tuple[float, str]] = []
    unfinished = {stage.key for stage in stages}
    now = 0.0
    while unfinished:
        ready = [stage for stage in waiting if needs[stage.key].isdisjoint(unfinished)]
        for stage in chosen(ready, waiting, lengths, devices - len(running), devices):
            heapq.heappush(running, (now + seconds[stage.key], stage.key))
            waiting.remove(stage)
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
