"""The archive for VOC 2012's evaluation server."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.profiles import Profile, VocFolder, load_profile
from benchmark.progress import SilentProgress
from benchmark.stages import STAGES
from benchmark.store import Metrics, Store, Workspace
from benchmark.submission import archive, plan_submission, write_submission
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

SIZES = {"2008_000006": (6, 8), "2008_000011": (5, 4)}


def write_labels(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, (image_id, size) in enumerate(SIZES.items()):
        write_label_png(folder / f"{image_id}.png", np.full(size, 20 * number, np.uint8))
    return folder


def test_the_archive_is_what_the_server_reads(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels")
    content = archive(folder, SIZES)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        assert tar.getnames() == [
            "results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png",
            "results/VOC2012/Segmentation/comp6_test_cls/2008_000011.png",
        ]
        file = tar.extractfile(tar.getmembers()[1])
        assert file is not None
        picture = Image.open(io.BytesIO(file.read()))
    assert (picture.mode, picture.size) == ("P", (4, 5))
    assert np.array_equal(np.array(picture), np.full((5, 4), 20))
    palette = picture.getpalette()
    assert palette is not None
    assert palette[3:6] == [128, 0, 0]  # VOC's aeroplane
    assert palette[60:63] == [0, 64, 128]  # and its tvmonitor
    later = write_labels(tmp_path / "later")
    assert archive(later, SIZES) == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "2008_000011.png").unlink(), "no label 2008_000011"),
        (lambda folder: (folder / "x.png").touch(), "no image x"),
        (
            lambda folder: write_label_png(
                folder / "2008_000011.png", np.full((5, 4), 255, np.uint8)
            ),
            "holds id 255",
        ),
        (
            lambda folder: write_label_png(
                folder / "2008_000011.png", np.full((4, 5), 1, np.uint8)
            ),
            "5x4, its image is 4x5",
        ),
        (
            lambda folder: Image.new("L", (4, 5)).save(folder / "2008_000011.png"),
            "not a PNG with VOC's palette",
        ),
    ],
)
def test_labels_that_the_server_would_refuse(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = write_labels(tmp_path / "labels")
    change(folder)
    with pytest.raises(BenchmarkError, match=message):
        archive(folder, SIZES)


@pytest.fixture
def paper() -> Profile:
    """The paper profile, content with two images."""
    data = VocFolder(kind="voc", name="VOC 2012", images={"train_aug": 1, "val": 1})
    return load_profile("paper").model_copy(update={"data": data})


@pytest.fixture
def files(tmp_path: Path) -> UserFiles:
    """A folder with one image in train_aug and val, two of test without masks, and weights."""
    root = tmp_path / "voc"
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    splits = {"train_aug": {"a": (6, 8)}, "val": {"b": (6, 8)}, "test": SIZES}
    for split, images in splits.items():
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(images))
        for image_id, size in images.items():
            Image.new("RGB", size[::-1]).save(root / "JPEGImages" / f"{image_id}.jpg")
            if split != "test":
                mask = np.full(size, 3, np.uint8)
                write_label_png(root / "SegmentationClassAug" / f"{image_id}.png", mask)
    (tmp_path / "vgg16.pth").write_bytes(b"weights")
    return UserFiles(data=root, weights={"vgg16": tmp_path / "vgg16.pth"})


def test_a_row_is_submitted_as_its_own_paper_tested_it(paper: Profile, files: UserFiles) -> None:
    table = load_table("fullsup")
    row, column = table.row("largefov_vgg16"), table.column("test_crf")
    assert column.evaluation is not None
    own = column.evaluation.model_copy(update={"scales": (0.5, 1.0), "crf": False})
    tested = row.model_copy(update={"evaluation": {"test_crf": own}})
    changed = table.model_copy(update={"rows": (tested,)})
    submission = plan_submission(changed, "largefov_vgg16", paper, files)
    assert submission.prediction.config["scales"] == [0.5, 1.0]
    assert submission.labels == "labels"


def nothing(work: Workspace) -> Metrics:
    (work.out / "file").touch()
    return {}


def labels_of_test(work: Workspace) -> Metrics:
    assert (work.config["split"], work.config["scales"]) == ("test", [1.0])
    for folder, value in (("labels", 1), ("labels_crf", 2)):
        (work.out / folder).mkdir()
        for image_id, size in SIZES.items():
            label = np.full(size, value, np.uint8)
            write_label_png(work.out / folder / f"{image_id}.png", label)
    return {}


def test_a_finished_prediction_is_packed(paper: Profile, files: UserFiles, tmp_path: Path) -> None:
    submission = plan_submission(load_table("fullsup"), "largefov_vgg16", paper, files)
    store, out = Store(tmp_path / "store"), tmp_path / "archive.tar.gz"
    with pytest.raises(
        BenchmarkError, match="prediction largefov_vgg16 test_crf seed 0 is not fin"
    ):
        write_submission(submission, store, out)
    functions = {**dict.fromkeys(STAGES, nothing), "prediction": labels_of_test}
    execute([submission.prediction], store, functions, SilentProgress(), announce=lambda _: None)
    assert write_submission(submission, store, out) == 2
    with tarfile.open(out) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        assert (np.array(Image.open(io.BytesIO(file.read()))) == 2).all()  # after the CRF


def test_other_test_images_are_another_prediction(paper: Profile, files: UserFiles) -> None:
    def key() -> str:
        table = load_table("fullsup")
        return plan_submission(table, "largefov_vgg16", paper, files).prediction.key

    before = key()
    assert key() == before
    assert files.data is not None
    Image.new("RGB", (8, 6), "red").save(files.data / "JPEGImages" / "2008_000006.jpg")
    assert key() != before


def test_what_no_server_scores(paper: Profile, files: UserFiles) -> None:
    fullsup = load_table("fullsup")
    with pytest.raises(BenchmarkError, match="row of ours in fullsup"):
        plan_submission(fullsup, "mobilenetv2_coco", paper, files)
    with pytest.raises(BenchmarkError, match="seenet_table1 has no column that waits"):
        plan_submission(load_table("seenet_table1"), "acol", paper, files)
    with pytest.raises(BenchmarkError, match="makes its own images"):
        plan_submission(fullsup, "largefov_vgg16", load_profile("scenes"), UserFiles())
    with pytest.raises(BenchmarkError, match="profile scenes has no aspp_vgg16"):
        plan_submission(fullsup, "aspp_vgg16", load_profile("scenes"), UserFiles())
    few = UserFiles(data=files.data, classes=("bird",), weights=files.weights)
    with pytest.raises(BenchmarkError, match="all 20 classes"):
        plan_submission(fullsup, "largefov_vgg16", paper, few)
