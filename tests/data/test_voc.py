from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.voc import (
    CLASS_NAMES,
    PALETTE,
    open_voc,
    read_image,
    read_label_png,
    read_mask,
    write_label_png,
)
from benchmark.errors import BenchmarkError

SPLITS = Path("ImageSets/Segmentation")


def message(call: Callable[[], object]) -> str:
    """Return the one line of the mistake that ``call`` must end in."""
    with pytest.raises(BenchmarkError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- the sound folder ---------------------------------------------------------------------------


def test_class_names_are_vocs_in_vocs_order() -> None:
    assert len(CLASS_NAMES) == 20
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)
    assert [CLASS_NAMES.index(n) + 1 for n in ("cat", "person", "tvmonitor")] == [8, 15, 20]


def test_palette_has_vocs_well_known_colours() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)}
    for index, colour in known.items():
        assert tuple(PALETTE[index].tolist()) == colour
    assert len({tuple(colour) for colour in PALETTE.tolist()}) == 256


def test_open_finds_the_parts_of_the_folder(voc: Path) -> None:
    dataset = open_voc(voc)
    assert dataset.name == "tiny_voc"
    assert dataset.classes == CLASS_NAMES
    assert (dataset.train_split, dataset.val_split) == ("train_aug", "val")
    assert dataset.ids("train_aug") == ("a_1", "a_2", "a_3")
    assert dataset.labels == "csv"
    assert dataset.num_classes == 21
    assert dataset.mask_folder.name == "SegmentationClassAug"
    image = dataset.image("a_2")
    assert (image.shape, image.dtype) == ((11, 16, 3), np.uint8)
    assert dataset.image_size("a_2") == (11, 16)


@pytest.mark.parametrize("split", ["trainaug", "train"])
def test_other_names_of_the_training_list(voc: Path, split: str) -> None:
    (voc / SPLITS / "train_aug.txt").rename(voc / SPLITS / f"{split}.txt")
    assert open_voc(voc).train_split == split


def test_plain_masks_serve_where_there_are_no_augmented_ones(voc: Path) -> None:
    (voc / "SegmentationClassAug").rename(voc / "SegmentationClass")
    assert open_voc(voc).mask("b_1").max() == 12


def test_masks_have_contiguous_ids_in_the_order_of_the_classes(voc: Path) -> None:
    everything = open_voc(voc)
    raw = read_mask(voc / "SegmentationClassAug" / "a_1.png")
    np.testing.assert_array_equal(everything.mask("a_1"), raw)
    chosen = open_voc(voc, classes=["dog", "person"])
    mask = chosen.mask("a_1")
    np.testing.assert_array_equal(mask == 1, raw == 12)
    np.testing.assert_array_equal(mask == 255, raw == 8)
    np.testing.assert_array_equal(mask == 0, raw == 0)
    assert set(np.unique(chosen.mask("a_3"))) == {0, 255}


@pytest.mark.parametrize("source", ["csv", "xml", "masks"])
def test_image_labels_are_the_same_from_every_source(voc: Path, source: str) -> None:
    dataset = open_voc(voc, classes=["person", "cat", "dog"], labels=source)
    assert dataset.image_labels("a_1").tolist() == [False, True, True]
    assert dataset.image_labels("a_2").tolist() == [True, False, False]
    # No evaluated class: kept, for the caller to decide.
    assert dataset.image_labels("a_3").tolist() == [False, False, False]
    assert dataset.image_labels("a_1").dtype == np.bool_


def test_default_label_source_follows_what_is_there(voc: Path) -> None:
    assert open_voc(voc).labels == "csv"
    (voc / "image_labels.csv").unlink()
    assert open_voc(voc).labels == "xml"
    shutil.rmtree(voc / "Annotations")
    assert open_voc(voc).labels == "masks"


def test_a_csv_elsewhere_with_its_columns_in_any_order(voc: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    rows = "\n".join(f"1,{i},0,x" for i in ("a_1", "a_2", "a_3", "b_1", "b_2"))
    table.write_text("\ufeff" + f"dog,id,cat,note\r\n{rows}\r\n", encoding="utf-8")
    dataset = open_voc(voc, classes=["cat", "dog"], labels_csv=table)
    assert dataset.image_labels("b_2").tolist() == [False, True]


def test_dataset_toml_describes_the_folder_and_arguments_win(voc: Path) -> None:
    (voc / "labels").mkdir()
    (voc / "image_labels.csv").rename(voc / "labels" / "own.csv")
    (voc / SPLITS / "val.txt").rename(voc / SPLITS / "held_out.txt")
    (voc / "dataset.toml").write_text(
        'name = "pets"\nclasses = ["dog", "cat"]\nlabels_csv = "labels/own.csv"\n'
        'val_split = "held_out"\n'
    )
    dataset = open_voc(voc)
    assert dataset.name == "pets"
    assert dataset.classes == ("dog", "cat")
    assert dataset.labels == "csv"
    assert dataset.ids(dataset.val_split) == ("b_1", "b_2")
    assert dataset.image_labels("b_1").tolist() == [True, False]
    own = open_voc(voc, classes=["person"], labels="masks", name="mine")
    assert (own.classes, own.labels, own.name) == (("person",), "masks", "mine")
    assert own.val_split == "held_out"


def test_a_grey_jpeg_becomes_rgb_and_exif_rotation_is_ignored(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    picture.save(tmp_path / "grey.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "grey.jpg")
    assert image.shape == (6, 10, 3)
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_label_pngs_come_back_as_written_with_vocs_colours(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_label_png(tmp_path / "x.png", labels)
    np.testing.assert_array_equal(read_label_png(tmp_path / "x.png"), labels)
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), PALETTE[labels])


def test_a_palette_of_few_colours_keeps_its_ids(tmp_path: Path) -> None:
    """Writers may pack small palettes in fewer bits a pixel."""
    picture = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8)).convert("L")
    picture.putpalette(PALETTE[:3].tobytes())
    picture.save(tmp_path / "x.png", bits=2)
    assert read_mask(tmp_path / "x.png").tolist() == [[0, 1], [2, 0]]


def test_write_label_png_takes_ids_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        write_label_png(tmp_path / "x.png", np.zeros((2, 2), dtype=np.int64))  # type: ignore[arg-type]
    assert not (tmp_path / "x.png").exists()


def test_a_dataset_travels_to_other_processes(voc: Path) -> None:
    dataset = open_voc(voc)
    dataset.mask("a_1"), dataset.image_labels("a_1")
    assert pickle.loads(pickle.dumps(dataset)) == dataset


# --- the digest ---------------------------------------------------------------------------------

BOTH = ("train_aug", "val")


def test_the_digest_ignores_where_the_folder_lies(voc: Path, tmp_path: Path) -> None:
    shutil.copytree(voc, tmp_path / "elsewhere")
    assert open_voc(voc).digest(BOTH) == open_voc(tmp_path / "elsewhere").digest(BOTH)
    assert len(open_voc(voc).digest(BOTH)) == 64


def swap_images(voc: Path) -> None:
    first, second = voc / "JPEGImages" / "a_1.jpg", voc / "JPEGImages" / "a_2.jpg"
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def change_mask(voc: Path) -> None:
    path = voc / "SegmentationClassAug" / "b_2.png"
    labels = read_label_png(path)
    labels[0, 0] = 1
    write_label_png(path, labels)


CHANGES: dict[str, Callable[[Path], object]] = {
    "an image's content": swap_images,
    "a mask's pixel": change_mask,
    "an image label": lambda voc: edit(voc / "image_labels.csv", "a_3,0", "a_3,1"),
    "the order of a list": lambda voc: (voc / SPLITS / "train_aug.txt").write_text("a_2\na_1\na_3"),
    "a shorter list": lambda voc: (voc / SPLITS / "train_aug.txt").write_text("a_1\na_2"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_follows_all_that_is_used(voc: Path, change: Callable[[Path], object]) -> None:
    before = open_voc(voc).digest(BOTH)
    change(voc)
    assert open_voc(voc).digest(BOTH) != before


def test_the_digest_follows_classes_and_label_source_but_nothing_unused(voc: Path) -> None:
    digests = {
        open_voc(voc).digest(BOTH),
        open_voc(voc, labels="xml").digest(BOTH),
        open_voc(voc, labels="masks").digest(BOTH),
        open_voc(voc, classes=["cat", "dog"]).digest(BOTH),
        open_voc(voc, classes=["dog", "cat"]).digest(BOTH),
        open_voc(voc, classes=["dog", "cat"], labels="masks").digest(BOTH),
        open_voc(voc).digest(["val"]),
    }
    assert len(digests) == 7
    (voc / "JPEGImages" / "unlisted.jpg").write_bytes(b"")
    (voc / SPLITS / "test.txt").write_text("c_1\n")
    assert open_voc(voc).digest(BOTH) in digests


# --- bad input ----------------------------------------------------------------------------------


def test_a_missing_folder_and_a_file_for_a_folder(voc: Path, tmp_path: Path) -> None:
    text = message(lambda: open_voc(tmp_path / "nowhere"))
    assert "nowhere: no such data folder" in text
    assert "not a data folder" in message(lambda: open_voc(voc / "image_labels.csv"))


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert "bare: the data folder is empty" in message(lambda: open_voc(tmp_path / "bare"))


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


BROKEN_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no images folder": (lambda voc: shutil.rmtree(voc / "JPEGImages"), "no JPEGImages folder"),
    "no images": (lambda voc: empty(voc / "JPEGImages"), "no .jpg images"),
    "no masks folder": (
        lambda voc: shutil.rmtree(voc / "SegmentationClassAug"),
        "no masks: put a SegmentationClassAug or SegmentationClass",
    ),
    "no masks": (lambda voc: empty(voc / "SegmentationClassAug"), "no masks"),
    "no lists": (lambda voc: shutil.rmtree(voc / "ImageSets"), "no split lists"),
    "no training list": (
        lambda voc: (voc / SPLITS / "train_aug.txt").unlink(),
        "no training list: put one of train_aug.txt, trainaug.txt, train.txt",
    ),
    "no val list": (
        lambda voc: (voc / SPLITS / "val.txt").unlink(),
        "val.txt: no such split list: put one id a line there; the lists there: train_aug",
    ),
    "empty val list": (
        lambda voc: (voc / SPLITS / "val.txt").write_text("\n \n"),
        "val.txt: the split list is empty",
    ),
    "id twice": (
        lambda voc: (voc / SPLITS / "val.txt").write_text("b_1\nb_2\nb_1\n"),
        "val.txt: lists b_1 twice",
    ),
    "list of pairs of paths": (
        lambda voc: (voc / SPLITS / "val.txt").write_text("/JPEGImages/b_1.jpg /Seg/b_1.png\n"),
        "val.txt: '/JPEGImages/b_1.jpg /Seg/b_1.png' is not an image id",
    ),
    "list that is no text": (
        lambda voc: (voc / SPLITS / "val.txt").write_bytes(b"\xff\xfe\x00b"),
        "val.txt: not a text file",
    ),
    "labels file without a class": (
        lambda voc: edit(voc / "image_labels.csv", ",horse,", ",pony,"),
        "image_labels.csv: no column 'horse'",
    ),
    "labels file without id": (
        lambda voc: edit(voc / "image_labels.csv", "id,", "name,"),
        "image_labels.csv: no column 'id'",
    ),
    "empty labels file": (
        lambda voc: (voc / "image_labels.csv").write_text(""),
        "image_labels.csv: no column 'id'",
    ),
    "labels file with a class twice": (
        lambda voc: edit(voc / "image_labels.csv", ",horse,", ",cat,"),
        "image_labels.csv: column 'cat' is there twice: keep one",
    ),
    "labels file with a short line": (
        lambda voc: edit(voc / "image_labels.csv", "a_2,0,", "a_2,"),
        "image_labels.csv, line 3: 20 cells where the header has 21",
    ),
    "labels file with a row twice": (
        lambda voc: edit(voc / "image_labels.csv", "a_2,", "a_1,"),
        "image_labels.csv, line 3: a second row for image a_1",
    ),
    "toml that is none": (
        lambda voc: (voc / "dataset.toml").write_text("classes = ["),
        "dataset.toml: not TOML",
    ),
    "toml with an unknown key": (
        lambda voc: (voc / "dataset.toml").write_text('clases = ["cat"]'),
        "dataset.toml: unknown key 'clases': did you mean 'classes'?",
    ),
    "toml with a number for a name": (
        lambda voc: (voc / "dataset.toml").write_text("name = 3"),
        "dataset.toml: name must be a text",
    ),
    "toml with a text for classes": (
        lambda voc: (voc / "dataset.toml").write_text('classes = "cat"'),
        "dataset.toml: classes must be a list",
    ),
    "toml with a misspelt class": (
        lambda voc: (voc / "dataset.toml").write_text('classes = ["cat", "hors"]'),
        "dataset.toml: unknown class 'hors': did you mean 'horse'?",
    ),
    "toml with another label source": (
        lambda voc: (voc / "dataset.toml").write_text('labels = "mask"'),
        "unknown label source 'mask': did you mean 'masks'?",
    ),
}


@pytest.mark.parametrize(("breakage", "expected"), BROKEN_FOLDERS.values(), ids=BROKEN_FOLDERS)
def test_a_broken_folder_gets_one_clear_line(
    voc: Path, breakage: Callable[[Path], object], expected: str
) -> None:
    open_voc(voc)
    breakage(voc)
    assert expected in message(lambda: open_voc(voc))


def test_unknown_repeated_and_no_classes(voc: Path) -> None:
    text = message(lambda: open_voc(voc, classes=["cat", "hors"]))
    assert text == "unknown class 'hors': did you mean 'horse'?"
    text = message(lambda: open_voc(voc, classes=["Cat"]))
    assert text == "unknown class 'Cat': did you mean 'cat'?"
    assert "choose from aeroplane, bicycle" in message(lambda: open_voc(voc, classes=["zzz"]))
    assert "named twice" in message(lambda: open_voc(voc, classes=["cat", "dog", "cat"]))
    assert "at least one" in message(lambda: open_voc(voc, classes=[]))


def test_label_sources_that_are_not_there(voc: Path) -> None:
    text = message(lambda: open_voc(voc, labels="xml", labels_csv=voc / "image_labels.csv"))
    assert "choose one" in text
    assert "other.csv: no such labels file" in message(
        lambda: open_voc(voc, labels_csv=voc / "other.csv")
    )
    (voc / "image_labels.csv").unlink()
    shutil.rmtree(voc / "Annotations")
    assert "image_labels.csv: no such labels file" in message(lambda: open_voc(voc, labels="csv"))
    assert "Annotations: no such folder" in message(lambda: open_voc(voc, labels="xml"))


def test_a_labels_file_that_lacks_an_image_is_found_by_the_digest(voc: Path) -> None:
    edit(voc / "image_labels.csv", "b_1,", "c_9,")
    dataset = open_voc(voc)
    expected = "image_labels.csv: no row for image b_1: add one"
    assert expected in message(lambda: dataset.image_labels("b_1"))
    assert expected in message(lambda: dataset.digest(["val"]))


def test_a_label_that_is_neither_0_nor_1(voc: Path) -> None:
    edit(voc / "image_labels.csv", "a_2,0,0", "a_2,0,2")
    text = message(lambda: open_voc(voc).image_labels("a_2"))
    assert "image_labels.csv, line 3: bicycle of image a_2 is '2': write 0 or 1" in text
    # A column that is not evaluated is nobody's business.
    assert open_voc(voc, classes=["person"]).image_labels("a_2").tolist() == [True]


@pytest.mark.parametrize(
    ("folder", "name"), [("JPEGImages", "b_1.jpg"), ("SegmentationClassAug", "b_1.png")]
)
def test_a_listed_file_that_is_not_there(voc: Path, folder: str, name: str) -> None:
    (voc / folder / name).unlink()
    dataset = open_voc(voc)
    assert f"{folder}/{name}: no such file" in message(lambda: dataset.digest(["val"]))
    assert f"{name}: no such file" in message(lambda: (dataset.image("b_1"), dataset.mask("b_1")))


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "cut short"])
def test_a_corrupt_jpeg(voc: Path, content: bytes | None) -> None:
    path = voc / "JPEGImages" / "a_1.jpg"
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    text = message(lambda: open_voc(voc).image("a_1"))
    assert "a_1.jpg: cannot be decoded" in text
    assert text.endswith("fetch it again")
    assert text.count("a_1.jpg") == 1


def test_a_corrupt_mask(voc: Path) -> None:
    path = voc / "SegmentationClassAug" / "a_1.png"
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"IDAT") + 6])
    assert "a_1.png: cannot be decoded" in message(lambda: open_voc(voc).mask("a_1"))


@pytest.mark.parametrize("file", ["JPEGImages/a_1.jpg", "SegmentationClassAug/a_1.png"])
def test_no_damage_gets_through_as_another_error(voc: Path, file: str) -> None:
    """Whatever the decoder makes of cut or altered bytes, it ends in pixels or in one line."""
    path = voc / file
    content = path.read_bytes()
    read = read_image if path.suffix == ".jpg" else read_mask
    lines: list[str] = []
    for position in range(0, len(content), max(1, len(content) // 150)):
        altered = bytearray(content)
        altered[position] ^= 0xFF
        for damaged in (content[:position], bytes(altered)):
            path.write_bytes(damaged)
            try:
                read(path)
            except BenchmarkError as error:
                lines.append(str(error))
    assert len(lines) > 100
    assert not any("\n" in line for line in lines)


def test_a_mask_of_another_size_than_its_image(voc: Path) -> None:
    write_label_png(voc / "SegmentationClassAug" / "a_1.png", np.zeros((16, 10), dtype=np.uint8))
    text = message(lambda: open_voc(voc).mask("a_1"))
    assert "a_1.png: the mask is 10x16 but its image is 16x10: resize" in text


@pytest.mark.parametrize("value", [21, 254])
def test_a_mask_with_an_id_out_of_range(voc: Path, value: int) -> None:
    mask = np.zeros((10, 16), dtype=np.uint8)
    mask[3, 3] = value
    write_label_png(voc / "SegmentationClassAug" / "a_1.png", mask)
    text = message(lambda: open_voc(voc).mask("a_1"))
    assert f"a_1.png: the mask holds id {value}; ids are 0 to 20 and 255" in text


def test_a_colour_picture_for_a_mask(voc: Path) -> None:
    path = voc / "SegmentationClassAug" / "a_1.png"
    Image.new("RGB", (16, 10)).save(path)
    assert "a_1.png: a RGB picture, not class ids" in message(lambda: open_voc(voc).mask("a_1"))


def test_annotations_that_are_bad(voc: Path) -> None:
    dataset = open_voc(voc, labels="xml")
    path = voc / "Annotations" / "a_1.xml"
    path.write_text("<annotation><object>")
    assert "a_1.xml: not XML" in message(lambda: dataset.image_labels("a_1"))
    path.write_text("<annotation><object><name>hose</name></object></annotation>")
    text = message(lambda: dataset.image_labels("a_1"))
    assert "a_1.xml: an object named 'hose': did you mean 'horse'?" in text
    path.unlink()
    assert "a_1.xml: no such file" in message(lambda: dataset.image_labels("a_1"))
    assert "a_1.xml: no such file" in message(lambda: dataset.digest(["train_aug"]))


@pytest.mark.parametrize(
    "bad", ["../secret", "/etc/passwd", "a\\b", "..", ".", "", "a/../b", "a b"]
)
def test_ids_that_reach_outside_the_folder_are_refused(voc: Path, bad: str) -> None:
    dataset = open_voc(voc, labels="xml")
    for read in (dataset.image, dataset.mask, dataset.image_labels, dataset.ids):
        assert "is not an image id" in message(lambda read=read: read(bad))
    if bad:
        (voc / SPLITS / "val.txt").write_text(f"b_1\n{bad}\n")
        assert "val.txt" in message(lambda: open_voc(voc))


# --- beside it ----------------------------------------------------------------------------------


def test_the_array_code_loads_no_torch() -> None:
    modules = "benchmark.data.voc, benchmark.data.check, benchmark.metrics, benchmark.proxy"
    code = f"import sys, {modules}, benchmark.crf; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(
    "BENCHMARK_VOC_ANIMALS" not in os.environ,
    reason="BENCHMARK_VOC_ANIMALS does not name the folder of real images",
)
def test_real_images() -> None:
    root = Path(os.environ["BENCHMARK_VOC_ANIMALS"])
    names = ("cat", "cow", "dog", "horse", "person", "sheep")
    dataset = open_voc(root, classes=names)
    assert len(dataset.ids("train_aug")) == 3131
    assert len(dataset.digest(BOTH)) == 64
    by_mask = open_voc(root, classes=names, labels="masks")
    for image_id in dataset.ids("val"):
        labels, in_mask = dataset.image_labels(image_id), by_mask.image_labels(image_id)
        assert labels.any()
        # The boxes behind the CSV name every class that has pixels.
        assert not (in_mask & ~labels).any()
    assert dataset.image("2007_000175").shape[:2] == dataset.mask("2007_000175").shape
