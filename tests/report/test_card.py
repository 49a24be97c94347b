"""What counts as a difference between two protocols."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from benchmark.report.card import ProtocolCard, published_card
from benchmark.tables import Table


@pytest.fixture
def card(table1: Table) -> ProtocolCard:
    return published_card(table1, table1.row("seenet"), table1.column("val"))


CHANGES = {
    "stage": "labels",
    "dataset": "scenes",
    "train_split": "train",
    "split": "test",
    "classes": ("cat", "dog"),
    "image_labels": "csv",
    "labels_at_test": "image labels",
    "refinement": "affinity",
    "threshold": 0.3,
    "threshold_policy": "oracle",
    "scales": (0.5, 1.0),
    "flip": True,
    "views": "logits, squares of 385 px",
    "crf": True,
    "network": "small",
    "initial_weights": "none",
    "saliency": "none",
    "supervision": "I",
    "profile": "scenes",
    "started_from": "labels given: theirs (sha256 0)",
}


def test_a_card_does_not_differ_from_itself(card: ProtocolCard) -> None:
    assert card.differences(card) == []


@pytest.mark.parametrize("name", [field.name for field in fields(ProtocolCard)])
def test_every_field_is_compared_by_itself_unless_it_is_not_stated(
    name: str, card: ProtocolCard
) -> None:
    stated = replace(card, image_labels="xml")
    changed = replace(stated, **{name: CHANGES[name]})
    assert stated.differences(changed) == [name]
    assert changed.differences(stated) == [name]
    assert stated.differences(replace(stated, **{name: None})) == []


def test_differences_keep_the_order_of_the_fields(card: ProtocolCard) -> None:
    other = replace(card, profile="light", crf=True, dataset="animals")
    assert card.differences(other) == ["dataset", "crf", "profile"]


def test_the_published_card_joins_table_row_and_column(table2: Table) -> None:
    card = published_card(table2, table2.row("seenet_resnet101"), table2.column("test_crf"))
    assert (card.split, card.crf, card.network) == ("test", True, "largefov_resnet101")
    assert card.scales == (0.5, 0.75, 1.0, 1.25, 1.5)
    assert (card.dataset, card.saliency, card.supervision) == ("VOC 2012", "DSS", "I+S")
    assert card.image_labels is None
    assert card.shown("image_labels") == "not stated"
    assert card.shown("scales") == "0.5, 0.75, 1, 1.25, 1.5"


def test_a_text_column_has_no_card(table2: Table) -> None:
    with pytest.raises(ValueError, match="publication holds no score"):
        published_card(table2, table2.row("seenet_vgg16"), table2.column("publication"))
