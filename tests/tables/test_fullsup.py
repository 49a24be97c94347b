"""The table of full supervision: networks trained on the true masks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data.voc import open_voc, read_label_png
from benchmark.executor import execute
from benchmark.plan import Plan, make_plan
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.report.card import published_card
from benchmark.stages import STAGES
from benchmark.store import Store
from benchmark.tables import Row, load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny import write_profile

TRUTH: dict[str, Any] = {
    "id": "a",
    "title": "A",
    "labels": "truth",
    "segmentation": "largefov_vgg16",
    "supervision": "F",
}


def test_published_values_are_those_of_the_papers() -> None:
    """arXiv:1606.00915 Tables 1 and 3, arXiv:1802.02611 Table 3, written here by hand."""
    table = load_table("fullsup")
    assert {row.id: dict(row.published) for row in table.rows if row.ours and row.published} == {
        "largefov_vgg16": {"val": 62.25, "val_crf": 67.64, "test_crf": 70.3},
        "largefov_vgg16_caffe": {"val": 62.25, "val_crf": 67.64, "test_crf": 70.3},
        "aspp_vgg16": {"val": 68.96, "val_crf": 71.57, "test_crf": 72.6},
        "aspp_vgg16_caffe": {"val": 68.96, "val_crf": 71.57, "test_crf": 72.6},
        "deeplabv3plus_resnet101": {"val": 78.85},
    }
    for row in table.rows:
        if "coco" in row.id or "COCO" in row.title:
            assert not row.ours


def test_every_network_is_one_of_the_paper_profile() -> None:
    families = {row.segmentation for row in load_table("fullsup").rows if row.ours}
    assert families <= set(load_profile("paper").segmentation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "cam"}, "row a: true labels need no method"),
        ({"recipe": "seeds"}, "row a: true labels need no method"),
        ({"retrain": "plain"}, "row a: true labels need no method, recipe or second training"),
        ({"segmentation": None}, "row a: true labels need segmentation"),
        ({"supervision": "I"}, "row a: true labels need segmentation and supervision 'F'"),
        ({"labels": "proxy"}, "labels"),
        ({"flags": {"val": "?"}}, "row a: flag for 'val'"),
    ],
)
def test_true_labels_stand_alone(change: dict[str, Any], message: str) -> None:
    assert Row.model_validate(TRUTH).ours
    with pytest.raises(ValueError, match=message):
        Row.model_validate({**TRUTH, **change})


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The row of LargeFOV on VGG-16, in miniature."""
    profile = load_profile(str(write_profile(tmp_path_factory.mktemp("profile"))))
    table = load_table("fullsup")
    rows = tuple(row for row in table.rows if row.id == "largefov_vgg16")
    return make_plan(table.model_copy(update={"rows": rows}), profile, UserFiles(), (0,))


def test_nothing_but_masks_images_and_weights_comes_before_the_training(plan: Plan) -> None:
    assert [stage.name for stage in plan.stages] == [
        "scenes",
        "backbone",
        "true_labels",
        "segmentation",
        "prediction",
        "score",
        "prediction",
        "score",
    ]
    for cell in plan.cells:
        assert (cell.card.supervision, cell.card.saliency, cell.card.threshold) == (
            "F",
            "none",
            "none",
        )
        published = published_card(plan.table, cell.row, cell.column)
        assert cell.card.differences(published) == [
            "dataset",
            "network",
            "initial_weights",
            "profile",
        ]
    assert plan.diagnostics == {"largefov_vgg16": {}}
    assert not plan.sheets


def test_the_network_is_trained_on_the_masks_themselves(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    execute(plan.targets, store, STAGES, SilentProgress(), announce=lambda _: None)
    by_name = {stage.name: stage for stage in plan.stages}
    dataset = open_voc(store.folder(by_name["scenes"]) / "voc")
    labels = store.folder(by_name["true_labels"]) / "labels"
    ids = dataset.ids("train_aug")
    assert sorted(path.stem for path in labels.iterdir()) == sorted(ids)
    for image_id in ids:
        found = read_label_png(labels / f"{image_id}.png")
        assert np.array_equal(found, dataset.mask(image_id))
    assert by_name["segmentation"].inputs["labels"] == by_name["true_labels"]
    record = store.record(by_name["score"])
    assert record is not None
    assert 0 <= float(record.metrics["miou"]) <= 1
