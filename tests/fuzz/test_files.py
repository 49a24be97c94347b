"""Images, masks, labels, cues, maps and weights whose bytes are not what they should be."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.cues import read_cues
from benchmark.data.released import read_released_maps
from benchmark.data.voc import LABELS_CSV, VocDataset, open_voc, read_image, read_mask
from benchmark.errors import BenchmarkError
from benchmark.released import ReleasedFiles
from benchmark.weights import load_state_dict

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from breakage import UGLY, broken_bytes, one_line, texts
from tiny_voc import write_voc


def encoded(kind: str) -> bytes:
    """Return a picture of a few pixels."""
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 24) % 21
    picture = Image.fromarray(pixels)
    if kind == "JPEG":
        picture = Image.fromarray(np.stack([pixels * 9] * 3, axis=2))
    elif kind == "palette":
        picture.putpalette(bytes(range(256)) * 3)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG" if kind == "JPEG" else "PNG")
    return buffer.getvalue()


def npz(*, packed: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


CUES = {"ids": np.array(["one", "two"]), "cues": np.zeros((2, 3, 3), np.uint8)}
MAPS = {"maps": np.zeros((1, 3, 3), np.float32), "classes": np.array([8])}


@given(st.data(), st.sampled_from(["JPEG", "palette", "grey"]))
def test_pictures(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    path = tmp_path / "one"
    path.write_bytes(data.draw(broken_bytes(encoded(kind))))
    read = read_image if kind == "JPEG" else read_mask
    one_line(lambda: read(path))


@given(st.data(), st.booleans())
def test_released_cues(tmp_path: Path, data: st.DataObject, packed: bool) -> None:
    path = tmp_path / "cues.npz"
    path.write_bytes(data.draw(broken_bytes(npz(packed=packed, **CUES))))
    one_line(lambda: ReleasedFiles("cues", path).ids)


@given(st.data())
def test_released_maps_of_one_image(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "one.npz"
    path.write_bytes(data.draw(broken_bytes(npz(**MAPS))))
    one_line(lambda: read_released_maps(path))


def archive(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


SAFE = archive(
    b'{"__metadata__":{"classes":"{\\"one\\": [8]}"},'
    b'"one":{"dtype":"F16","shape":[1,1,1],"data_offsets":[0,2]}}'
)


@given(st.data())
def test_archives_of_tensors(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "maps.safetensors"
    path.write_bytes(data.draw(broken_bytes(SAFE + b"\0\0")))
    one_line(lambda: ReleasedFiles("maps", path).ids)
    one_line(lambda: load_state_dict(path))


@pytest.mark.parametrize(
    "header",
    [
        b'{"__metadata__":{"classes":"["}}',
        b'{"__metadata__":{"classes":"7"}}',
        b'{"__metadata__":{"classes":"null"}}',
        b"{" * 1000,
        b'{"one":{"dtype":"F99","shape":[1],"data_offsets":[0,2]}}',
        b'{"one":{"dtype":"F16","shape":[9223372036854775807,9],"data_offsets":[0,2]}}',
        b'{"one":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}',
    ],
)
def test_headers_of_tensors(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "maps.safetensors"
    path.write_bytes(archive(header) + b"\0\0")
    assert one_line(lambda: ReleasedFiles("maps", path).ids)
    one_line(lambda: load_state_dict(path))


def test_a_file_that_says_it_is_huge_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "maps.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    assert one_line(lambda: load_state_dict(path))
    assert one_line(lambda: ReleasedFiles("maps", path).ids)


@given(st.data())
def test_torch_files(tmp_path: Path, data: st.DataObject) -> None:
    import torch

    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer)
    path = tmp_path / "weights.pth"
    path.write_bytes(data.draw(broken_bytes(buffer.getvalue())))
    one_line(lambda: load_state_dict(path))


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (str(tmp_path / "ran"),)

    import torch

    torch.save({"a": Bomb()}, tmp_path / "weights.pth")
    np.savez(tmp_path / "cues.npz", ids=np.array([Bomb()], object), cues=np.zeros((1, 1, 1)))
    for read in (
        lambda: load_state_dict(tmp_path / "weights.pth"),
        lambda: read_cues(tmp_path / "cues.npz"),
        lambda: ReleasedFiles("cues", tmp_path / "cues.npz").ids,
    ):
        assert one_line(read)
    assert not (tmp_path / "ran").exists()


# Folders of images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound folder of two images, CSV labels and annotations."""
    mask = np.zeros((8, 9), np.uint8)
    mask[2:5] = 8
    root = write_voc(tmp_path_factory.mktemp("voc") / "images", {"one": mask}, {"two": mask})
    (root / LABELS_CSV).write_text("id,cat\none,1\ntwo,0\n")
    return root


@given(broken_bytes(b"id,cat\none,1\ntwo,0\n"))
def test_labels_csv(images: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)

    def labels() -> None:
        dataset = open_voc(images, classes=["cat"], labels_csv=path)
        for image_id in ("one", "two"):
            dataset.image_labels(image_id)

    one_line(labels)


@given(st.lists(st.one_of(texts, st.just("two")), max_size=4))
def test_lists_of_images(images: Path, ids: list[str]) -> None:
    path = images / "ImageSets" / "Segmentation" / "odd.txt"
    path.write_bytes("\n".join(ids).encode("utf-8", "surrogatepass"))
    dataset = VocDataset(images, ("cat",), val_split="odd")

    def read() -> None:
        for image_id in dataset.ids("odd"):
            assert dataset.image_path(image_id).parent == images / "JPEGImages"
            assert dataset.mask_path(image_id).parent == images / "SegmentationClassAug"
            one_line(lambda image_id=image_id: dataset.image(image_id))  # type: ignore[misc]

    one_line(read)


@pytest.mark.parametrize(
    "name", [name for name in UGLY if set(name) & set("/\\\0") or name == ".."]
)
def test_no_image_and_no_list_lies_outside(images: Path, name: str) -> None:
    dataset = open_voc(images, classes=["cat"])
    for read in (dataset.image_path, dataset.mask_path, dataset.split_path, dataset.image_labels):
        with pytest.raises(BenchmarkError, match="is not an image id"):
            read(name)


@given(broken_bytes(b'name = "animals"\nclasses = ["cat"]\nlabels = "csv"\nval_split = "val"\n'))
def test_dataset_toml(images: Path, content: bytes) -> None:
    path = images / "dataset.toml"
    path.write_bytes(content)
    try:
        one_line(lambda: open_voc(images))
    finally:
        path.unlink()


@pytest.mark.parametrize("key", ["train_split", "val_split", "labels_csv", "labels", "name"])
@given(texts)
def test_what_dataset_toml_names(images: Path, key: str, value: str) -> None:
    path = images / "dataset.toml"
    path.write_text(f"{key} = {json.dumps(value)}\n")
    try:
        one_line(lambda: open_voc(images))
    finally:
        path.unlink()


def test_annotations_that_grow(images: Path) -> None:
    folder = images / "Annotations"
    folder.mkdir(exist_ok=True)
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "cat">{entities}]><a><object><name>&e11;</name></object></a>'
    (folder / "one.xml").write_text(bomb)
    dataset = open_voc(images, classes=["cat"], labels="xml")
    assert "not XML" in one_line(lambda: dataset.image_labels("one"))
