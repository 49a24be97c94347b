"""The weights that networks begin with."""

from __future__ import annotations

import dataclasses

from benchmark.graph.files import GivenFiles
from benchmark.profiles import Profile, Segmentation
from benchmark.store import Stage


class InitialWeights:
    """The stages that keep a profile's initial weights, as their networks take them."""

    def __init__(self, profile: Profile, files: GivenFiles) -> None:
        self._profile = profile
        self._files = files

    def backbone(self, name: str) -> Stage:
        """Keep the initial weights ``name`` of the profile."""
        weights = self._profile.weights[name]
        path = self._files.weights(name)
        return Stage(
            name="backbone",
            config={
                "architecture": weights.architecture,
                "options": weights.options,
                "sha256": self._files.sha256(path),
            },
            locations={"weights": str(path)},
            label=f"initial weights {name}",
            code=(
                "benchmark.stages.initial_weights",
                "benchmark.backbones",
                "benchmark.mxnet_params",
            ),
        )

    def segmentation_backbone(self, family: Segmentation) -> Stage:
        """Keep the initial weights of a segmentation network."""
        kept = self.backbone(family.weights)
        if self._profile.weights[family.weights].architecture == "xception65":
            return dataclasses.replace(
                kept,
                name="xception_backbone",
                code=("benchmark.stages.initial_weights", "benchmark.deeplab.xception"),
            )
        if not family.fully_connected:
            return kept
        return dataclasses.replace(
            kept,
            name="fully_connected_backbone",
            label=f"{kept.label} with fc6 and fc7",
            code=(
                "benchmark.stages.initial_weights",
                "benchmark.backbones",
                "benchmark.deeplab.fully_connected",
            ),
        )
