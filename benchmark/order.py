"""In which order stages are begun, where several are made at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.store import Stage

LOOK_AHEAD = 2
"""Ready stages a worker to choose among: more would finish no row of a long table before its end,
one would leave all workers but one idle while the last row is made."""


def chain_lengths(stages: Sequence[Stage]) -> dict[str, int]:
    """Return, by key, of how many stages the longest chain is that begins with each.

    ``stages``: inputs before what rests on them.
    """
    lengths = {stage.key: 1 for stage in stages}
    for stage in reversed(stages):
        for upstream in stage.inputs.values():
            if upstream.key in lengths:
                lengths[upstream.key] = max(lengths[upstream.key], 1 + lengths[stage.key])
    return lengths


def chosen(ready: Sequence[Stage], lengths: Mapping[str, int], free: int, jobs: int) -> list[Stage]:
    """Return which of the ``ready`` stages to begin on ``free`` of ``jobs`` workers.

    Those with the longest chain behind them, so that no worker is left with a whole row at the
    end, but only among the first few: rows are finished in about the order of the table.
    """
    near = ready[: LOOK_AHEAD * jobs]
    return sorted(near, key=lambda stage: -lengths[stage.key])[:free]
