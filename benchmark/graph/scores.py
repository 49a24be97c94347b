"""Scores of what stages made, by the true masks."""

from __future__ import annotations

from benchmark.graph.code import READING
from benchmark.graph.images import Images
from benchmark.store import Stage


def score_of_maps(images: Images, maps: Stage, label: str, *, background: bool = False) -> Stage:
    """Score maps of val at every threshold, or by the ``background`` that they bring along."""
    config, inputs, locations = images.read()
    return Stage(
        name="map_score",
        config={**config, "background": True} if background else config,
        inputs={**inputs, "maps": maps},
        locations=locations,
        label=label,
        code=("benchmark.stages.score", *READING, "benchmark.metrics", "benchmark.proxy"),
    )


def score_of_labels(images: Images, made: Stage, scored: str, folder: str, label: str) -> Stage:
    """Score the labels in a ``folder`` of ``made``, of the images that ``scored`` lists."""
    config, inputs, locations = images.read()
    return Stage(
        name="score",
        config={**config, **images.list_digest(scored), "split": scored, "folder": folder},
        inputs={**inputs, "labels": made},
        locations=locations,
        label=label,
        code=("benchmark.stages.score", *READING, "benchmark.metrics"),
    )
