from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark import metrics

VOID = 255


def counts_of(truth: list[list[int]], prediction: list[list[int]], num_classes: int) -> np.ndarray:
    return metrics.confusion_counts(
        np.array(truth, dtype=np.uint8), np.array(prediction, dtype=np.uint8), num_classes
    )


def sets_of(truth: np.ndarray, prediction: np.ndarray, class_id: int) -> tuple[set, set]:
    """Return the positions truly, and those predicted, of a class; void truth is out."""
    scored = {i for i, value in enumerate(truth.ravel().tolist()) if value != VOID}
    true = {i for i in scored if truth.ravel()[i] == class_id}
    predicted = {i for i in scored if prediction.ravel()[i] == class_id}
    return true, predicted


def reference(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> dict[str, list]:
    """Return exact scores per class by sets of pixels; None for a class that is nowhere."""
    scores: dict[str, list] = {"iou": [], "precision": [], "recall": []}
    for class_id in range(num_classes):
        true, predicted = sets_of(truth, prediction, class_id)
        for name, whole in (("iou", true | predicted), ("precision", predicted), ("recall", true)):
            if not true | predicted:
                scores[name].append(None)
            else:
                scores[name].append(Fraction(len(true & predicted), max(len(whole), 1)))
    return scores


def assert_same(scores: np.ndarray, expected: list) -> None:
    assert len(scores) == len(expected)
    for score, fraction in zip(scores.tolist(), expected, strict=True):
        if fraction is None:
            assert math.isnan(score)
        else:
            assert score == pytest.approx(float(fraction), abs=1e-15)


def mean_of(expected: list) -> float:
    present = [value for value in expected if value is not None]
    return float(sum(present) / len(present)) if present else math.nan


def test_counts_by_hand() -> None:
    counts = counts_of([[0, 0, 1, 255], [1, 2, 2, 0]], [[0, 1, 1, 1], [255, 2, 0, 255]], 3)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 1, 0, 1], [0, 1, 0, 1], [1, 0, 1, 0]]


def test_scores_by_hand() -> None:
    counts = counts_of([[0, 0, 1, 255], [1, 2, 2, 0]], [[0, 1, 1, 1], [255, 2, 0, 255]], 3)
    np.testing.assert_allclose(metrics.iou(counts), [1 / 4, 1 / 3, 1 / 2])
    np.testing.assert_allclose(metrics.precision(counts), [1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(metrics.recall(counts), [1 / 3, 1 / 2, 1 / 2])
    assert metrics.mean_iou(counts) == pytest.approx((1 / 4 + 1 / 3 + 1 / 2) / 3)


CASES = {
    "perfect": ([[0, 1], [2, 1]], [[0, 1], [2, 1]]),
    "an absent class": ([[0, 0], [1, 1]], [[0, 1], [1, 1]]),
    "a class that is only predicted": ([[0, 0], [0, 0]], [[0, 0], [2, 2]]),
    "a class that is never predicted": ([[0, 1], [1, 1]], [[0, 0], [0, 0]]),
    "a single class": ([[1, 1], [1, 1]], [[1, 1], [1, 1]]),
    "a single class, missed": ([[1, 1], [1, 1]], [[0, 0], [0, 0]]),
    "void truth": ([[255, 1], [255, 0]], [[1, 1], [2, 0]]),
    "all truth void": ([[255, 255], [255, 255]], [[1, 1], [2, 0]]),
    "void predictions": ([[0, 1], [1, 0]], [[255, 1], [255, 0]]),
    "all predictions void": ([[0, 1], [1, 0]], [[255, 255], [255, 255]]),
    "void against void": ([[255, 1], [1, 0]], [[255, 1], [1, 0]]),
}


@pytest.mark.parametrize(("truth", "prediction"), CASES.values(), ids=CASES)
def test_scores_equal_a_count_by_sets(truth: list, prediction: list) -> None:
    counts = counts_of(truth, prediction, 4)
    expected = reference(np.array(truth), np.array(prediction), 4)
    assert_same(metrics.iou(counts), expected["iou"])
    assert_same(metrics.precision(counts), expected["precision"])
    assert_same(metrics.recall(counts), expected["recall"])


IDS = st.sampled_from([0, 1, 2, 3, 4, VOID])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


@given(st.data())
def test_scores_equal_a_count_by_sets_everywhere(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    truth = data.draw(hnp.arrays(np.uint8, shape, elements=IDS))
    prediction = data.draw(hnp.arrays(np.uint8, shape, elements=IDS))
    counts = metrics.confusion_counts(truth, prediction, 5)
    assert counts.sum() == (truth != VOID).sum()
    expected = reference(truth, prediction, 5)
    for name, score, mean in (
        ("iou", metrics.iou, metrics.mean_iou),
        ("precision", metrics.precision, metrics.mean_precision),
        ("recall", metrics.recall, metrics.mean_recall),
    ):
        assert_same(score(counts), expected[name])
        assert float(mean(counts)) == pytest.approx(mean_of(expected[name]), nan_ok=True)


def test_absent_classes_are_nan_and_left_out_of_means() -> None:
    counts = counts_of([[0, 0, 1, 1]], [[0, 1, 1, 1]], 21)
    assert np.isnan(metrics.iou(counts)[2:]).all()
    assert metrics.mean_iou(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(metrics.mean_iou(np.zeros((21, 22), dtype=np.int64)))


def test_leading_axes_are_kept() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (2, 3, 9, 7)).astype(np.uint8)
    prediction = rng.integers(0, 4, (2, 3, 9, 7)).astype(np.uint8)
    counts = np.array(
        [
            [metrics.confusion_counts(truth[i, j], prediction[i, j], 5) for j in range(3)]
            for i in range(2)
        ]
    )
    assert metrics.iou(counts).shape == (2, 3, 5)
    assert metrics.mean_iou(counts).shape == (2, 3)
    np.testing.assert_array_equal(metrics.iou(counts)[1, 2], metrics.iou(counts[1, 2]))
    whole = metrics.confusion_counts(truth.reshape(-1, 7), prediction.reshape(-1, 7), 5)
    np.testing.assert_array_equal(counts.sum(axis=(0, 1)), whole)


def test_ids_out_of_range_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="neither below 3 nor 255"):
        counts_of([[3]], [[0]], 3)
    with pytest.raises(ValueError, match="neither below 3 nor 255"):
        counts_of([[255]], [[254]], 3)
    with pytest.raises(ValueError, match="prediction is"):
        counts_of([[0, 0]], [[0]], 3)
    with pytest.raises(ValueError, match="uint8"):
        metrics.confusion_counts(np.zeros((2, 2)), np.zeros((2, 2)), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="C \\+ 1"):
        metrics.iou(np.zeros((3, 3), dtype=np.int64))


@pytest.mark.parametrize("void_predictions", [False, True])
def test_equal_to_mmsegmentations_metric(void_predictions: bool) -> None:
    import benchmark.torchvision_schemas  # noqa: F401, I001  before all that imports torchvision
    import torch
    from mmseg.evaluation.metrics import IoUMetric

    rng = np.random.default_rng(4)
    num_classes, pairs, areas = 7, [], []
    for _ in range(6):
        truth = rng.integers(0, num_classes, (31, 44)).astype(np.uint8)
        prediction = np.where(
            rng.random((31, 44)) < 0.5, truth, rng.integers(0, num_classes, (31, 44))
        ).astype(np.uint8)
        truth[rng.random((31, 44)) < 0.1] = VOID
        if void_predictions:
            prediction[rng.random((31, 44)) < 0.1] = VOID
        pairs.append((truth, prediction))
        areas.append(
            IoUMetric.intersect_and_union(
                torch.from_numpy(prediction.astype(np.int64)),
                torch.from_numpy(truth.astype(np.int64)),
                num_classes,
                VOID,
            )
        )
    theirs = IoUMetric.total_area_to_metrics(
        *(sum(column) for column in zip(*areas, strict=True)), ["mIoU", "mFscore"]
    )
    counts = np.sum([metrics.confusion_counts(t, p, num_classes) for t, p in pairs], axis=0)
    np.testing.assert_allclose(metrics.iou(counts), theirs["IoU"], atol=1e-6)
    np.testing.assert_allclose(metrics.precision(counts), theirs["Precision"], atol=1e-6)
    np.testing.assert_allclose(metrics.recall(counts), theirs["Recall"], atol=1e-6)
    assert float(metrics.mean_iou(counts)) == pytest.approx(np.nanmean(theirs["IoU"]), abs=1e-6)


def test_average_precision_by_hand() -> None:
    # Ranked: + - + - -; precision 1 at recall 1/2, 2/3 at recall 1.
    scores, labels = [0.2, 0.9, 0.8, 0.7, 0.1], [0, 1, 0, 1, 0]
    assert metrics.average_precision(np.array(scores), np.array(labels)) == pytest.approx(5 / 6)


def test_average_precision_of_equal_scores_does_not_depend_on_their_order() -> None:
    # One step to recall 1 at precision 1/4.
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert metrics.average_precision(np.full(4, 0.5), np.array(labels)) == pytest.approx(1 / 4)


def reference_ap(scores: list[float], labels: list[bool]) -> Fraction:
    """Return AP as a sum over thresholds, each precision and recall counted afresh."""
    area, last = Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        taken = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = Fraction(sum(taken), sum(labels))
        area += (recall - last) * Fraction(sum(taken), len(taken))
        last = recall
    return area


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25))
def test_average_precision_equals_a_plain_count(items: list[tuple[int, bool]]) -> None:
    scores, labels = [float(s) for s, _ in items], [y for _, y in items]
    ours = metrics.average_precision(np.array(scores), np.array(labels))
    if not any(labels):
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(float(reference_ap(scores, labels)), abs=1e-12)


def test_mean_average_precision_leaves_out_classes_without_a_positive() -> None:
    scores = np.array([[0.9, 0.3, 0.1], [0.1, 0.8, 0.2], [0.5, 0.9, 0.3]])
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=bool)
    expected = (1 + (1 / 2 * 1 + 1 / 2 * 2 / 3)) / 2
    assert metrics.mean_average_precision(scores, labels) == pytest.approx(expected)
    assert math.isnan(metrics.mean_average_precision(scores, np.zeros_like(labels)))


def test_average_precision_refuses_nan_and_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="nan"):
        metrics.average_precision(np.array([0.1, np.nan]), np.array([1, 0]))
    with pytest.raises(ValueError, match="must both be"):
        metrics.average_precision(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="must both be"):
        metrics.mean_average_precision(np.zeros((3, 2)), np.zeros((3, 1)))
