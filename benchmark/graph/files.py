"""The files that the user gives to a profile, as the stages ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path

from benchmark.data.voc import VocDataset
from benchmark.profiles import Profile, VocFolder
from benchmark.user_files import (
    UserFiles,
    file_digest,
    folder_digest,
    open_user_data,
    saliency_folder,
    weights_path,
)


class GivenFiles:
    """Finds the files, and digests each once, however many stages use it."""

    def __init__(self, profile: Profile, files: UserFiles) -> None:
        self.profile = profile
        self.files = files
        self.sha256 = cache(file_digest)
        self.folder_digest = cache(folder_digest)

    def open_images(self, settings: VocFolder) -> VocDataset:
        """Open the images; BenchmarkError where they are not the profile's data set."""
        return open_user_data(settings, self.files)

    def weights(self, name: str) -> Path:
        """Return the file of the initial weights ``name``; BenchmarkError where it is missing."""
        return weights_path(self.profile, self.files, name)

    def saliency_folder(self) -> Path:
        """Return the folder of saliency maps; BenchmarkError where it is missing."""
        return saliency_folder(self.profile, self.files)

    def without_saliency(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return those ids of images that have no saliency map in the folder."""
        return tuple(image_id for image_id in ids if image_id not in self._with_saliency)

    @cached_property
    def _with_saliency(self) -> frozenset[str]:
        return frozenset(path.stem for path in self.saliency_folder().glob("*.png"))
