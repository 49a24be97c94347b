"""What images the stages read: a folder in VOC layout, or generated scenes; and their splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from benchmark.data.voc import VocDataset
from benchmark.errors import BenchmarkError
from benchmark.graph.code import READING
from benchmark.graph.files import GivenFiles
from benchmark.graph.rows import plain
from benchmark.profiles import GeneratedScenes, Profile, VocFolder
from benchmark.registry import near_name, parse_options
from benchmark.released import ReleasedFiles
from benchmark.store import Stage

SCENE_SPLITS = ("train", "train_aug", "val")


class Images:
    """The images of a profile."""

    def __init__(self, profile: Profile, files: GivenFiles) -> None:
        self._settings = profile.data
        self._sha256 = files.sha256
        self.voc: VocDataset | None = None
        if isinstance(profile.data, VocFolder):
            self.voc = files.open_images(profile.data)

    def read(self) -> tuple[dict[str, Any], dict[str, Stage], dict[str, str]]:
        """Return what a stage that reads images has in its config, inputs and locations."""
        if isinstance(self._settings, GeneratedScenes):
            return {}, {"scenes": self.scenes()}, {}
        assert self.voc is not None
        locations = {"data": str(self.voc.root)}
        if self.voc.labels_csv is not None:
            locations["labels_csv"] = str(self.voc.labels_csv)
        return {"data": self._voc_config}, {}, locations

    @cached_property
    def _voc_config(self) -> dict[str, Any]:
        assert self.voc is not None
        return {
            "name": self.voc.name,
            "classes": list(self.voc.classes),
            "labels": self.voc.labels,
            "train_split": self.voc.train_split,
            "val_split": self.voc.val_split,
            "digest": self.voc.digest(self._splits()),
        }

    def described(self) -> dict[str, str]:
        """Return what tells one set of images from another."""
        if self.voc is None:
            stage = self.scenes()
            return {"name": "generated scenes", "version": str(stage.config["version"])}
        counts = {split: len(self.voc.ids(split)) for split in self._splits()}
        return {
            "name": self.voc.name,
            "digest": str(self._voc_config["digest"]),
            "images": ", ".join(f"{count} {split}" for split, count in counts.items()),
        }

    def scenes(self) -> Stage:
        """Generate the images."""
        from benchmark.data.scenes import SCENES_VERSION, SceneOptions

        assert isinstance(self._settings, GeneratedScenes)
        options = parse_options("scenes", SceneOptions, self._settings.options)
        return Stage(
            name="scenes",
            config={"version": SCENES_VERSION, "options": plain(options)},
            label=f"scenes version {SCENES_VERSION}",
            code=("benchmark.stages.data", "benchmark.data.scenes"),
        )

    def counts(self, scored: Iterable[str]) -> dict[str, int]:
        """Return how many images there are to train on and of ``scored``, by the data's own names.

        ``scored`` are the splits of columns.
        """
        counts = {self.split(split): len(self.ids(split)) for split in ("train", "val")}
        for name in {self.scored_list(split) for split in scored} - counts.keys():
            counts[name] = len(self.ids(name) if self.voc is None else self.voc.ids(name))
        return counts

    def split(self, split: str) -> str:
        """Return the data set's name of a split."""
        if split == "train":
            return self.voc.train_split if self.voc else "train_aug"
        if self.voc is None and split not in SCENE_SPLITS:
            raise BenchmarkError(near_name("split of the generated scenes", split, SCENE_SPLITS))
        return self.voc.val_split if self.voc and split == "val" else split

    def scored_list(self, split: str) -> str:
        """Return the name of the list of images that a column's ``split`` means.

        ``train`` is VOC's own list of 1,464 images, which the training split ``train_aug`` holds
        among others; of the generated scenes they are the same.
        """
        if split == "train_aug" or (split == "train" and self.voc is None):
            return self.split("train")
        return "train" if split == "train" else self.split(split)

    def lacks(self, split: str) -> bool:
        """Tell whether the data have no list ``train`` of their own, and a column asks for it."""
        return split == "train" and self.voc is not None and not self.voc.has(split)

    def ids(self, split: str) -> tuple[str, ...]:
        """Return the ids of the images of ``train`` or ``val``; of scenes before they are made."""
        if self.voc is not None:
            return self.voc.ids(self.split(split))
        from benchmark.data.scenes import SceneOptions, scene_id

        assert isinstance(self._settings, GeneratedScenes)
        options = parse_options("scenes", SceneOptions, self._settings.options)
        count = options.train_images if split == "train" else options.val_images
        return tuple(scene_id(split, index) for index in range(count))

    def list_digest(self, name: str) -> dict[str, str]:
        """Return the digest of a list of training images that the data's own digest leaves out."""
        if self.voc is None or name != "train" or name in self._splits():
            return {}
        listed = self.voc.ids(name)
        if foreign := sorted(set(listed) - set(self.voc.ids(self.voc.train_split))):
            raise BenchmarkError(
                f"{self.voc.split_path(name)}: lists {foreign[0]}, which is not in "
                f"{self.voc.train_split}: only training images have labels to score there"
            )
        return {"list_digest": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}

    def images_digest(self, name: str) -> dict[str, str]:
        """Return the digest of a list's images where the data's own digest leaves them out."""
        if self.voc is None or name in self._splits():
            return {}
        digest = hashlib.sha256()
        for image_id in self.voc.ids(name):
            digest.update(f"{image_id} {self._sha256(self.voc.image_path(image_id))}\n".encode())
        return {"images_digest": digest.hexdigest()}

    def released(self, files: ReleasedFiles, name: str, split: str) -> Stage:
        """Take what one split's images have, maps or labels, from released files.

        ``name`` is the stage's.
        """
        files.check_split(self.split(split), self.ids(split))
        config, inputs, locations = self.read()
        return Stage(
            name=name,
            config={
                **config,
                "split": self.split(split),
                "kind": files.kind,
                "sha256": files.sha256,
            },
            inputs=inputs,
            locations={**locations, files.kind: str(files.path)},
            label=f"{files.kind} {split} from {files.name}",
            code=(
                "benchmark.stages.released",
                *READING,
                "benchmark.data.released",
                "benchmark.data.cues",
                "benchmark.coverage",
                "benchmark.metrics",
            ),
        )

    def _splits(self) -> tuple[str, str]:
        assert self.voc is not None
        return self.voc.train_split, self.voc.val_split
