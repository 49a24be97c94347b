"""DenseCRF: mean-field inference over all pixel pairs, by pydensecrf.

Model of arXiv:1210.5644: unary -log p, Potts compatibility, a Gaussian kernel on position and one
on position and colour, both normalised symmetrically.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, with_config
from pydensecrf.densecrf import DenseCRF2D

from benchmark.errors import BenchmarkError

Probabilities = NDArray[np.float32]

# pydensecrf's own unary_from_softmax clips here; without a floor an impossible label stays so.
MIN_PROBABILITY = 1e-5


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class CrfOptions:
    """Constants of the CRF. The defaults are those of the official DeepLab-CRF-LargeFOV.

    Attributes:
        iterations: mean-field steps.
        gaussian_weight: weight of the position kernel (densecrf's pos_w).
        gaussian_sd: its standard deviation in pixels.
        bilateral_weight: weight of the position and colour kernel (densecrf's bi_w).
        bilateral_sd_xy: its standard deviation in pixels.
        bilateral_sd_rgb: its standard deviation in grey levels of 0..255.
    """

    iterations: int = 10
    gaussian_weight: float = 3.0
    gaussian_sd: float = 3.0
    bilateral_weight: float = 4.0
    bilateral_sd_xy: float = 49.0
    bilateral_sd_rgb: float = 5.0


CRF_CONSTANTS = tuple(field.name for field in fields(CrfOptions))
WIDE_CRF = CrfOptions(bilateral_weight=10.0, bilateral_sd_xy=80.0, bilateral_sd_rgb=13.0)
"""The constants with which the released code of arXiv:1803.10464 makes its labels."""


def wide_crf(**changes: float) -> CrfOptions:
    """Return ``WIDE_CRF`` with some constants changed; in table files every number is a float."""
    changed = replace(WIDE_CRF, **changes)  # type: ignore[arg-type]
    return replace(changed, iterations=int(changed.iterations))


def _completed(given: Any) -> Any:
    return {**asdict(WIDE_CRF), **given} if isinstance(given, Mapping) else given


WideCrf = Annotated[CrfOptions, BeforeValidator(_completed)]
"""An option of a method or a refinement: what a mapping leaves out is that of ``WIDE_CRF``."""


@dataclass(frozen=True)
class CrfJob:
    """One image: uint8 (H, W, 3), probabilities (L, H, W), and which of the L go in (all: None)."""

    image: NDArray[np.uint8]
    probabilities: Probabilities
    present: NDArray[np.bool_] | None = None


def dense_crf(
    image: NDArray[np.uint8], probabilities: Probabilities, options: CrfOptions
) -> Probabilities:
    """Return the label marginals, float32 (L, H, W), for an RGB image (H, W, 3)."""
    count, height, width = probabilities.shape
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"the image must be uint8 {(height, width, 3)}, not {image.dtype} {image.shape}"
        )
    unary = -np.log(np.clip(probabilities.astype(np.float32), MIN_PROBABILITY, 1.0))
    field = DenseCRF2D(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(count, -1)))
    field.addPairwiseGaussian(sxy=options.gaussian_sd, compat=options.gaussian_weight)
    field.addPairwiseBilateral(
        sxy=options.bilateral_sd_xy,
        srgb=options.bilateral_sd_rgb,
        rgbim=np.ascontiguousarray(image),
        compat=options.bilateral_weight,
    )
    marginals = np.array(field.inference(options.iterations), dtype=np.float32)
    return marginals.reshape(count, height, width)


def dense_crf_present(
    image: NDArray[np.uint8],
    probabilities: Probabilities,
    present: NDArray[np.bool_],
    options: CrfOptions,
) -> Probabilities:
    """Return marginals (L, H, W) of the labels ``present`` (L,) alone; the others are 0.

    The time grows with the labels that go in. Probabilities of the present labels are scaled to
    sum to 1 per pixel (uniform where all are 0).
    """
    present = np.asarray(present, dtype=bool)
    if present.shape != probabilities.shape[:1] or not present.any():
        raise ValueError(f"present must be bool ({len(probabilities)},) with at least one label")
    chosen = probabilities[present].astype(np.float32)  # a copy
    total = chosen.sum(axis=0)
    chosen /= np.where(total > 0, total, 1)  # where all are 0, the floor makes them equal
    marginals = np.zeros(probabilities.shape, dtype=np.float32)
    marginals[present] = dense_crf(image, chosen, options)
    return marginals


def crf_many(
    jobs: Iterable[CrfJob], options: CrfOptions, workers: int = 1
) -> Iterator[Probabilities]:
    """Yield the marginals of each job, in order, from ``workers`` processes (1: this process).

    Processes, because pydensecrf holds the GIL. At most two jobs a worker are in memory at once;
    jobs are drawn from the iterable as they are needed.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if workers == 1:
        yield from (_run(job, options) for job in jobs)
        return
    pending = iter(jobs)
    context = multiprocessing.get_context("spawn")  # safe beside threads and CUDA
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        running: deque[Future[Probabilities]] = deque(
            pool.submit(_run, job, options) for job in islice(pending, 2 * workers)
        )
        while running:
            marginals = running.popleft().result()
            running.extend(pool.submit(_run, job, options) for job in islice(pending, 1))
            yield marginals
    except BrokenProcessPool as error:
        raise BenchmarkError(
            "a DenseCRF process was killed, most often for want of memory: use fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(job: CrfJob, options: CrfOptions) -> Probabilities:
    present = job.present
    if present is None:
        return dense_crf(job.image, job.probabilities, options)
    return dense_crf_present(job.image, job.probabilities, present, options)
