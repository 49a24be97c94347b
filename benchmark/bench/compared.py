"""The suite beside the plain way of doing the same.

The two sides take turns, so that a machine whose speed drifts slows both; the medians are shown.
Every comparison first asserts that both sides give the same answer, where they should.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.seeding import derive

CLASSES = 21
SIZE = (375, 500)
ROUNDS = 5
Image = NDArray[np.uint8]
Work = Callable[[], Any]


@dataclass(frozen=True)
class Figure:
    """One measured comparison; both sides in ``unit``, more being better."""

    name: str
    unit: str
    ours: float
    reference: float
    reference_is: str

    @property
    def ratio(self) -> float:
        """How many times ours is as fast."""
        return self.ours / self.reference

    def shown(self) -> dict[str, str]:
        """Return the figure in words, by column."""
        return {
            "what": self.name,
            "ours": f"{self.ours:.3g} {self.unit}",
            "beside": f"{self.reference:.3g} {self.unit}",
            "ratio": f"{self.ratio:.1f}",
            "of": self.reference_is,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figure for machines."""
        return {**asdict(self), "ratio": self.ratio}


def _in_turns(ours: Work, reference: Work, rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the median seconds of both, after one uncounted round."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for work, taken in zip((ours, reference), seconds, strict=True):
            started = time.perf_counter()
            work()
            if turn:
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def scoring(masks: int = 100) -> list[Figure]:
    """Confusion counts of masks against MMSegmentation's ``IoUMetric``, on one thread."""
    import torch

    from benchmark import torchvision_schemas  # noqa: F401 (before mmseg imports torchvision)
    from benchmark.metrics import confusion_counts

    IoUMetric = _iou_metric()
    torch.set_num_threads(1)
    truths = [_blocks(number, void=0.05) for number in range(masks)]
    predictions = [_blocks(number) for number in range(masks, 2 * masks)]
    pairs = [
        (torch.from_numpy(p.astype(np.int64)), torch.from_numpy(t.astype(np.int64)))
        for p, t in zip(predictions, truths, strict=True)
    ]

    def ours() -> NDArray[np.int64]:
        return sum(  # type: ignore[return-value]
            confusion_counts(t, p, CLASSES) for t, p in zip(truths, predictions, strict=True)
        )

    def reference() -> NDArray[np.int64]:
        areas = [IoUMetric.intersect_and_union(p, t, CLASSES, 255)[0] for p, t in pairs]
        return torch.stack(areas).sum(dim=0).numpy().astype(np.int64)

    if not np.array_equal(np.diagonal(ours()), reference()):
        raise AssertionError("the two scorers disagree")
    taken = _in_turns(ours, reference)
    return [_rate("scoring", "masks/s", masks, taken, "MMSegmentation's IoUMetric")]


def _iou_metric() -> Any:
    from mmseg.evaluation.metrics import IoUMetric

    return IoUMetric


def crf(images: int = 4) -> list[Figure]:
    """DenseCRF on all cores with the classes present, against one after the other with all."""
    from benchmark.crf import WIDE_CRF, crf_many, dense_crf

    cores = len(os.sched_getaffinity(0))
    photographs = [_photograph(number) for number in range(images)]
    jobs = [_crf_job(number, photograph) for number, photograph in enumerate(photographs)]

    def ours() -> list[Any]:
        return list(crf_many(jobs, WIDE_CRF, workers=cores))

    def reference() -> list[Any]:
        return [dense_crf(job.image, job.probabilities, WIDE_CRF) for job in jobs]

    def alone() -> list[Any]:
        return list(crf_many(jobs, WIDE_CRF, workers=1))

    present = _in_turns(alone, reference, rounds=2)
    all_cores = _in_turns(ours, reference, rounds=2)
    plain = "pydensecrf, one image after the other, 21 classes"
    return [
        _rate("CRF, 3 of 21 classes present, one core", "images/s", images, present, plain),
        _rate(f"CRF, the same, {cores} cores", "images/s", images, all_cores, plain),
    ]


def _crf_job(number: int, photograph: Image) -> Any:
    from benchmark.crf import CrfJob

    present = np.zeros(CLASSES, bool)
    present[[0, 3, 15]] = True
    scores = np.random.default_rng(number).random((CLASSES, *SIZE), np.float32) * 0.01
    scores[present] += 1.0
    return CrfJob(photograph, scores / scores.sum(axis=0), present)


def loading(images: int = 64, epochs: int = 3) -> list[Figure]:
    """Training views a second of a core: decoded once and cut by OpenCV, against PIL each time."""
    import benchmark.torchvision_schemas  # noqa: F401, I001  before torchvision
    from PIL import Image as Pillow
    from torchvision.transforms import v2

    from benchmark.data.augment import draw_view, recoloured

    files = [_jpeg(_photograph(number)) for number in range(images)]
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(321),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.1, 0.1, 0.1),
        ]
    )

    def ours() -> None:
        decoded = [np.asarray(Pillow.open(io.BytesIO(file)).convert("RGB")) for file in files]
        rng = np.random.default_rng(0)
        for _ in range(epochs):
            for image in decoded:
                view = draw_view(
                    image.shape, rng, kind="area", side=(321, 321), crop=321, flip=True
                )
                recoloured(view.of(image), rng, 0.1)

    def reference() -> None:
        for _ in range(epochs):
            for file in files:
                np.asarray(transform(Pillow.open(io.BytesIO(file)).convert("RGB")))

    taken = _in_turns(ours, reference, rounds=3)
    name = f"training views, {epochs} epochs of {images} images"
    return [_rate(name, "views/s", images * epochs, taken, "PIL and torchvision, each time")]


def _rate(
    name: str, unit: str, count: int, taken: tuple[float, float], reference_is: str
) -> Figure:
    return Figure(name, unit, count / taken[0], count / taken[1], reference_is)


def _blocks(number: int, void: float = 0.0) -> Image:
    """Draw ids 0..20 in blocks of 25 pixels, a share of the pixels void."""
    rng = np.random.default_rng(derive("bench", "blocks", number))
    small = rng.integers(0, CLASSES, (15, 20), dtype=np.uint8)
    ids = np.kron(small, np.ones((25, 25), np.uint8))
    ids[rng.random(ids.shape) < void] = 255
    return ids


def _photograph(number: int) -> Image:
    """Draw smooth colours with a little noise, about as hard to encode as a photograph."""
    import cv2

    rng = np.random.default_rng(derive("bench", "photograph", number))
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    noisy = smooth.astype(np.int16) + rng.integers(-8, 9, smooth.shape, dtype=np.int16)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _jpeg(image: Image) -> bytes:
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray(image).save(stream, "JPEG", quality=85)
    return stream.getvalue()
