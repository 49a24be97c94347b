from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest

from benchmark.crf import CrfJob, CrfOptions, crf_many, dense_crf, dense_crf_present
from benchmark.errors import BenchmarkError


def scene(seed: int = 0, size: tuple[int, int] = (18, 25), labels: int = 3) -> tuple:
    """Return a picture of flat regions under noise, and wavering probabilities of its regions."""
    rng = np.random.default_rng(seed)
    height, width = size
    region = np.zeros(size, dtype=int)
    region[:, width // 3 :] = 1
    region[height // 2 :, width // 2 :] = labels - 1
    colours = np.array([[40, 60, 90], [180, 90, 40], [90, 200, 120]])[:labels]
    image = np.clip(colours[region] + rng.normal(0, 4, (*size, 3)), 0, 255).astype(np.uint8)
    logits = 1.2 * np.eye(labels)[region] + rng.normal(0, 0.8, (*size, labels))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return image, np.ascontiguousarray(probabilities.transpose(2, 0, 1), dtype=np.float32), region


def mean_field(image: np.ndarray, probabilities: np.ndarray, options: CrfOptions) -> np.ndarray:
    """Return the marginals by dense matrices of all pixel pairs, float64; no lattice."""
    count, height, width = probabilities.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(float)
    rgb = image.reshape(-1, 3).astype(float)

    def kernel(features: np.ndarray) -> np.ndarray:
        squared = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
        weights = np.exp(-squared / 2)
        scale = 1 / np.sqrt(weights.sum(axis=1))
        return weights * scale[:, None] * scale[None]

    near = np.stack([x, y], axis=1)
    alike = np.concatenate([near / options.bilateral_sd_xy, rgb / options.bilateral_sd_rgb], axis=1)
    message = options.gaussian_weight * kernel(near / options.gaussian_sd)
    message += options.bilateral_weight * kernel(alike)

    energy = np.log(np.clip(probabilities.reshape(count, -1).astype(float), 1e-5, 1))
    marginals = np.exp(energy) / np.exp(energy).sum(axis=0)
    for _ in range(options.iterations):
        logits = energy + marginals @ message
        logits -= logits.max(axis=0)
        marginals = np.exp(logits) / np.exp(logits).sum(axis=0)
    return marginals.reshape(count, height, width)


def test_defaults_are_the_official_deeplab_values() -> None:
    assert [getattr(CrfOptions(), field.name) for field in fields(CrfOptions)] == [
        10, 3, 3, 4, 49, 5,
    ]  # fmt: skip


OPTIONS = {
    "official": CrfOptions(),
    "one step": CrfOptions(iterations=1),
    "position alone": CrfOptions(bilateral_weight=0.0),
    "colour alone": CrfOptions(gaussian_weight=0.0),
    "wide colours": CrfOptions(bilateral_sd_xy=10.0, bilateral_sd_rgb=60.0),
}


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equal_to_a_mean_field_over_all_pairs(options: CrfOptions, labels: int) -> None:
    """Within what the lattice of pydensecrf, an approximation, can give."""
    image, probabilities, _ = scene(labels=labels)
    ours = dense_crf(image, probabilities, options)
    expected = mean_field(image, probabilities, options)
    assert np.abs(expected - probabilities).mean() > 0.1  # there was something to do
    assert np.abs(ours - expected).mean() < 0.004
    assert np.abs(ours - expected).max() < 0.1
    assert (ours.argmax(axis=0) == expected.argmax(axis=0)).mean() > 0.99


@pytest.mark.parametrize("name", [field.name for field in fields(CrfOptions)])
def test_each_constant_goes_where_it_belongs(name: str) -> None:
    """The reference with any one constant tripled is not what comes out, and the right one is."""
    options = CrfOptions(
        iterations=1,
        gaussian_weight=1.0,
        gaussian_sd=1.5,
        bilateral_weight=3.0,
        bilateral_sd_xy=3.0,
        bilateral_sd_rgb=60.0,
    )
    image, probabilities, _ = scene(size=(24, 31))
    ours = dense_crf(image, probabilities, options)
    tripled = replace(options, **{name: 3 * getattr(options, name)})
    right = np.abs(ours - mean_field(image, probabilities, options)).mean()
    wrong = np.abs(ours - mean_field(image, probabilities, tripled)).mean()
    assert right < 0.003
    assert wrong > 3 * right


def test_the_defaults_mend_noisy_regions() -> None:
    image, probabilities, region = scene(size=(40, 55))
    before = (probabilities.argmax(axis=0) == region).mean()
    after = (dense_crf(image, probabilities, CrfOptions()).argmax(axis=0) == region).mean()
    assert before < 0.8
    assert after > 0.97


def test_marginals_are_probabilities_and_the_same_every_time() -> None:
    image, probabilities, _ = scene()
    marginals = dense_crf(image, probabilities, CrfOptions())
    assert (marginals.dtype, marginals.shape) == (np.float32, probabilities.shape)
    np.testing.assert_allclose(marginals.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(marginals, dense_crf(image, probabilities, CrfOptions()))


def test_without_weights_or_without_steps_nothing_changes() -> None:
    image, probabilities, _ = scene()
    for options in (
        CrfOptions(gaussian_weight=0.0, bilateral_weight=0.0),
        CrfOptions(iterations=0),
    ):
        np.testing.assert_allclose(
            dense_crf(image, probabilities, options), probabilities, atol=1e-5
        )


def test_certain_and_impossible_labels_stay_finite() -> None:
    image, _, region = scene()
    certain = np.eye(3, dtype=np.float32)[region].transpose(2, 0, 1)
    marginals = dense_crf(image, certain, CrfOptions())
    assert np.isfinite(marginals).all()
    assert (marginals.argmax(axis=0) == region).mean() > 0.95


def test_views_that_are_not_contiguous_give_the_same() -> None:
    image, probabilities, _ = scene()
    expected = dense_crf(image, probabilities, CrfOptions())
    turned = np.asfortranarray(probabilities)
    views = dense_crf(image[:, :, ::-1].copy()[:, :, ::-1], turned, CrfOptions())
    np.testing.assert_array_equal(views, expected)


def test_an_image_of_another_size_is_refused() -> None:
    image, probabilities, _ = scene()
    with pytest.raises(ValueError, match="image must be"):
        dense_crf(image.transpose(1, 0, 2), probabilities, CrfOptions())
    with pytest.raises(ValueError, match="image must be"):
        dense_crf(image.astype(np.float32), probabilities, CrfOptions())


def test_only_the_present_labels_go_in() -> None:
    image, probabilities, _ = scene()
    wide = np.zeros((6, *probabilities.shape[1:]), dtype=np.float32)
    present = np.array([True, False, True, False, False, True])
    wide[present] = 1e-4 * probabilities  # scaled to sum to 1 again, or the floor would show
    wide[3] = 1 - 1e-4
    marginals = dense_crf_present(image, wide, present, CrfOptions())
    np.testing.assert_allclose(
        marginals[present], dense_crf(image, probabilities, CrfOptions()), atol=1e-4
    )
    assert not marginals[~present].any()


def test_pixels_without_any_present_label_begin_even() -> None:
    image, probabilities, _ = scene()
    wide = np.concatenate([probabilities, np.zeros_like(probabilities[:1])])
    wide[:, 0, 0] = [0, 0, 0, 1]
    present = np.array([True, True, True, False])
    marginals = dense_crf_present(image, wide, present, CrfOptions(iterations=0))
    np.testing.assert_allclose(marginals[:, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)


@pytest.mark.parametrize("present", [[False] * 3, [True] * 4])
def test_no_or_too_many_present_labels_are_refused(present: list[bool]) -> None:
    image, probabilities, _ = scene()
    with pytest.raises(ValueError, match="present must be"):
        dense_crf_present(image, probabilities, np.array(present), CrfOptions())


def jobs(number: int) -> list[CrfJob]:
    made = []
    for seed in range(number):
        image, probabilities, _ = scene(seed, size=(12 + seed, 15))
        present = np.array([True, False, True]) if seed % 2 else None
        made.append(CrfJob(image, probabilities, present))
    return made


def test_many_images_in_processes_keep_their_order() -> None:
    inline = list(crf_many(jobs(7), CrfOptions()))
    assert [marginals.shape[1] for marginals in inline] == list(range(12, 19))
    for job, marginals in zip(jobs(7), inline, strict=True):
        present = np.ones(3, dtype=bool) if job.present is None else job.present
        assert (marginals.any(axis=(1, 2)) == present).all()
    spread = list(crf_many(jobs(7), CrfOptions(), workers=2))
    assert len(spread) == 7
    for one, other in zip(inline, spread, strict=True):
        np.testing.assert_array_equal(one, other)


def test_few_images_are_in_memory_at_once_and_a_stop_midway_is_clean() -> None:
    drawn = 0

    def source() -> Iterator[CrfJob]:
        nonlocal drawn
        for job in jobs(12):
            drawn += 1
            yield job

    results = crf_many(source(), CrfOptions(), workers=2)
    next(results)
    assert drawn <= 5
    next(results)
    assert drawn <= 6
    results.close()
    assert drawn <= 6


def test_no_images_and_no_workers() -> None:
    assert list(crf_many([], CrfOptions(), workers=2)) == []
    with pytest.raises(ValueError, match="workers"):
        list(crf_many(jobs(1), CrfOptions(), workers=0))


class _Deadly(CrfJob):
    """A job whose process dies, as one that the system kills for its memory."""

    @property
    def present(self) -> None:  # type: ignore[override]
        os._exit(9)


def _deadly() -> _Deadly:
    return object.__new__(_Deadly)


def test_a_killed_process_is_one_clear_line() -> None:
    with pytest.raises(BenchmarkError, match="killed, most often for want of memory"):
        list(crf_many([_deadly()], CrfOptions(), workers=2))
