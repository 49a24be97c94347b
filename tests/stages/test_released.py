"""The stages that released files stand in for, on images of a few pixels, by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.backbones import build_backbone
from benchmark.data.voc import read_label_png, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.graph import StageGraph
from benchmark.maps import MapArchive, write_maps
from benchmark.method import Head
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from benchmark.released import parse_released
from benchmark.stages import STAGES
from benchmark.store import Record, Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny_voc import write_voc

CLASSES = ("cat", "dog")  # VOC's 8 and 12
SEC = load_table("dsna_table3").row("sec")
CAM = load_table("methods").row("cam")


def ids(rows: list[list[int]]) -> NDArray[np.uint8]:
    return np.array(rows, np.uint8)


TRAIN = {
    "t1": ids([[0, 0, 8, 8], [0, 0, 8, 255]]),  # a cat
    "t2": ids([[12, 12, 15, 0]]),  # a dog, and a person that is not scored
}
VAL = {"v1": ids([[8, 0], [8, 0]])}


@pytest.fixture
def data(tmp_path: Path) -> UserFiles:
    return UserFiles(data=write_voc(tmp_path / "voc", TRAIN, VAL), classes=CLASSES)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def graph(data: UserFiles, given: str) -> StageGraph:
    weights = {"mobilenet_v2": Path(__file__)}  # of no stage that is made here
    files = UserFiles(data=data.data, classes=data.classes, weights=weights)
    return StageGraph(load_profile("light"), files, parse_released([given]))


def made(stage: Stage, store: Store) -> Record:
    records = execute([stage], store, STAGES, SilentProgress(), announce=print)
    return records[stage.key]


class TestLabels:
    def folder(self, tmp_path: Path, labels: dict[str, NDArray[np.uint8]]) -> Path:
        folder = tmp_path / "labels"
        folder.mkdir()
        for image_id, one in labels.items():
            write_label_png(folder / f"{image_id}.png", one)
        return folder

    def test_they_get_the_runs_ids_and_are_scored_where_they_are_labelled(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        given = {
            "t1": ids(
                [[0, 8, 8, 255], [255, 255, 12, 8]]
            ),  # of known truth: 7, labelled 4, right 2
            "t2": ids([[12, 255, 8, 15]]),  # of known truth: 3, labelled 1, right 1
        }
        stage = graph(data, f"labels={self.folder(tmp_path, given)}").labels(SEC, "train", 0)
        metrics = made(stage, store).metrics
        assert metrics["images"] == 2
        assert metrics["void"] == pytest.approx((3 / 8 + 2 / 4) / 2)  # 15 is void here
        assert metrics["labelled"] == pytest.approx(5 / 10)
        assert metrics["right"] == pytest.approx(3 / 5)
        folder = store.folder(stage) / "labels"
        assert read_label_png(folder / "t1.png").tolist() == [[0, 1, 1, 255], [255, 255, 2, 1]]
        assert read_label_png(folder / "t2.png").tolist() == [[2, 255, 1, 255]]

    def test_a_score_follows_as_always(self, data: UserFiles, store: Store, tmp_path: Path) -> None:
        given = {"v1": ids([[8, 8], [0, 0]])}
        score = graph(data, f"labels={self.folder(tmp_path, given)}").label_score(SEC, "val", 0)
        # background and cat: 1 hit of 3 each; no dog anywhere
        assert made(score, store).metrics["miou"] == pytest.approx(1 / 3)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (ids([[0, 0]]), r"t2\.png: the labels are 2x1 but the image is 4x1"),
            (ids([[0, 0, 21, 0]]), r"t2\.png: the mask holds id 21"),
        ],
    )
    def test_mistakes_in_a_file_name_it_in_one_line(
        self,
        data: UserFiles,
        store: Store,
        tmp_path: Path,
        labels: NDArray[np.uint8],
        message: str,
    ) -> None:
        folder = self.folder(tmp_path, {**TRAIN, "t2": labels})
        stage = graph(data, f"labels={folder}").labels(SEC, "train", 0)
        with pytest.raises(BenchmarkError, match=f"^labels train from labels: .*{message}") as told:
            made(stage, store)
        assert "\n" not in str(told.value)

    def test_labels_without_a_label_are_refused(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        void = {image_id: np.full_like(mask, 255) for image_id, mask in TRAIN.items()}
        stage = graph(data, f"labels={self.folder(tmp_path, void)}").labels(SEC, "train", 0)
        with pytest.raises(BenchmarkError, match="no pixel of the released labels is labelled"):
            made(stage, store)


def test_cues_are_laid_over_each_image(data: UserFiles, store: Store, tmp_path: Path) -> None:
    cues = np.full((2, 2, 2), 255, np.uint8)
    cues[0] = [[0, 8], [255, 12]]  # of t1, 2 by 4: each cell is one row of two pixels
    cues[1] = [[12, 15], [0, 0]]  # of t2, 1 by 4: the lower row of cells holds its pixels' centres
    np.savez(tmp_path / "cues.npz", ids=np.array(["t1", "t2"]), cues=cues)
    stage = graph(data, f"cues={tmp_path / 'cues.npz'}").labels(SEC, "train", 0)
    metrics = made(stage, store).metrics
    folder = store.folder(stage) / "labels"
    assert read_label_png(folder / "t1.png").tolist() == [[0, 0, 1, 1], [255, 255, 2, 2]]
    assert read_label_png(folder / "t2.png").tolist() == [[0, 0, 0, 0]]
    # t1: 7 of known truth, 5 labelled, 4 right; t2: 3, 3 and 1
    assert metrics["labelled"] == pytest.approx(8 / 10)
    assert metrics["right"] == pytest.approx(5 / 8)


class TestMaps:
    def test_those_of_the_classes_present_are_kept_with_the_runs_ids(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        folder = tmp_path / "maps"
        folder.mkdir()
        low = np.array([[0.25, 0.5]])
        maps = np.stack([low, low / 2, low / 4])
        np.savez(folder / "t1.npz", maps=maps, classes=[15, 12, 8], background=1 - low)
        np.savez(folder / "t2.npz", maps=maps[:1], classes=[8])  # but t2 holds a dog
        stage = graph(data, f"maps={folder}").maps(SEC, "train", 0)
        assert made(stage, store).metrics == {"images": 2, "classes_without_map": 1}
        archive = MapArchive(store.folder(stage) / "maps.safetensors")
        found, classes = archive.read("t1")
        assert classes.tolist() == [1]
        assert found.tolist() == [[[0.0625, 0.125]]]
        background = archive.background("t1")
        assert background is not None and background.tolist() == [[0.75, 0.5]]
        found, classes = archive.read("t2")
        assert found.shape == (0, 1, 2) and classes.size == 0
        assert archive.background("t2") is None

    def test_an_archive_of_the_suites_own_is_read(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "maps.safetensors"
        write_maps(
            path,
            {"v1": np.full((1, 1, 2), 0.5), "else": np.zeros((0, 1, 2))},
            {"v1": [1], "else": []},
        )
        stage = graph(data, f"maps={path}").maps(SEC, "val", 0)
        made(stage, store)
        archive = MapArchive(store.folder(stage) / "maps.safetensors")
        assert archive.ids() == ("v1",)
        assert archive.read("v1")[0].tolist() == [[[0.5, 0.5]]]

    def test_an_archive_of_more_classes_is_told(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "maps.safetensors"
        write_maps(path, {"v1": np.zeros((1, 1, 2))}, {"v1": [8]})
        with pytest.raises(BenchmarkError, match=r"v1 has maps of classes \[8\]; the run has 2"):
            made(graph(data, f"maps={path}").maps(SEC, "val", 0), store)

    def test_what_is_no_archive_is_told(self, data: UserFiles, tmp_path: Path) -> None:
        (tmp_path / "maps.npy").write_bytes(b"\x93NUMPY")
        with pytest.raises(BenchmarkError, match="is not an archive of attention maps"):
            graph(data, f"maps={tmp_path / 'maps.npy'}").maps(SEC, "val", 0)


class TestAttention:
    def weights(self, path: Path, **changes: torch.Tensor | None) -> Path:
        """Save a network of the row's, with keys changed, or left out where None."""
        profile = load_profile("light")
        options = {**profile.weights["mobilenet_v2"].options, **profile.attention.options}
        head = Head(**profile.attention.head)
        torch.manual_seed(0)
        network = build_method("cam", {}).network(
            build_backbone("mobilenet_v2", **options), len(CLASSES), head
        )
        state = {**network.state_dict(), **changes}
        torch.save({key: value for key, value in state.items() if value is not None}, path)
        return path

    def test_weights_are_kept_and_their_classifier_scored(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        path = self.weights(tmp_path / "attention.pth")
        stage = graph(data, f"attention={path}").attention(CAM, 0)
        metrics = made(stage, store).metrics
        assert metrics["val_map"] == 1.0  # one image: its class's precision is whole
        from benchmark.weights import load_state_dict

        kept = load_state_dict(store.folder(stage) / "attention.safetensors")
        given = load_state_dict(path)
        assert kept.keys() == given.keys()
        assert all(torch.equal(kept[key], given[key]) for key in given)

    def test_the_first_wrong_key_is_named(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        known = torch.load(self.weights(tmp_path / "all.pth"), weights_only=True)
        key = next(reversed(known))
        for changes, message in (
            ({key: None}, f"lacks {key!r}: the weights are of another network"),
            ({"module.x": torch.zeros(1)}, "holds 'module.x', which the network has not"),
            ({key: torch.zeros(3, 3, 3)}, rf"{key!r} has shape \(3, 3, 3\), expected"),
        ):
            path = self.weights(tmp_path / "attention.pth", **changes)  # type: ignore[arg-type]
            with pytest.raises(BenchmarkError, match=f"attention cam from .*{message}") as told:
                made(graph(data, f"attention={path}").attention(CAM, 0), store)
            assert "\n" not in str(told.value)

    def test_files_that_hold_more_than_tensors_are_refused(
        self, data: UserFiles, store: Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "attention.pth"
        torch.save({"network": Path("x")}, path)
        with pytest.raises(BenchmarkError, match="is no torch file of tensors alone"):
            made(graph(data, f"attention={path}").attention(CAM, 0), store)
