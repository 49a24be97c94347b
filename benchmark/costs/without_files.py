"""The stages of a profile whose files nobody has given: to be counted, not to be made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.data.paper_check import VOC_2012
from benchmark.data.voc import VocDataset
from benchmark.graph import GivenFiles, StageGraph
from benchmark.profiles import Profile, VocFolder
from benchmark.user_files import UserFiles, file_digest, folder_digest

NOT_GIVEN = Path("not given")


class GraphWithoutFiles(StageGraph):
    """Takes what is not given as it should be: of a named data set the number of images is known.

    Files that are given are used. Stages that rest on one that is not have keys of their own.
    """

    def __init__(self, profile: Profile, files: UserFiles) -> None:
        super().__init__(profile, files, given=_AsTheyShouldBe(profile, files))


class _AsTheyShouldBe(GivenFiles):
    def __init__(self, profile: Profile, files: UserFiles) -> None:
        super().__init__(profile, files)
        self.sha256 = cache(lambda path: file_digest(path) if path.is_file() else str(path))
        self.folder_digest = cache(lambda path: folder_digest(path) if path.is_dir() else str(path))

    def open_images(self, settings: VocFolder) -> VocDataset:
        if self.files.data is not None or settings.name is None:
            return super().open_images(settings)
        counts = {name: split.images for name, split in VOC_2012.splits.items()} | settings.images
        return _ListedVoc(NOT_GIVEN, labels="masks", name=settings.name, counts=counts)

    def weights(self, name: str) -> Path:
        given = name in self.files.weights or self.profile.weights[name].source == "package"
        return super().weights(name) if given else NOT_GIVEN / name

    def saliency_folder(self) -> Path:
        return super().saliency_folder() if self.files.saliency else NOT_GIVEN

    def without_saliency(self, ids: Iterable[str]) -> tuple[str, ...]:
        given = self.files.saliency is not None and self.files.data is not None
        return super().without_saliency(ids) if given else ()


@dataclass(frozen=True)
class _ListedVoc(VocDataset):
    """A data set of which nothing is known but how many images its splits have."""

    counts: dict[str, int] = field(default_factory=dict)

    def has(self, split: str) -> bool:
        """Tell whether the number of the list's images is known."""
        return split in self.counts

    def ids(self, split: str) -> tuple[str, ...]:
        """Return as many ids as there are images; those of ``train`` are among ``train_aug``'s."""
        of = self.train_split if split == "train" else split
        return tuple(f"{of}_{number}" for number in range(self.counts[split]))

    def digest(self, splits: Iterable[str]) -> str:
        """Return what no images have."""
        return str(NOT_GIVEN)
