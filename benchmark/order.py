"""In which order stages are begun, where several are made at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.store import Stage

TRAININGS = {"attention", "refinement", "segmentation", "saliency_network"}
"""The stages that train a network."""
TRAINING = 10
"""What a training counts, another stage 1: the whole of a row's other stages take about as long."""


def chain_lengths(stages: Sequence[Stage]) -> dict[str, int]:
    """Return, by key, what the longest chain counts that begins with each.

    ``stages``: inputs before what rests on them.
    """
    lengths = {stage.key: _counts(stage) for stage in stages}
    for stage in reversed(stages):
        for upstream in stage.inputs.values():
            if upstream.key in lengths:
                behind = _counts(upstream) + lengths[stage.key]
                lengths[upstream.key] = max(lengths[upstream.key], behind)
    return lengths


def chosen(
    ready: Sequence[Stage],
    waiting: Sequence[Stage],
    lengths: Mapping[str, int],
    free: int,
    jobs: int,
) -> list[Stage]:
    """Return which of the ``ready`` stages to begin on ``free`` of ``jobs`` workers.

    As they come, so that the rows of a long table are finished one after another. But where the
    longest chain would soon outlast the rest, the longest first: else one worker would be left with
    a whole row at the end. ``waiting``: all stages that are not begun, the ready ones among them.
    """
    rest = sum(map(_counts, waiting)) / max(jobs, 1)  # a cluster may have no worker yet
    longest = max((lengths[stage.key] for stage in ready), default=0)
    if rest - longest < TRAINING:
        return sorted(ready, key=lambda stage: -lengths[stage.key])[:free]
    return list(ready[:free])


def _counts(stage: Stage) -> int:
    return TRAINING if stage.name in TRAININGS else 1
