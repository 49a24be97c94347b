"""Training a segmentation network on cues: cells with a label, image labels, and a CRF.

The cues are label PNGs that are mostly 255. SEC, DSRG and SGAN differ in which losses are on and in
what the CRF and the region growing do with the network's output.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from benchmark.crf import CrfOptions, dense_crf
from benchmark.device import full_precision
from benchmark.errors import BenchmarkError
from benchmark.segmentation.losses import (
    PROBABILITY_FLOOR,
    balanced_seed_loss,
    constrain_loss,
    expand_loss,
    floored_softmax,
    seed_loss,
)
from benchmark.segmentation.region_growing import grow

LossName = Literal["seed", "balanced_seed", "expand", "constrain"]


@dataclass(frozen=True)
class CueOptions:
    """Which losses are summed, each with weight 1, and their constants; the defaults are SEC's.

    Attributes:
        losses: Their names.
        crf_input: What the CRF takes as negative energies: SEC the logits, which is the usual
            -log p, DSRG and SGAN the probabilities themselves (released code).
        crf_scale: Divides the CRF's distances, which are given in image pixels: 12 in all the
            released code, for 41x41 cells of 321 pixels.
        ratio_range: ``constrain_loss``'s.
        foreground_decay: ``expand_loss``'s; SEC's is for 41x41 cells.
        background_decay: Likewise.
        grow: Whether the seeds grow on the CRF's probabilities in each step (DSRG).
        grow_foreground: ``grow``'s threshold of the classes.
        grow_background: ``grow``'s threshold of the background.
    """

    losses: tuple[LossName, ...] = ("seed", "expand", "constrain")
    crf_input: Literal["logits", "probabilities"] = "logits"
    crf_scale: float = 12.0
    ratio_range: tuple[float, float] | None = None
    foreground_decay: float = 0.996
    background_decay: float = 0.999
    grow: bool = False
    grow_foreground: float = 0.85
    grow_background: float = 0.99

    def __post_init__(self) -> None:
        """Refuse losses that do not exist, and none at all."""
        known = get_args(LossName)
        for name in self.losses:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1) or [", ".join(known)]
                raise BenchmarkError(f"no cue loss {name!r}: did you mean {near[0]}?")
        if not self.losses:
            raise BenchmarkError(f"no cue loss is on: choose from {', '.join(known)}")

    @property
    def needs_crf(self) -> bool:
        """Whether a step needs the CRF."""
        return self.grow or "constrain" in self.losses

    def crf(self) -> CrfOptions:
        """Return the CRF of SEC's, DSRG's and SGAN's training."""
        return CrfOptions(
            iterations=10,
            gaussian_weight=3.0,
            gaussian_sd=3.0 / self.crf_scale,
            bilateral_weight=10.0,
            bilateral_sd_xy=80.0 / self.crf_scale,
            bilateral_sd_rgb=13.0,
        )


def cue_losses(
    scores: Tensor, labels: Tensor, image_labels: Tensor, images: Tensor, options: CueOptions
) -> dict[str, Tensor]:
    """Return the losses that are on, by name.

    Args:
        scores: Logits (B, L, h, w), background first.
        labels: Cues (B, h, w), 255 where there is none.
        image_labels: (B, L - 1), 0 or 1.
        images: (B, 3, H, W), RGB of 0..255, for the CRF.
        options: Which losses, and their constants.
    """
    scores = full_precision(scores)
    probabilities = floored_softmax(scores)
    if options.needs_crf:
        negative_energies = scores if options.crf_input == "logits" else probabilities
        refined = crf_marginals(images, negative_energies, options.crf())
    if options.grow:
        labels = grown_seeds(labels, refined, image_labels, options)
    found: dict[str, Tensor] = {}
    if "seed" in options.losses:
        found["seed"] = seed_loss(probabilities, labels)
    if "balanced_seed" in options.losses:
        found["balanced_seed"] = balanced_seed_loss(probabilities, labels)
    if "expand" in options.losses:
        decays = options.foreground_decay, options.background_decay
        found["expand"] = expand_loss(probabilities, image_labels, *decays)
    if "constrain" in options.losses:
        found["constrain"] = constrain_loss(probabilities, refined, options.ratio_range)
    return found


@torch.no_grad()
def crf_marginals(images: Tensor, negative_energies: Tensor, options: CrfOptions) -> Tensor:
    """Return the CRF's marginals (B, L, h, w), at least 1e-4 before they are scaled to sum to 1.

    The images (B, 3, H, W), RGB of 0..255, are resized to the cells, corner on corner, and rounded.
    ``negative_energies`` (B, L, h, w) count up to a constant of each cell, so that their softmax
    serves. A constant: no gradient (SEC's release; DSRG's layer scales the gradient instead).
    """
    size = negative_energies.shape[2:]
    views = functional.interpolate(images, size, mode="bilinear", align_corners=True)
    pixels = views.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    unaries = functional.softmax(negative_energies, dim=1).float().cpu().numpy()
    pairs = zip(pixels, unaries, strict=True)
    marginals = np.stack([dense_crf(np.ascontiguousarray(i), u, options) for i, u in pairs])
    raised = torch.from_numpy(marginals).to(negative_energies).clamp(min=PROBABILITY_FLOOR)
    return raised / raised.sum(dim=1, keepdim=True)


def grown_seeds(
    labels: Tensor, refined: Tensor, image_labels: Tensor, options: CueOptions
) -> Tensor:
    """Return the seeds (B, h, w) grown on the refined probabilities (B, L, h, w)."""
    grown = [
        grow(seeds, marginals, present, options.grow_foreground, options.grow_background)
        for seeds, marginals, present in zip(
            labels.cpu().numpy(), refined.cpu().numpy(), image_labels.cpu().numpy(), strict=True
        )
    ]
    return torch.from_numpy(np.stack(grown)).to(labels.device)


@MODELS.register_module()
class CueSegmentor(EncoderDecoder):
    """An EncoderDecoder whose losses are those of cues; its head's own loss is not used.

    The losses are taken where the head's ``label_stride`` leaves labels; coarser scores are
    interpolated to these cells. Image labels (L - 1,) come with each sample as ``image_labels``.

    Args:
        cues: ``CueOptions``'s arguments.
        options: ``EncoderDecoder``'s.
    """

    def __init__(self, cues: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.cues = CueOptions(**cues)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the losses of normalised images (B, 3, H, W) and their cues."""
        head, preprocessor = self.decode_head, self.data_preprocessor
        step = head.label_stride
        labels = torch.stack([s.gt_sem_seg.data[0, ::step, ::step] for s in data_samples])
        scores = head(self.extract_feat(inputs))
        if scores.shape[2:] != labels.shape[1:]:
            scores = functional.interpolate(
                scores, labels.shape[1:], mode="bilinear", align_corners=head.align_corners
            )
        images = inputs * preprocessor.std + preprocessor.mean
        image_labels = image_labels_of(data_samples).to(scores.device)
        found = cue_losses(scores, labels, image_labels, images, self.cues)
        return {f"loss_{name}": loss for name, loss in found.items()}


def image_labels_of(samples: Sequence[SegDataSample]) -> Tensor:
    """Return the samples' image labels (B, L - 1), bool; BenchmarkError where they have none."""
    if any("image_labels" not in sample.metainfo for sample in samples):
        raise BenchmarkError(
            "this segmentation config needs image labels: train it through the benchmark"
        )
    return torch.tensor([sample.metainfo["image_labels"] for sample in samples], dtype=torch.bool)
