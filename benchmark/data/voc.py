"""Folders in the layout of PASCAL VOC 2012: images, masks, lists, image labels."""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import BenchmarkError

CLASS_NAMES: tuple[str, ...] = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
VOID = 255
LabelSource = Literal["csv", "xml", "masks"]

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
SPLITS = "ImageSets/Segmentation"
MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
TRAIN_SPLITS = ("train_aug", "trainaug", "train")
LABELS_CSV = "image_labels.csv"
DESCRIPTION = "dataset.toml"
DESCRIPTION_KEYS = ("name", "classes", "labels", "labels_csv", "train_split", "val_split")


def _voc_palette() -> NDArray[np.uint8]:
    """Return VOC's colour map (256, 3): the bits of an id, spread over the high bits of R, G, B."""
    ids = np.arange(256)[:, None]
    palette = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        palette |= ((ids >> (3 * bit + np.arange(3))) & 1) << (7 - bit)
    return palette.astype(np.uint8)


PALETTE: NDArray[np.uint8] = _voc_palette()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return a JPEG as uint8 RGB (H, W, 3), as stored: no EXIF rotation, grey made RGB."""
    return np.array(_open_picture(path).convert("RGB"))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return a mask's own VOC ids, uint8 (H, W), each in 0..20 or 255."""
    ids = read_label_png(path)
    foreign = _ids_present(ids)
    foreign = foreign[(foreign > len(CLASS_NAMES)) & (foreign != VOID)]
    if foreign.size:
        raise BenchmarkError(
            f"{path}: the mask holds id {foreign[0]}; ids are 0 to {len(CLASS_NAMES)} and "
            f"{VOID} for void: write it again with VOC's ids"
        )
    return ids


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """Return the ids of a palette or grey 8-bit PNG, uint8 (H, W)."""
    picture = _open_picture(path)
    if picture.mode not in ("P", "L"):
        raise BenchmarkError(
            f"{path}: a {picture.mode} picture, not class ids: save it as a palette or grey PNG"
        )
    return np.array(picture, dtype=np.uint8)


def write_label_png(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write class ids, uint8 (H, W), as a PNG with VOC's palette."""
    if labels.dtype != np.uint8 or labels.ndim != 2:
        raise ValueError(f"labels must be uint8 (H, W), not {labels.dtype} {labels.shape}")
    picture = Image.fromarray(labels).convert("L")
    picture.putpalette(PALETTE.tobytes())
    picture.save(path, format="PNG")


@dataclass(frozen=True)
class VocDataset:
    """A VOC-layout folder and the classes evaluated on it.

    Class ids are contiguous: 0 background, k the k-th of ``classes``, 255 void; the pixels of
    every other VOC class count as void. ``open_voc`` builds one and checks the folder's layout.
    """

    root: Path
    classes: tuple[str, ...] = CLASS_NAMES
    labels: LabelSource = "masks"
    labels_csv: Path | None = None
    train_split: str = "train_aug"
    val_split: str = "val"
    name: str = "voc"

    @property
    def num_classes(self) -> int:
        """Number of ids scored: the evaluated classes and the background."""
        return len(self.classes) + 1

    @cached_property
    def mask_folder(self) -> Path:
        """SegmentationClassAug, or SegmentationClass where that is all there is."""
        for folder in MASK_FOLDERS:
            if (self.root / folder).is_dir():
                return self.root / folder
        raise BenchmarkError(
            f"{self.root}: no masks: put a {MASK_FOLDERS[0]} or {MASK_FOLDERS[1]} folder there"
        )

    def ids(self, split: str) -> tuple[str, ...]:
        """Return the image ids of a split, in the order of its list."""
        path = self.split_path(split)
        if not path.is_file():
            known = sorted(p.stem for p in path.parent.glob("*.txt"))
            found = f"; the lists there: {', '.join(known)}" if known else ""
            raise BenchmarkError(f"{path}: no such split list: put one id a line there{found}")
        ids = tuple(line.strip() for line in _read_text(path).splitlines() if line.strip())
        if not ids:
            raise BenchmarkError(f"{path}: the split list is empty: put one image id a line there")
        seen: set[str] = set()
        for image_id in ids:
            _check_id(image_id, path)
            if image_id in seen:
                raise BenchmarkError(f"{path}: lists {image_id} twice: keep one of the lines")
            seen.add(image_id)
        return ids

    def split_path(self, split: str) -> Path:
        """Return where the list of a split lies."""
        _check_id(split, self.root / SPLITS)
        return self.root / SPLITS / f"{split}.txt"

    def has(self, split: str) -> bool:
        """Tell whether there is a list of that name."""
        return self.split_path(split).is_file()

    def image_path(self, image_id: str) -> Path:
        """Return where an image lies."""
        _check_id(image_id, self.root / IMAGES)
        return self.root / IMAGES / f"{image_id}.jpg"

    def mask_path(self, image_id: str) -> Path:
        """Return where an image's mask lies."""
        _check_id(image_id, self.mask_folder)
        return self.mask_folder / f"{image_id}.png"

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """Return an image, uint8 RGB (H, W, 3)."""
        return read_image(self.image_path(image_id))

    def image_size(self, image_id: str) -> tuple[int, int]:
        """Return an image's (H, W), from its header alone."""
        path = self.image_path(image_id)
        try:
            with Image.open(path) as picture:
                return picture.height, picture.width
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error

    def mask(self, image_id: str) -> NDArray[np.uint8]:
        """Return an image's mask with contiguous ids, uint8 (H, W)."""
        path = self.mask_path(image_id)
        ids = read_mask(path)
        size = self.image_size(image_id)
        if ids.shape != size:
            raise BenchmarkError(
                f"{path}: the mask is {ids.shape[1]}x{ids.shape[0]} but its image is "
                f"{size[1]}x{size[0]}: resize the mask (nearest neighbour) to the image"
            )
        return self._contiguous[ids]

    def image_labels(self, image_id: str) -> NDArray[np.bool_]:
        """Return which of ``classes`` the image holds, bool (K,); possibly none."""
        _check_id(image_id, self.root)
        if self.labels == "csv":
            return self._labels_from_csv(image_id)
        if self.labels == "xml":
            return self._labels_from_xml(image_id)
        present = _ids_present(self.mask(image_id))
        return np.isin(np.arange(1, self.num_classes), present)

    def digest(self, splits: Iterable[str]) -> str:
        """Return a sha256 over all that is used of these splits: lists, images, masks, labels.

        The folder's place and name are no part of it. Raises BenchmarkError for the first listed
        image that lacks its file, mask or labels.
        """
        total = hashlib.sha256(json.dumps([self.labels, self.classes]).encode())
        listed: dict[str, None] = {}
        for split in splits:
            ids = self.ids(split)
            total.update(json.dumps([split, ids]).encode())
            listed.update(dict.fromkeys(ids))
        for image_id in sorted(listed):
            total.update(_file_digest(self.image_path(image_id)))
            total.update(_file_digest(self.mask_path(image_id)))
            if self.labels != "masks":
                total.update(self.image_labels(image_id).tobytes())
        return total.hexdigest()

    @cached_property
    def _contiguous(self) -> NDArray[np.uint8]:
        """Table (256,) from VOC's ids to contiguous ids."""
        table = np.full(256, VOID, dtype=np.uint8)
        table[0] = 0
        for contiguous, name in enumerate(self.classes, start=1):
            table[CLASS_NAMES.index(name) + 1] = contiguous
        return table

    @cached_property
    def _csv_rows(self) -> dict[str, _CsvRow]:
        if self.labels_csv is None:
            raise BenchmarkError(f"{self.root}: image labels from a CSV: name the CSV file")
        return _read_labels_csv(self.labels_csv, self.classes)

    def _labels_from_csv(self, image_id: str) -> NDArray[np.bool_]:
        row = self._csv_rows.get(image_id)
        if row is None:
            raise BenchmarkError(f"{self.labels_csv}: no row for image {image_id}: add one")
        for name, value in zip(self.classes, row.values, strict=True):
            if value not in ("0", "1"):
                raise BenchmarkError(
                    f"{self.labels_csv}, line {row.line}: {name} of image {image_id} is "
                    f"{value!r}: write 0 or 1"
                )
        return np.array([value == "1" for value in row.values], dtype=bool)

    def _labels_from_xml(self, image_id: str) -> NDArray[np.bool_]:
        names = _read_object_names(self.root / ANNOTATIONS / f"{image_id}.xml")
        return np.array([name in names for name in self.classes], dtype=bool)


def open_voc(
    root: Path,
    classes: Sequence[str] | None = None,
    labels: LabelSource | None = None,
    labels_csv: Path | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
    name: str | None = None,
) -> VocDataset:
    """Open a VOC-layout folder, and check its layout and its two lists.

    What is not given comes from the folder's ``dataset.toml``, where there is one (a relative
    ``labels_csv`` there is meant from the folder), else from what the folder holds: image labels
    from image_labels.csv, else from Annotations, else from the masks; the training list train_aug,
    trainaug or train. The files behind the lists are read when they are used.
    """
    root = Path(root)
    _check_layout(root)
    told = _read_description(root)
    source, csv_path = _label_source(root, told, labels, labels_csv)
    if classes is None:
        chosen = _checked_classes(told.get("classes"), f"{root / DESCRIPTION}: ")
    else:
        chosen = _checked_classes(classes)
    dataset = VocDataset(
        root=root,
        classes=chosen,
        labels=source,
        labels_csv=csv_path,
        train_split=train_split or told.get("train_split") or _find_train_split(root),
        val_split=val_split or told.get("val_split") or "val",
        name=name or told.get("name") or root.resolve().name,
    )
    if dataset.train_split == dataset.val_split:
        raise BenchmarkError(
            f"{root}: training and validation are both {dataset.val_split!r}: name two lists"
        )
    dataset.ids(dataset.train_split)
    dataset.ids(dataset.val_split)
    if source == "csv":
        _ = dataset._csv_rows
    return dataset


@dataclass(frozen=True)
class _CsvRow:
    line: int
    values: tuple[str, ...]


_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def _open_picture(path: Path) -> Image.Image:
    """Return a picture, decoded to its last pixel."""
    try:
        picture = Image.open(path)
        picture.load()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return picture


def _unreadable(path: Path, error: BaseException) -> BenchmarkError:
    if isinstance(error, FileNotFoundError):
        return BenchmarkError(f"{path}: no such file: add it, or take its id out of the lists")
    if isinstance(error, PermissionError):
        return BenchmarkError(f"{path}: may not be read: change its permissions")
    reason = " ".join(str(error).replace(str(path), "the file").split())
    return BenchmarkError(f"{path}: cannot be decoded ({reason}): fetch it again")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path}: not a text file in UTF-8: write it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _ids_present(ids: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero(np.bincount(ids.ravel(), minlength=256))


def _check_id(image_id: str, where: Path) -> None:
    """Refuse an id that is no plain file name: it would reach outside the folder."""
    if not image_id or image_id != image_id.strip() or set(image_id) & set("/\\\0 \t\n"):
        mend = "ids are file names without folder and ending, one a line"
        raise BenchmarkError(f"{where}: {image_id!r} is not an image id: {mend}")
    if ".." in image_id or image_id == ".":
        raise BenchmarkError(f"{where}: {image_id!r} is not an image id: take the dots out")


def _check_layout(root: Path) -> None:
    if not root.exists():
        raise BenchmarkError(f"{root}: no such data folder: give the folder that holds {IMAGES}")
    if not root.is_dir():
        raise BenchmarkError(f"{root}: a file, not a data folder: give the one that holds {IMAGES}")
    if not any(root.iterdir()):
        raise BenchmarkError(f"{root}: the data folder is empty: put VOC's folders there")
    if not (root / IMAGES).is_dir():
        raise BenchmarkError(f"{root}: no {IMAGES} folder: give the folder that holds it")
    if not any((root / IMAGES).glob("*.jpg")):
        raise BenchmarkError(f"{root / IMAGES}: no .jpg images: put the images there")
    folders = [root / name for name in MASK_FOLDERS if (root / name).is_dir()]
    if not folders:
        raise BenchmarkError(
            f"{root}: no masks: put a {MASK_FOLDERS[0]} or {MASK_FOLDERS[1]} folder there"
        )
    if not any(folders[0].glob("*.png")):
        raise BenchmarkError(f"{folders[0]}: no masks: put the .png masks there")
    if not any((root / SPLITS).glob("*.txt")):
        raise BenchmarkError(
            f"{root / SPLITS}: no split lists: put {TRAIN_SPLITS[0]}.txt and val.txt there"
        )


def _find_train_split(root: Path) -> str:
    for split in TRAIN_SPLITS:
        if (root / SPLITS / f"{split}.txt").is_file():
            return split
    tried = ", ".join(f"{split}.txt" for split in TRAIN_SPLITS)
    raise BenchmarkError(f"{root / SPLITS}: no training list: put one of {tried} there")


def _read_description(root: Path) -> dict[str, Any]:
    """Return what dataset.toml says, its keys and the kinds of their values checked."""
    path = root / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        told = tomllib.loads(_read_text(path))
    except (ValueError, RecursionError) as error:  # tomllib's own error is but one of them
        raise BenchmarkError(f"{path}: not TOML ({error}): mend it or take it away") from error
    for key, value in told.items():
        if key not in DESCRIPTION_KEYS:
            raise BenchmarkError(f"{path}: unknown key {key!r}{_near(key, DESCRIPTION_KEYS)}")
        if key == "classes":
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise BenchmarkError(f"{path}: classes must be a list of class names")
        elif not isinstance(value, str):
            raise BenchmarkError(f"{path}: {key} must be a text in quotes")
    return told


def _checked_classes(classes: Sequence[str] | None, where: str = "") -> tuple[str, ...]:
    if classes is None:
        return CLASS_NAMES
    if not classes:
        raise BenchmarkError(f"{where}no class to evaluate: name at least one VOC class")
    for name in classes:
        if name not in CLASS_NAMES:
            raise BenchmarkError(f"{where}unknown class {name!r}{_near(name, CLASS_NAMES)}")
        if list(classes).count(name) > 1:
            raise BenchmarkError(f"{where}class {name!r} is named twice: name it once")
    return tuple(classes)


def _label_source(
    root: Path, told: dict[str, Any], labels: str | None, labels_csv: Path | None
) -> tuple[LabelSource, Path | None]:
    """Return where image labels come from, and the CSV file if that is one."""
    if labels_csv is not None:
        labels = labels or "csv"
        if labels != "csv":
            raise BenchmarkError(
                f"{labels_csv}: a labels CSV is given but labels come from {labels}: choose one"
            )
    elif "labels_csv" in told:
        labels_csv = root / told["labels_csv"]
    elif (root / LABELS_CSV).is_file():
        labels_csv = root / LABELS_CSV
    source = labels or told.get("labels")
    if source is None:
        annotated = (root / ANNOTATIONS).is_dir()
        source = "csv" if labels_csv is not None else "xml" if annotated else "masks"
    if source == "csv":
        return "csv", labels_csv or root / LABELS_CSV
    if source == "xml":
        if not (root / ANNOTATIONS).is_dir():
            raise BenchmarkError(f"{root / ANNOTATIONS}: no such folder: put VOC's XML files there")
        return "xml", None
    if source == "masks":
        return "masks", None
    raise BenchmarkError(f"{root}: unknown label source {source!r}{_near(source, _SOURCES)}")


_SOURCES: tuple[str, ...] = get_args(LabelSource)


def _near(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the near name, or all of them."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose from {', '.join(known)}"


def _read_labels_csv(path: Path, classes: Sequence[str]) -> dict[str, _CsvRow]:
    """Return the cells of the evaluated classes by image id; the cells' values are not judged."""
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such labels file: give a CSV with id and class columns")
    reader = csv.reader(_read_text(path).splitlines())
    rows: dict[str, _CsvRow] = {}
    try:
        header = [cell.strip() for cell in next(reader, [])]
        columns = {name: _column(path, header, name) for name in ("id", *classes)}
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise BenchmarkError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header has "
                    f"{len(header)}: mend the line"
                )
            image_id = cells[columns["id"]].strip()
            if image_id in rows:
                raise BenchmarkError(
                    f"{path}, line {reader.line_num}: a second row for image {image_id}: keep one"
                )
            values = tuple(cells[columns[name]].strip() for name in classes)
            rows[image_id] = _CsvRow(reader.line_num, values)
    except csv.Error as error:
        raise BenchmarkError(f"{path}: not a CSV file ({error}): write it again") from error
    return rows


def _column(path: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        raise BenchmarkError(f"{path}: no column {name!r}: the first line must name it")
    if header.count(name) > 1:
        raise BenchmarkError(f"{path}: column {name!r} is there twice: keep one")
    return header.index(name)


def _read_object_names(path: Path) -> set[str]:
    """Return the classes of all objects of a VOC annotation, difficult ones included."""
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise BenchmarkError(f"{path}: not XML ({error}): fetch it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    names = {(node.findtext("name") or "").strip() for node in tree.iter("object")}
    for name in sorted(names):
        if name not in CLASS_NAMES:
            raise BenchmarkError(f"{path}: an object named {name!r}{_near(name, CLASS_NAMES)}")
    return names
