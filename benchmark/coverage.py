"""Scores of labels that leave pixels void: how many are labelled, and how many of these are right.

mIoU counts a void pixel as a miss, which says little of labels that are made to train on. Counts
are those of ``benchmark.metrics``, int64 (..., C, C + 1); leading axes are summed over.
"""

from __future__ import annotations

import numpy as np

from benchmark.metrics import Counts


def labelled_share(counts: Counts) -> float:
    """Return the share of pixels, of those whose truth is known, that are not void."""
    total = _summed(counts)
    return _ratio(int(total[:, :-1].sum()), int(total.sum()))


def right_share(counts: Counts) -> float:
    """Return the share of the labelled pixels, of those whose truth is known, that are right."""
    labelled = _summed(counts)[:, :-1]
    return _ratio(int(np.trace(labelled)), int(labelled.sum()))


def _summed(counts: Counts) -> Counts:
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] + 1:
        raise ValueError(f"counts must be (..., C, C + 1), not {counts.shape}")
    return counts.sum(axis=tuple(range(counts.ndim - 2)))


def _ratio(part: int, whole: int) -> float:
    """Return part / whole, nan where the whole is empty."""
    return part / whole if whole else float("nan")
