"""The stages: each a function of its config and of the artifacts before it.

A stage gets a Workspace (config, input folders, an empty output folder, a scratch folder that
survives a kill) and returns its metrics, fractions between 0 and 1 where they are scores.
"""

from __future__ import annotations

from benchmark.executor import StageFunction
from benchmark.stages.attention import attention, maps
from benchmark.stages.data import scenes
from benchmark.stages.initial_weights import (
    backbone,
    fully_connected_backbone,
    xception_backbone,
)
from benchmark.stages.labels import labels
from benchmark.stages.refinement import refined_maps, refinement
from benchmark.stages.released import released_attention, released_labels, released_maps
from benchmark.stages.saliency import saliency, saliency_network, shipped_saliency_network
from benchmark.stages.score import map_score, score
from benchmark.stages.segmentation import adapted_labels, prediction, segmentation
from benchmark.stages.truth import true_labels

STAGES: dict[str, StageFunction] = {
    "scenes": scenes,
    "backbone": backbone,
    "fully_connected_backbone": fully_connected_backbone,
    "xception_backbone": xception_backbone,
    "saliency_network": saliency_network,
    "shipped_saliency_network": shipped_saliency_network,
    "saliency": saliency,
    "attention": attention,
    "released_attention": released_attention,
    "maps": maps,
    "released_maps": released_maps,
    "refinement": refinement,
    "refined_maps": refined_maps,
    "map_score": map_score,
    "labels": labels,
    "released_labels": released_labels,
    "true_labels": true_labels,
    "segmentation": segmentation,
    "adapted_labels": adapted_labels,
    "prediction": prediction,
    "score": score,
}


def stage_summaries() -> dict[str, str]:
    """Return each stage's name and what it does, in the order in which data flows."""
    return {name: (function.__doc__ or "").splitlines()[0] for name, function in STAGES.items()}
