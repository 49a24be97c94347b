"""The saliency network's schedule; apart from the network so that planning needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SaliencyRecipe:
    """Generated training images, and the schedule: Adam, cosine decay to 0."""

    images: int = 2000
    size: int = 96
    iterations: int = 400
    batch_size: int = 16
    learning_rate: float = 2e-3
    backbone_rate: float = 0.1
