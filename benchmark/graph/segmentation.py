"""Segmentation networks: trained on labels, once more on their own, and tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.configs import config_digest, config_path
from benchmark.crf import CrfOptions, wide_crf
from benchmark.graph.code import prediction_code, training_code
from benchmark.graph.images import Images
from benchmark.graph.initial_weights import InitialWeights
from benchmark.graph.labels import LabelStages
from benchmark.graph.rows import plain
from benchmark.profiles import Profile, Segmentation
from benchmark.registry import parse_options
from benchmark.store import Stage
from benchmark.tables import Column, Evaluation, Row
from benchmark.tables.schema import Retraining

ADAPTED_LABELS: Mapping[Retraining, Mapping[str, Any]] = {
    "adapt": {"scales": [1.0, 0.75, 0.5], "fusion": "maximum", "restricted": True, "crf": False},
    "plain": {
        "scales": [0.75, 1.0, 1.25],
        "square": 321,
        "fusion": "logits",
        "restricted": False,
        "crf": True,
    },
}
"""How a network labels the images that it is trained on once more, none of them mirrored.

``adapt``: the released code of arXiv:1707.05821. ``plain``: stage f in the released code of Huang
et al. (CVPR 2018), which labels as it tests: squares of 241, 321 and 401 pixels, and a CRF. Both
join the scales as their tests do.
"""


def at_scale(evaluation: Evaluation, profile: Profile) -> Evaluation:
    """Return how a score is taken at the profile's scale: a square is one of the paper's pixels."""
    return evaluation if profile.squares else evaluation.model_copy(update={"square": None})


class SegmentationStages:
    """The stages from labels to the segmentation of a column's split."""

    def __init__(
        self, profile: Profile, images: Images, weights: InitialWeights, labels: LabelStages
    ) -> None:
        self._profile = profile
        self._images = images
        self._weights = weights
        self._labels = labels

    def family(self, row: Row) -> Segmentation:
        """Return the row's segmentation family at this scale."""
        return self._profile.segmentation[str(row.segmentation)]

    def network_path(self, row: Row) -> Path:
        """Return the config file of the row's segmentation network."""
        return config_path(self.family(row).config)

    def _tested_path(self, row: Row) -> Path:
        """Return the config of the training whose network is tested."""
        family = self.family(row)
        second = family.retraining if row.retrain is not None else None
        return config_path(second or family.config)

    def training(self, row: Row, seed: int) -> Stage:
        """Train the row's segmentation network."""
        path = self.network_path(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="segmentation",
            config={**config, **_network_config(path), "seed": seed},
            inputs={
                **inputs,
                "labels": self._labels.of(row, "train", seed),
                "backbone": self._weights.segmentation_backbone(self.family(row)),
            },
            locations={**locations, "config": str(path)},
            label=f"segmentation {row.id} seed {seed}",
            code=training_code(path),
        )

    def _adapted_labels(self, row: Row, retrain: Retraining, seed: int) -> Stage:
        """Label the training images with the trained network."""
        settings = dict(ADAPTED_LABELS[retrain])
        if not self._profile.squares:
            settings.pop("square", None)
        path = self.network_path(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="adapted_labels",
            config={
                **config,
                **_network_config(path),
                **settings,
                "flip": False,
                "crf": plain(wide_crf()) if settings["crf"] else None,
            },
            inputs={**inputs, "segmentation": self.training(row, seed)},
            locations={**locations, "config": str(path)},
            label=f"adapted labels {row.id} seed {seed}",
            code=prediction_code(path, "adapted_labels"),
        )

    def _retraining(self, row: Row, retrain: Retraining, seed: int) -> Stage:
        """Return the segmentation stage that goes on from the first one's weights."""
        first = self.training(row, seed)
        inputs = {
            **first.inputs,
            "labels": self._adapted_labels(row, retrain, seed),
            "initial": first,
        }
        path = self._tested_path(row)
        return dataclasses.replace(
            first,
            config={**first.config, **_network_config(path)},
            inputs=inputs,
            locations={**first.locations, "config": str(path)},
            label=f"retraining {row.id} seed {seed}",
            code=training_code(path),
        )

    def _trained(self, row: Row, seed: int) -> Stage:
        """Return the training of the network that is tested."""
        if row.retrain is None:
            return self.training(row, seed)
        return self._retraining(row, row.retrain, seed)

    def prediction(self, row: Row, column: Column, seed: int) -> Stage:
        """Segment the column's split."""
        assert column.evaluation is not None
        evaluation = at_scale(column.evaluation, self._profile)
        scored = self._images.scored_list(evaluation.split)
        path = self._tested_path(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="prediction",
            config={
                **config,
                **_network_config(path),
                **self._images.images_digest(scored),
                "split": scored,
                "scales": list(evaluation.scales),
                "flip": evaluation.flip,
                **_other_views(evaluation),
                "crf": _crf_constants(evaluation.crf_constants) if evaluation.crf else None,
            },
            inputs={**inputs, "segmentation": self._trained(row, seed)},
            locations={**locations, "config": str(path)},
            label=f"prediction {row.id} {column.id} seed {seed}",
            code=prediction_code(path, "prediction"),
        )


def _network_config(path: Path) -> dict[str, Any]:
    return {"config": path.name, "config_digest": config_digest(path)}


def _other_views(evaluation: Evaluation) -> dict[str, Any]:
    """Return how an image's views are made and joined where that is not as in most tests."""
    changed: dict[str, Any] = {} if evaluation.square is None else {"square": evaluation.square}
    fusion = evaluation.fusion
    return changed if fusion == "probabilities" else {**changed, "fusion": fusion}


def _crf_constants(changes: Mapping[str, float]) -> dict[str, Any]:
    changed = {**plain(CrfOptions()), **changes}
    return plain(parse_options("crf_constants", CrfOptions, changed))
