"""What more images and more classes cost: linear if a single one always costs the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.attention import attention_maps
from benchmark.bench.steps import CLASSES, TABLE, noise, untrained
from benchmark.costs.flops import VOC_IMAGE
from benchmark.costs.without_files import GraphWithoutFiles
from benchmark.crf import WIDE_CRF, CrfJob, crf_many
from benchmark.metrics import confusion_counts
from benchmark.profiles import load_profile
from benchmark.progress import duration
from benchmark.proxy import resize_maps
from benchmark.proxy.threshold import background_threshold
from benchmark.seeding import derive
from benchmark.stages.inputs import INFERENCE_BATCH, chunks
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

NUMBERS = (500, 1000, 3000)
PRESENT = (1, 2, 4, 8)
SIDE = 96


@dataclass(frozen=True)
class Growth:
    """The cost of ``number`` images or classes; ``least``: seconds for one, of the fewest."""

    what: str
    number: int
    seconds: float
    least: float

    @property
    def each(self) -> float:
        """Seconds for one."""
        return self.seconds / self.number

    def shown(self) -> dict[str, str]:
        """Return the cost in words, by column."""
        return {
            "growth": self.what,
            "number": str(self.number),
            "time": duration(self.seconds),
            "each": f"{1000 * self.each:.3g} ms",
            "beside the fewest": f"{self.each / self.least:.2f}",
        }

    def to_json(self) -> dict[str, Any]:
        """Return the cost for machines."""
        return {"group": "growth", **asdict(self), "each": self.each}


def growth(numbers: Sequence[int] = NUMBERS, present: Sequence[int] = PRESENT) -> list[Growth]:
    """Time maps, labels and scores of so many images, and CRFs with so many classes present."""
    return [
        *_grown("images: maps, labels and scores, 96 px", numbers, _label_images),
        *_grown("classes beside the background in a CRF, 375 x 500 px", present, _refine),
    ]


def _grown(what: str, numbers: Sequence[int], work: Callable[[int], None]) -> list[Growth]:
    work(min(numbers))  # uncounted: the first call allocates and loads
    seconds = {number: _seconds(work, number) for number in numbers}
    least = seconds[min(numbers)] / min(numbers)
    return [Growth(what, number, taken, least) for number, taken in seconds.items()]


def _seconds(work: Callable[[int], None], number: int) -> float:
    started = time.perf_counter()
    work(number)
    return time.perf_counter() - started


def _label_images(number: int) -> None:
    """Read the first method's maps off an untrained network, make labels of them, count those."""
    graph = GraphWithoutFiles(load_profile("scenes"), UserFiles())
    method, network = untrained(graph.attention(load_table(TABLE).rows[0], 0).config)
    for batch in chunks(range(number), INFERENCE_BATCH):
        data = noise(len(batch), (SIDE, SIDE), method)
        maps, _ = attention_maps(method, network, data, SIDE)
        for found, labels in zip(maps, data.labels, strict=True):
            classes = np.flatnonzero(labels)
            resized = resize_maps(found[classes], (SIDE, SIDE))
            proxy = background_threshold(resized, classes + 1, threshold=0.3)
            confusion_counts(proxy, proxy, CLASSES + 1)


def _refine(number: int) -> None:
    """Run DenseCRF on one image of VOC's size with ``number`` classes and the background."""
    rng = np.random.default_rng(derive("bench", "growth"))
    image: NDArray[np.uint8] = rng.integers(0, 256, (*VOC_IMAGE, 3), dtype=np.uint8)
    scores = rng.random((CLASSES + 1, *VOC_IMAGE), np.float32)
    present = np.arange(CLASSES + 1) <= number
    list(crf_many([CrfJob(image, scores / scores.sum(axis=0), present)], WIDE_CRF, workers=1))
