"""What the user gives: images, weights, saliency maps; and the checks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.voc import LabelSource, VocDataset, open_voc
from benchmark.errors import BenchmarkError
from benchmark.profiles import Profile, VocFolder
from benchmark.registry import near_name
from benchmark.store import sha256_of

PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class UserFiles:
    """What the user gives to a profile; all of it may be absent where the profile needs none."""

    data: Path | None = None
    classes: tuple[str, ...] | None = None
    labels: LabelSource | None = None
    labels_csv: Path | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    saliency: Path | None = None
    saliency_name: str | None = None


def open_user_data(settings: VocFolder, files: UserFiles) -> VocDataset:
    """Return the user's images; BenchmarkError where they are not the profile's data set."""
    if files.data is None:
        raise BenchmarkError("this profile needs images: give --data FOLDER in VOC layout")
    dataset = open_voc(
        files.data,
        classes=files.classes,
        labels=files.labels,
        labels_csv=files.labels_csv,
        name=settings.name,
    )
    for split, expected in settings.images.items():
        found = len(dataset.ids(split))
        if found != expected:
            raise BenchmarkError(
                f"{files.data} is not {settings.name}: {split} lists {found} images, not {expected}"
            )
    for split in (dataset.train_split, dataset.val_split):
        if not any(dataset.image_labels(image_id).any() for image_id in dataset.ids(split)):
            raise BenchmarkError(
                f"{files.data}: no image of {split} holds any of the classes "
                f"{', '.join(dataset.classes)}: choose others with --classes"
            )
    return dataset


def shipped_weights(name: str) -> Path:
    """Return the package's file of the weights ``name``."""
    return PRETRAINED / f"{name}.safetensors"


def weights_path(profile: Profile, files: UserFiles, name: str) -> Path:
    """Return the file of the profile's weights ``name``; BenchmarkError where it is missing."""
    if profile.weights[name].source == "package":
        return shipped_weights(name)
    if name not in files.weights:
        layout = "timm" if profile.weights[name].architecture == "xception65" else "torchvision"
        raise BenchmarkError(
            f"profile {profile.id} needs initial weights '{name}': "
            f"give --weights {name}=FILE ({layout} key layout)"
        )
    if not (path := files.weights[name]).is_file():
        raise BenchmarkError(f"no weights file at {path}: give the path of an existing file")
    return path


def check_files(profile: Profile, files: UserFiles) -> None:
    """Raise BenchmarkError for files that the profile lacks or has no use for."""
    if not isinstance(profile.data, VocFolder):
        of_folders = {
            "--data": files.data,
            "--classes": files.classes,
            "--labels": files.labels,
            "--labels-csv": files.labels_csv,
        }
        for option in (name for name, given in of_folders.items() if given):
            raise BenchmarkError(f"profile {profile.id} makes its own images: drop {option}")
    if files.saliency and profile.saliency.kind != "folder":
        raise BenchmarkError(f"profile {profile.id} reads no saliency folder: drop --saliency")
    wanted = [name for name, w in profile.weights.items() if w.source == "user"]
    for name in files.weights:
        if name not in wanted:
            raise BenchmarkError(f"--weights: {near_name('weights', name, wanted)}")


def saliency_folder(profile: Profile, files: UserFiles) -> Path:
    """Return the user's saliency maps; BenchmarkError where they are missing."""
    if files.saliency is None:
        raise BenchmarkError(
            f"profile {profile.id} needs saliency maps: "
            "give --saliency NAME=FOLDER, e.g. DSS=FOLDER, with one grey ID.png an image"
        )
    if not files.saliency.is_dir():
        raise BenchmarkError(f"no saliency folder at {files.saliency}")
    return files.saliency


def file_digest(path: Path) -> str:
    """Return the hex sha256 of a file; BenchmarkError where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise BenchmarkError(f"cannot read {path}: {error.strerror}") from error


def folder_digest(folder: Path, suffix: str = ".png") -> str:
    """Return a sha256 over the names and contents of a folder's files of one kind."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob(f"*{suffix}")):
        digest.update(f"{path.name} {file_digest(path)}\n".encode())
    return digest.hexdigest()
