"""The protocol card: what must be equal before two numbers may be compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from benchmark.tables.schema import Column, Row, Table

TITLES = {
    "stage": "stage scored",
    "dataset": "data set",
    "train_split": "training split",
    "split": "split",
    "classes": "classes",
    "image_labels": "image labels from",
    "labels_at_test": "image labels at test",
    "refinement": "refinement of the maps",
    "threshold": "threshold of the proxy labels",
    "threshold_policy": "threshold is",
    "scales": "test scales",
    "flip": "test flip",
    "views": "joined over the scales",
    "crf": "CRF",
    "network": "network",
    "initial_weights": "initial weights",
    "saliency": "saliency",
    "supervision": "supervision",
    "profile": "profile",
    "started_from": "started from",
}


@dataclass(frozen=True)
class ProtocolCard:
    """How a number came about. None means not stated: it differs from nothing, and is shown so.

    Compared as they stand, so both sides must use the same words; for published cards those are
    in the table files (``dataset = "VOC 2012"``, ``initial_weights = "ImageNet"`` ...).
    """

    stage: str  # "labels" | "segmentation"
    dataset: str
    train_split: str
    split: str
    classes: tuple[str, ...]  # the evaluated ones, background left out
    image_labels: str | None  # "csv" | "xml" | "masks"
    labels_at_test: str  # "none" | "image labels"
    refinement: str | None  # "none"
    threshold: float | str | None  # "none": the labels come from an argmax alone
    threshold_policy: str | None  # "fixed" | "tuned" (on which split) | "oracle"
    scales: tuple[float, ...]
    flip: bool
    crf: bool
    network: str | None
    initial_weights: str | None
    saliency: str | None
    supervision: str | None  # "I" | "I+S"
    profile: str
    views: str = "probabilities"  # what is joined, and "squares of N px" where images are warped
    started_from: str = "images"  # or the released files that stand for a stage

    def differences(self, other: ProtocolCard) -> list[str]:
        """Return the names of the fields that both state and that differ."""
        return [
            name
            for name in TITLES
            if None not in (mine := getattr(self, name), theirs := getattr(other, name))
            and mine != theirs
        ]

    def shown(self, name: str) -> str:
        """Return one field's value for people."""
        return shown_value(name, getattr(self, name))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def shown_value(name: str, value: Any) -> str:
    """Return the value of a card's field, or of its JSON, for people."""
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "classes":
        few = len(value) <= 8
        return f"{len(value)}: {', '.join(value)}" if few else f"{len(value)}"
    if isinstance(value, tuple | list):
        return ", ".join(shown_value("", item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


if set(TITLES) != {field.name for field in fields(ProtocolCard)}:
    raise AssertionError("every field of a protocol card needs a title")


def published_card(table: Table, row: Row, column: Column) -> ProtocolCard:
    """Return the card that the paper states for one cell; ValueError for a text column."""
    if column.evaluation is None:
        raise ValueError(f"column {column.id} holds no score")
    protocol, evaluation = table.protocol, column.evaluation
    segmented = evaluation.stage == "segmentation"
    constants = evaluation.constants if evaluation.recipe else row.constants
    return ProtocolCard(
        stage=evaluation.stage,
        dataset=protocol.dataset,
        train_split=protocol.train_split,
        split=evaluation.split,
        classes=protocol.classes,
        image_labels=protocol.image_labels,
        labels_at_test=protocol.labels_at_test if segmented else "image labels",
        refinement="none" if evaluation.raw else row.refine or "none",
        threshold=constants.get("threshold", protocol.threshold),
        threshold_policy=protocol.threshold_policy,
        scales=evaluation.scales,
        flip=evaluation.flip,
        views=evaluation.views,
        crf=evaluation.crf,
        network=row.segmentation if segmented else protocol.attention,
        initial_weights=protocol.initial_weights,
        saliency=row.saliency or protocol.saliency,
        supervision=row.supervision,
        profile=protocol.profile,
    )
