"""Scores from confusion counts, and average precision. Fractions, unrounded.

Counts are int64 (..., C, C + 1): rows the truth, columns the prediction, the extra last column the
pixels that are predicted void; C counts the background. Leading axes (images, seeds, ...) are kept,
so that ``iou(counts)`` is per image and ``iou(counts.sum(axis=0))`` is over the data set.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

VOID = 255
MetricName = Literal["miou", "precision", "recall"]
Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


def confusion_counts(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], num_classes: int
) -> Counts:
    """Count pixel pairs: (H, W) ids twice -> (C, C + 1), with C = num_classes (background counted).

    Pixels whose truth is void are left out; a void prediction counts in the last column, so it
    is a miss of the true class and no hit of any.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape} but the prediction is {prediction.shape}")
    if truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"ids must be uint8, not {truth.dtype} and {prediction.dtype}")
    if not 1 <= num_classes <= VOID:
        raise ValueError(f"num_classes must be in 1..{VOID}, not {num_classes}")
    pairs = (truth.astype(np.uint16) << 8) | prediction
    table = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    if table[num_classes:VOID].any() or table[:, num_classes:VOID].any():
        raise ValueError(f"an id is neither below {num_classes} nor {VOID}")
    columns = [*range(num_classes), VOID]
    return table[:num_classes, columns].astype(np.int64)


def iou(counts: Counts) -> Scores:
    """Return intersection over union per class, (..., C); nan for a class that is nowhere."""
    hits, true, predicted = _marginals(counts)
    return _ratio(hits, true + predicted - hits, true + predicted)


def precision(counts: Counts) -> Scores:
    """Return precision per class, (..., C); 0 for a true class that is never predicted."""
    hits, true, predicted = _marginals(counts)
    return _ratio(hits, predicted, true + predicted)


def recall(counts: Counts) -> Scores:
    """Return recall per class, (..., C); 0 for a predicted class that is nowhere true."""
    hits, true, predicted = _marginals(counts)
    return _ratio(hits, true, true + predicted)


def per_class(metric: MetricName, counts: Counts) -> Scores:
    """Return the named metric per class, (..., C)."""
    return {"miou": iou, "precision": precision, "recall": recall}[metric](counts)


def mean_iou(counts: Counts) -> Scores:
    """Return the mean IoU, (...), over the classes that are true or predicted somewhere."""
    return mean_over_classes(iou(counts))


def mean_precision(counts: Counts) -> Scores:
    """Return the mean precision, (...), over the classes that are true or predicted somewhere."""
    return mean_over_classes(precision(counts))


def mean_recall(counts: Counts) -> Scores:
    """Return the mean recall, (...), over the classes that are true or predicted somewhere."""
    return mean_over_classes(recall(counts))


def mean_over_classes(scores: Scores) -> Scores:
    """Return the mean over the last axis, nan left out; nan where all are."""
    valid = ~np.isnan(scores)
    number = valid.sum(axis=-1)
    total = np.where(valid, scores, 0.0).sum(axis=-1)
    # The empty index makes a plain float64 of a mean without leading axes.
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)[()]


def average_precision(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the area under the exact precision-recall steps; nan without a positive.

    Sum over the distinct thresholds of (recall gained) x (precision there): items with equal
    scores enter together, so their order cannot matter, and nothing is interpolated.
    """
    truth = np.asarray(labels, dtype=bool)
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"scores {values.shape} and labels {truth.shape} must both be (N,)")
    if np.isnan(values).any():
        raise ValueError("a score is nan")
    if not truth.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
    hits = np.cumsum(truth[order])[ends]
    gained = np.diff(hits, prepend=0) / truth.sum()
    return float(np.sum(gained * hits / (ends + 1)))


def mean_average_precision(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean AP of the columns, (N, K) twice; columns without a positive are left out."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must both be (N, K)")
    pairs = zip(scores.T, labels.T, strict=True)
    return float(mean_over_classes(np.array([average_precision(s, y) for s, y in pairs])))


def _marginals(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Return hits, true and predicted pixels per class, each (..., C)."""
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] + 1:
        raise ValueError(f"counts must be (..., C, C + 1), not {counts.shape}")
    square = counts[..., :-1]
    hits = np.diagonal(square, axis1=-2, axis2=-1)
    return hits, counts.sum(axis=-1), square.sum(axis=-2)


def _ratio(part: Counts, whole: Counts, seen: Counts) -> Scores:
    """Return part / whole; 0 where the whole is empty but the class seen, nan where it is not."""
    return np.where(seen > 0, part / np.maximum(whole, 1), np.nan)
