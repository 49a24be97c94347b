"""Is a folder VOC 2012 as the papers use it? Tells what is missing, and where it is to be had.

Nothing is downloaded here: ``benchmark.data.download`` fetches what asks for no registration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmark.data.voc import ANNOTATIONS, IMAGES, LABELS_CSV, SPLITS, VocDataset, read_mask
from benchmark.errors import BenchmarkError, first_few
from benchmark.saliency.files import read_saliency
from benchmark.store import sha256_of, write_atomic

if TYPE_CHECKING:
    from benchmark.progress import Progress

MASKS = "SegmentationClassAug"


@dataclass(frozen=True)
class Split:
    """One list: how many ids it has, and the sha256 of the sorted ids, one a line."""

    images: int
    digest: str | None = None


@dataclass(frozen=True)
class Expected:
    """What a folder must hold.

    Attributes:
        splits: By name; ``train`` is a part of ``train_aug``, which shares nothing with the rest.
        masks: The splits whose masks are public.
        longest_side: Of the largest image, in pixels: another one means resized images.
    """

    splits: Mapping[str, Split]
    masks: tuple[str, ...] = ("train_aug", "val")
    longest_side: int = 500


VOC_2012 = Expected(
    {
        "train": Split(1464, "129f1fe991729b1862115b77738c938c149c1f167baa02b4b3186aea9f0d6a84"),
        "train_aug": Split(
            10582, "855dff350b7f447bf43cb98ea626a32e0d0b3b7c5786e03b2712a21355b635bf"
        ),
        "val": Split(1449, "6f8edc37993764f6e212237d39546fb595246244147e8a050813c520aac0ade1"),
        "test": Split(1456, "7d323bb3448fa174b9194953e01dfd168c9890adb30dd2491a66536edbeca0aa"),
    }
)

TRAINVAL = "VOCtrainval_11-May-2012.tar of the PASCAL VOC 2012 site (its folder VOC2012)"
TEST = "VOC2012test.tar of the PASCAL VOC evaluation server, after registration"
SBD = (
    "benchmark.tgz of the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011), its cls/*.mat "
    "turned into PNGs, or the SegmentationClassAug.zip that goes round with DeepLab's lists; with "
    "VOC's own masks of train and val"
)
SOURCES: Mapping[str, str] = {
    "train": TRAINVAL,
    "val": TRAINVAL,
    "test": TEST,
    "train_aug": "trainaug.txt of DeepLab's lists: VOC's train, and SBD less VOC's val",
    IMAGES: f"{TRAINVAL}; those of test: {TEST}",
    MASKS: SBD,
    "image labels": f"{ANNOTATIONS}/ of {TRAINVAL}",
    "saliency": (
        "DSS maps of the train_aug images: the folder saliency_aug of OAA's release; S-Net maps: "
        "SGAN's release. One grey ID.png an image"
    ),
    "vgg16": "torchvision's vgg16-397923af.pth",
    "vgg16_caffe": (
        "VGG_ILSVRC_16_layers.caffemodel of the VGG group, in torchvision's key layout, e.g. "
        "vgg16-00b39a1b.pth"
    ),
    "resnet101": "torchvision's resnet101-63fe2227.pth (IMAGENET1K_V1)",
    "mobilenet_v2": "torchvision's mobilenet_v2-b0353104.pth (IMAGENET1K_V1)",
    "xception65": "model.safetensors of timm's xception65.tf_in1k",
    "resnet38": "ilsvrc-cls_rna-a1_cls1000_ep-0001.params of ademxapp (Wu et al., Model A1)",
}
"""Where each part is to be had."""


@dataclass(frozen=True)
class PaperCheck:
    """The outcome: no problem means that the folder is VOC 2012.

    Attributes:
        counts: How many ids each list has; 0 where there is none. Of saliency maps, where a folder
            is given, how many images of train_aug and val have one.
        problems: A line for every kind of mistake.
        sources: Where what is missing or not given is to be had, a line a part.
        manifest: The sha256 of every file that counts, by its path in the folder.
        digest: The sha256 of the manifest: equal for equal data.
    """

    counts: dict[str, int]
    problems: tuple[str, ...]
    sources: tuple[str, ...]
    manifest: dict[str, str]
    digest: str


def check_paper(
    root: Path,
    progress: Progress,
    expected: Expected = VOC_2012,
    given: Mapping[str, Path | None] | None = None,
) -> PaperCheck:
    """Read every list, image and mask once.

    Args:
        root: The folder that holds JPEGImages.
        progress: Where the images are counted.
        expected: What it must hold.
        given: The user's files by what they are, ``saliency`` or a name of weights. None, not
            given, is no problem of the folder: where they are had is told all the same.

    Raises:
        BenchmarkError: There is no such folder.
    """
    if not root.is_dir():
        raise BenchmarkError(f"{root}: no such folder: give the one that holds {IMAGES}")
    check = _Check(root, VocDataset(root))
    for name in (IMAGES, MASKS):
        if not (root / name).is_dir():
            check.miss(name, f"no {name} folder")
    lists = {name: check.ids(name, split) for name, split in expected.splits.items()}
    _check_overlap(check, lists)
    listed = list(dict.fromkeys(image_id for ids in lists.values() for image_id in ids))
    masked = {image_id for name in expected.masks for image_id in lists.get(name, ())}
    with progress.task(f"checking {root.name}", len(listed)) as task:
        for image_id in listed:
            check.look_at(image_id, masked=image_id in masked)
            task.advance()
    if check.longest and check.longest != expected.longest_side:
        check.problems[
            f"{IMAGES}: the longest side of all images is {check.longest} pixels and not "
            f"{expected.longest_side}: these were resized"
        ] = []
    _check_same_images(check, lists)
    if not (root / LABELS_CSV).is_file() and not (root / ANNOTATIONS).is_dir():
        check.miss("image labels", f"no {ANNOTATIONS} folder and no {LABELS_CSV}")
    for what, path in (given or {}).items():
        if path is None:
            check.missing[what] = None
        elif not path.exists():
            check.miss(what, f"{what}: nothing at {path}")
    counts = {name: len(ids) for name, ids in lists.items()}
    if (folder := (given or {}).get("saliency")) and folder.is_dir():
        counts |= _check_saliency(check, folder, lists, progress)
    manifest = dict(sorted(check.manifest.items()))
    return PaperCheck(
        counts=counts,
        problems=tuple(check.lines()),
        sources=tuple(f"{what}: {SOURCES[what]}" for what in check.missing),
        manifest=manifest,
        digest=hashlib.sha256(manifest_text(manifest).encode()).hexdigest(),
    )


def manifest_text(manifest: Mapping[str, str]) -> str:
    """Return the lines that ``sha256sum --check`` reads in the folder."""
    return "".join(f"{digest}  {path}\n" for path, digest in manifest.items())


def write_manifest(path: Path, manifest: Mapping[str, str]) -> None:
    """Write the manifest, whole or not at all."""
    write_atomic(path, manifest_text(manifest))


@dataclass
class _Check:
    root: Path
    dataset: VocDataset
    problems: dict[str, list[str]] = field(default_factory=dict)  # what -> which
    missing: dict[str, None] = field(default_factory=dict)  # names of SOURCES
    manifest: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> height, width

    @property
    def longest(self) -> int:
        """The longest side of all images that can be decoded, in pixels; 0 without any."""
        return max(map(max, self.sizes.values()), default=0)

    def miss(self, source: str, problem: str, which: str | None = None) -> None:
        """Note a problem that a part of SOURCES would mend."""
        self.missing[source] = None
        self.problems.setdefault(problem, []).extend([which] if which else [])

    def lines(self) -> Iterable[str]:
        """Yield the problems, each with the first files that it is about."""
        for problem, which in self.problems.items():
            yield f"{problem}: {first_few(which)}" if which else problem

    def ids(self, name: str, split: Split) -> tuple[str, ...]:
        """Return the ids of a list, once it is known to be the official one."""
        path = self.dataset.split_path(name)
        if not path.is_file():
            self.miss(name, f"{SPLITS}/{name}.txt: missing")
            return ()
        try:
            ids = self.dataset.ids(name)
        except BenchmarkError as error:
            self.problems[str(error)] = []
            return ()
        self.keep(path)
        if len(ids) != split.images:
            self.miss(name, f"{SPLITS}/{name}.txt: {len(ids)} ids, not {split.images}")
        elif split.digest not in (None, _ids_digest(ids)):
            self.miss(name, f"{SPLITS}/{name}.txt: other ids than VOC 2012's")
        return ids

    def look_at(self, image_id: str, masked: bool) -> None:
        """Read an image's header and its mask."""
        size = self._size(image_id)
        if masked:
            self._look_at_mask(image_id, size)

    def _size(self, image_id: str) -> tuple[int, int] | None:
        path = self.dataset.image_path(image_id)
        if not path.is_file():
            self.miss(IMAGES, f"{IMAGES}: missing images", image_id)
            return None
        self.keep(path)
        try:
            with Image.open(path) as picture:
                picture.load()
                size = picture.height, picture.width
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            self.miss(IMAGES, f"{IMAGES}: images that cannot be decoded", image_id)
            return None
        self.sizes[image_id] = size
        return size

    def _look_at_mask(self, image_id: str, size: tuple[int, int] | None) -> None:
        path = self.root / MASKS / f"{image_id}.png"
        if not path.is_file():
            self.miss(MASKS, f"{MASKS}: missing masks", image_id)
            return
        self.keep(path)
        try:
            shape = read_mask(path).shape
        except BenchmarkError as error:
            self.problems[str(error)] = []
            return
        if size is not None and shape != size:
            self.miss(MASKS, f"{MASKS}: masks of another size than their images", image_id)

    def keep(self, path: Path) -> None:
        """Put a file into the manifest."""
        self.manifest[path.relative_to(self.root).as_posix()] = sha256_of(path)


def _check_overlap(check: _Check, lists: Mapping[str, Sequence[str]]) -> None:
    """Note the ids that stand in two lists which must share none, or lack in train_aug."""
    outside = _only(lists, "train") - _only(lists, "train_aug")
    if outside and lists.get("train_aug"):
        check.problems["ids of train that train_aug lacks"] = sorted(outside)
    for one, other in (("train_aug", "val"), ("train_aug", "test"), ("val", "test")):
        if both := _only(lists, one) & _only(lists, other):
            check.problems[f"ids that are in {one} and in {other}"] = sorted(both)


def _check_same_images(check: _Check, lists: Mapping[str, Sequence[str]]) -> None:
    """Note images of val and test that are, byte for byte, images of train_aug."""

    def content(image_id: str) -> str | None:
        return check.manifest.get(f"{IMAGES}/{image_id}.jpg")

    seen = {content(image_id): image_id for image_id in lists.get("train_aug", ())}
    for name in ("val", "test"):
        pairs = [
            f"{seen[digest]} = {image_id}"
            for image_id in lists.get(name, ())
            if (digest := content(image_id)) is not None and digest in seen
        ]
        if pairs:
            check.problems[f"images that are in train_aug and in {name}"] = pairs


def _check_saliency(
    check: _Check, folder: Path, lists: Mapping[str, Sequence[str]], progress: Progress
) -> dict[str, int]:
    """Read the maps of train_aug, which labels are made from, and of val if there is any.

    Returns how many images have one.
    """
    found = {path.stem for path in folder.glob("*.png")}
    counts = {}
    for split in ("train_aug", "val"):
        ids = lists.get(split, ())
        present = [image_id for image_id in ids if image_id in found]
        counts[f"saliency of {split}"] = len(present)
        for image_id in ids if split == "train_aug" or present else ():
            if image_id not in found:
                check.miss("saliency", f"saliency: missing maps of {split}", image_id)
        with progress.task(f"checking saliency of {split}", len(present)) as task:
            for image_id in present:
                _look_at_saliency(check, folder, image_id)
                task.advance()
    return counts


def _look_at_saliency(check: _Check, folder: Path, image_id: str) -> None:
    if image_id not in check.sizes:  # told already: no image to compare it with
        return
    try:
        read_saliency(folder, image_id, check.sizes[image_id])
    except BenchmarkError as error:
        check.problems.setdefault("saliency: maps that cannot be used", []).append(str(error))


def _only(lists: Mapping[str, Sequence[str]], name: str) -> set[str]:
    return set(lists.get(name, ()))


def _ids_digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
