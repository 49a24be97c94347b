"""The stages behind a row of a table, each with what its result depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

from benchmark.configs import config_digest, config_modules, config_path
from benchmark.crf import CrfOptions, wide_crf
from benchmark.data.voc import VocDataset
from benchmark.errors import BenchmarkError
from benchmark.method import Head, Method, TrainingRecipe
from benchmark.profiles import GeneratedScenes, Profile, Segmentation, VocFolder
from benchmark.provenance import fingerprint, own_code
from benchmark.proxy import find_recipe, recipe_code
from benchmark.refinement import Refinement, load_refinement_class
from benchmark.registry import BrokenPlugin, build_method, build_plugin, parse_options
from benchmark.released import NotReleased, Released, ReleasedFiles
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.saliency.source import SaliencySource, build_source, source_code
from benchmark.store import Stage
from benchmark.tables import Column, Evaluation, Row
from benchmark.tables.schema import Retraining
from benchmark.user_files import (
    UserFiles,
    check_files,
    file_digest,
    folder_digest,
    open_user_data,
    saliency_folder,
    shipped_weights,
    weights_path,
)

READING = ("benchmark.stages.inputs", "benchmark.data.voc", "benchmark.maps")
"""The code through which stages read images, masks and maps."""
ADAPTED_LABELS: Mapping[Retraining, Mapping[str, Any]] = {
    "adapt": {"scales": [1.0, 0.75, 0.5], "restricted": True, "crf": False},
    "plain": {"scales": [0.75, 1.0, 1.25], "restricted": False, "crf": True},
}
"""How a network labels the images that it is trained on once more, none of them mirrored.

``adapt``: the released code of arXiv:1707.05821, which takes the maximum of the scales' scores;
here their probabilities are averaged as in every test. ``plain``: stage f in the released code of
Huang et al. (CVPR 2018), which labels as it tests: sides of 241, 321 and 401 pixels (321 in
training), and a CRF.
"""


class StageGraph:
    """Builds stages; stages with equal contents are equal, however often they are built."""

    def __init__(
        self, profile: Profile, files: UserFiles, released: Released | None = None
    ) -> None:
        self.profile = profile
        self.files = files
        self.released = released or {}
        self._sha256 = cache(file_digest)  # every stage that uses a file asks for its digest
        self._folder_digest = cache(folder_digest)
        self.voc: VocDataset | None = None
        if isinstance(profile.data, VocFolder):
            self.voc = self._open(profile.data)
        check_files(profile, files)

    # Data and initial weights

    def data(self) -> tuple[dict[str, Any], dict[str, Stage], dict[str, str]]:
        """Return what a stage that reads images has in its config, inputs and locations."""
        if isinstance(self.profile.data, GeneratedScenes):
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

        assert isinstance(self.profile.data, GeneratedScenes)
        options = parse_options("scenes", SceneOptions, self.profile.data.options)
        return Stage(
            name="scenes",
            config={"version": SCENES_VERSION, "options": _plain(options)},
            label=f"scenes version {SCENES_VERSION}",
            code=("benchmark.stages.data", "benchmark.data.scenes"),
        )

    def backbone(self, name: str) -> Stage:
        """Keep the initial weights ``name`` of the profile."""
        weights = self.profile.weights[name]
        path = self._weights_path(name)
        return Stage(
            name="backbone",
            config={
                "architecture": weights.architecture,
                "options": weights.options,
                "sha256": self._sha256(path),
            },
            locations={"weights": str(path)},
            label=f"initial weights {name}",
            code=(
                "benchmark.stages.initial_weights",
                "benchmark.backbones",
                "benchmark.mxnet_params",
            ),
        )

    def segmentation_backbone(self, row: Row) -> Stage:
        """Keep the initial weights of the row's segmentation network."""
        family = self.family(row)
        kept = self.backbone(family.weights)
        if self.profile.weights[family.weights].architecture == "xception65":
            return dataclasses.replace(
                kept,
                name="xception_backbone",
                code=("benchmark.stages.initial_weights", "benchmark.deeplab.xception"),
            )
        if not family.fully_connected:
            return kept
        return dataclasses.replace(
            kept,
            name="fully_connected_backbone",
            label=f"{kept.label} with fc6 and fc7",
            code=(
                "benchmark.stages.initial_weights",
                "benchmark.backbones",
                "benchmark.deeplab.fully_connected",
            ),
        )

    # Attention, saliency, labels

    def _seen_saliency(self, row: Row, **splits: str) -> dict[str, Stage]:
        """Return the saliency stages, by role, that the row's method itself looks at."""
        if not row_method(row).needs_saliency:
            return {}
        return {role: self.saliency(split) for role, split in splits.items()}

    def saliency(self, split: str) -> Stage:
        """Saliency maps of one split; BenchmarkError where the profile has none."""
        settings = self.profile.saliency
        config, inputs, locations = self.data()
        if settings.kind == "none":
            raise BenchmarkError(
                f"profile {self.profile.id} has no saliency maps: choose a method and a label "
                "recipe that need none"
            )
        if settings.kind == "folder":
            folder = self._saliency_folder()
            config = {**config, "source": "folder", "digest": self._folder_digest(folder)}
            locations = {**locations, "saliency": str(folder)}
        elif settings.kind == "source":
            source = self.saliency_source()
            config = {**config, "plugin": settings.source, "options": _plain(source.options)}
        else:
            config = {**config, "size": self._saliency_recipe().size}
            if settings.passes > 1:
                config["passes"] = settings.passes
            inputs = {**inputs, "saliency_network": self.saliency_network()}
        return Stage(
            name="saliency",
            config={**config, "split": self.split(split)},
            inputs=inputs,
            locations=locations,
            label=f"saliency {split}",
            code=(
                "benchmark.stages.saliency",
                *READING,
                "benchmark.saliency",
                *(source_code(settings.source) if settings.source is not None else ()),
            ),
        )

    def saliency_source(self) -> SaliencySource:
        """Return the plugin that the profile's saliency comes from, with its options."""
        settings = self.profile.saliency
        assert settings.source is not None
        return build_source(settings.source, settings.options)

    def saliency_network(self) -> Stage:
        """Train our own saliency network, or take the one that the package ships."""
        from benchmark.data.scenes import SCENES_VERSION

        settings = self.profile.saliency
        assert settings.weights is not None
        weights = self.profile.weights[settings.weights]
        if settings.trained is not None:
            path = shipped_weights(settings.trained)
            return Stage(
                name="shipped_saliency_network",
                config={
                    "architecture": weights.architecture,
                    "options": {**weights.options, **settings.options},
                    "sha256": self._sha256(path),
                },
                locations={"weights": str(path)},
                label=f"saliency network {settings.trained}",
                code=(
                    "benchmark.stages.saliency",
                    "benchmark.saliency.network",
                    "benchmark.backbones",
                ),
            )
        return Stage(
            name="saliency_network",
            config={
                "architecture": weights.architecture,
                "options": {**weights.options, **settings.options},
                "recipe": _plain(self._saliency_recipe()),
                "scenes_version": SCENES_VERSION,
            },
            inputs={"backbone": self.backbone(settings.weights)},
            label="saliency network",
            code=(
                "benchmark.stages.saliency",
                "benchmark.saliency.network",
                "benchmark.device",
                "benchmark.data.scenes",
                "benchmark.backbones",
            ),
        )

    def _saliency_recipe(self) -> SaliencyRecipe:
        recipe = parse_options("saliency", SaliencyRecipe, self.profile.saliency.recipe)
        return cast(SaliencyRecipe, recipe)

    def attention(self, row: Row, seed: int) -> Stage:
        """Train the row's attention network; NotReleased where released files leave it out."""
        method = row_method(row)
        if "attention" in self.released:
            return self._released_attention(row, self.released["attention"])
        if self.released and not (set(self.released) == {"maps"} and row.refine):
            raise NotReleased("no attention network is trained: what comes after it is given")
        config, inputs, locations = self.data()
        return Stage(
            name="attention",
            config={
                **config,
                "method": row.method,
                "options": _training_options(method),
                "recipe": _plain(self._recipe(method)),
                "backbone": self._attention_backbone(row),
                "seed": seed,
            },
            inputs={
                **inputs,
                "backbone": self.backbone(self.attention_weights(row)),
                **self._seen_saliency(row, saliency_train="train", saliency_val="val"),
            },
            locations=locations,
            label=f"attention {row.id} seed {seed}",
            code=(
                "benchmark.stages.attention:attention",
                *READING,
                "benchmark.attention",
                "benchmark.feeding",
                "benchmark.device",
                "benchmark.backbones",
                "benchmark.data.augment",
                *method_code(type(method)),
            ),
        )

    def attention_weights(self, row: Row) -> str:
        """Return the name of the initial weights of the row's attention network."""
        settings = self.profile.attention
        own = settings.by_method.get(str(row.method))
        return settings.weights if own is None else own.weights

    def _attention_backbone(self, row: Row) -> dict[str, Any]:
        """Return what the attention network is built from."""
        settings = self.profile.attention
        weights = self.profile.weights[self.attention_weights(row)]
        if own := settings.by_method.get(str(row.method)):
            changes = own.options
        else:
            of_paper = row_method(row).backbone_options if settings.follow_method else {}
            changes = {**of_paper, **settings.options}
        return {
            "architecture": weights.architecture,
            "options": {**weights.options, **changes},
            "head": _plain(parse_options("head", Head, settings.head)),
        }

    def _released_attention(self, row: Row, files: ReleasedFiles) -> Stage:
        """Take the row's attention network from released weights."""
        method = row_method(row)
        config, inputs, locations = self.data()
        return Stage(
            name="released_attention",
            config={
                **config,
                "method": row.method,
                "options": _training_options(method),
                "backbone": self._attention_backbone(row),
                "test_size": self._recipe(method).test_size,
                "sha256": files.sha256,
            },
            inputs={**inputs, **self._seen_saliency(row, saliency_val="val")},
            locations={**locations, "weights": str(files.path)},
            label=f"attention {row.id} from {files.name}",
            code=(
                "benchmark.stages.released:released_attention",
                "benchmark.stages.released:load_strictly",
                *READING,
                "benchmark.attention",
                "benchmark.device",
                "benchmark.backbones",
                *method_code(type(method)),
            ),
        )

    def maps(self, row: Row, split: str, seed: int) -> Stage:
        """Read the attention maps of one split."""
        if "maps" in self.released:
            return self._released_images(self.released["maps"], "released_maps", split)
        method = row_method(row)
        config, inputs, locations = self.data()
        return Stage(
            name="maps",
            config={
                **config,
                "split": self.split(split),
                "size": self._recipe(method).test_size,
                "options": _plain(method.options),
                **({"keep_shape": True} if self._keeps_shape(method) else {}),
            },
            inputs={
                **inputs,
                "attention": self.attention(row, seed),
                **self._seen_saliency(row, saliency=split),
            },
            locations=locations,
            label=f"maps {row.id} {split} seed {seed}",
            code=(
                "benchmark.stages.attention:maps",
                "benchmark.stages.attention:_looked_at_together",
                *READING,
                "benchmark.attention:attention_maps",
                "benchmark.attention:images_of_shape",
                "benchmark.attention:to_tensor",
                "benchmark.attention:fuse",
                "benchmark.data.augment:resized",
                "benchmark.maps",
                *method_code(type(method)),
            ),
        )

    def _keeps_shape(self, method: Method) -> bool:
        """Tell whether maps are read off images of their own shapes, as the paper does."""
        return self.profile.attention.follow_method and method.inference().keep_shape

    def _released_images(self, files: ReleasedFiles, name: str, split: str) -> Stage:
        """Take what one split's images have, maps or labels, from released files."""
        files.check_split(self.split(split), self._ids(split))
        config, inputs, locations = self.data()
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

    def map_score(self, row: Row, seed: int) -> Stage:
        """Score the maps of val at every threshold."""
        config, inputs, locations = self.data()
        return Stage(
            name="map_score",
            config=config,
            inputs={**inputs, "maps": self.maps(row, "val", seed)},
            locations=locations,
            label=f"map score {row.id} val seed {seed}",
            code=("benchmark.stages.score", *READING, "benchmark.metrics", "benchmark.proxy"),
        )

    def refined_score(self, row: Row, seed: int) -> Stage:
        """Score the refined maps of val."""
        config, inputs, locations = self.data()
        return Stage(
            name="map_score",
            config={**config, "background": True},
            inputs={**inputs, "maps": self.refined_maps(row, "val", seed)},
            locations=locations,
            label=f"refined map score {row.id} val seed {seed}",
            code=("benchmark.stages.score", *READING, "benchmark.metrics", "benchmark.proxy"),
        )

    def refinement(self, row: Row, seed: int) -> Stage:
        """Train the row's refinement on its maps."""
        refiner = _refinement(row)
        recipe = {**_plain(refiner.training()), **self.profile.refinement}
        config, inputs, locations = self.data()
        return Stage(
            name="refinement",
            config={
                **config,
                "refinement": row.refine,
                "options": _training_options(refiner),
                "recipe": _plain(parse_options("recipe", TrainingRecipe, recipe)),
                "seed": seed,
            },
            inputs={
                **inputs,
                "attention": self.attention(row, seed),
                "maps": self.maps(row, "train", seed),
            },
            locations=locations,
            label=f"refinement {row.id} seed {seed}",
            code=(
                "benchmark.stages.refinement",
                *READING,
                "benchmark.refinement",
                "benchmark.attention",
                "benchmark.feeding",
                "benchmark.device",
                "benchmark.backbones",
                "benchmark.crf",
                "benchmark.data.augment",
                "benchmark.proxy.arrays",
                *method_code(type(refiner)),
            ),
        )

    def refined_maps(self, row: Row, split: str, seed: int) -> Stage:
        """Refine the maps of one split."""
        refiner = _refinement(row)
        config, inputs, locations = self.data()
        return Stage(
            name="refined_maps",
            config={
                **config,
                "split": self.split(split),
                "options": _plain(refiner.options),
            },
            inputs={
                **inputs,
                "attention": self.attention(row, seed),
                "refinement": self.refinement(row, seed),
                "maps": self.maps(row, split, seed),
            },
            locations=locations,
            label=f"refined maps {row.id} {split} seed {seed}",
            code=(
                "benchmark.stages.refinement",
                *READING,
                "benchmark.refinement",
                "benchmark.proxy.arrays",
                *method_code(type(refiner)),
            ),
        )

    def labels(self, row: Row, split: str, seed: int) -> Stage:
        """Make the proxy labels of one split; the true masks where the row says so."""
        if row.labels == "truth":
            return self.true_labels(split)
        recipe, constants = self.label_recipe(row)
        for kind in ("labels", "cues"):
            if kind not in self.released:
                continue
            if kind == "cues" and recipe != "cues":
                raise BenchmarkError(
                    f"--from cues: row {row.id} makes its labels by {recipe}, not from cues: "
                    "choose a row that does, or give them as labels"
                )
            return self._released_images(self.released[kind], "released_labels", split)
        config, inputs, locations = self.data()
        maps = self.refined_maps if row.refine else self.maps
        inputs = {**inputs, "maps": maps(row, split, seed)}
        if "saliency" in find_recipe(recipe).needs:
            inputs["saliency"] = self.saliency(split)
        return Stage(
            name="labels",
            config={**config, "recipe": recipe, "constants": constants},
            inputs=inputs,
            locations=locations,
            label=f"labels {row.id} {split} seed {seed}",
            code=(
                "benchmark.stages.labels",
                *READING,
                "benchmark.proxy",
                "benchmark.crf",
                *recipe_code(recipe),
            ),
        )

    def true_labels(self, split: str) -> Stage:
        """Take the true masks of one split as labels."""
        config, inputs, locations = self.data()
        return Stage(
            name="true_labels",
            config={**config, "split": self.split(split)},
            inputs=inputs,
            locations=locations,
            label=f"true labels {split}",
            code=("benchmark.stages.truth", *READING),
        )

    def label_score(self, row: Row, split: str, seed: int, scored: str | None = None) -> Stage:
        """Score the proxy labels of one split, or of the list ``scored`` of its images alone."""
        return self._score(
            self.labels(row, split, seed),
            scored or self.split(split),
            "labels",
            f"score of labels {row.id} {split} seed {seed}",
        )

    # Segmentation

    def segmentation(self, row: Row, seed: int) -> Stage:
        """Train the row's segmentation network."""
        path = self.network_path(row)
        config, inputs, locations = self.data()
        return Stage(
            name="segmentation",
            config={**config, **_network_config(path), "seed": seed},
            inputs={
                **inputs,
                "labels": self.labels(row, "train", seed),
                "backbone": self.segmentation_backbone(row),
            },
            locations={**locations, "config": str(path)},
            label=f"segmentation {row.id} seed {seed}",
            code=_segmentation_code(path),
        )

    def adapted_labels(self, row: Row, retrain: Retraining, seed: int) -> Stage:
        """Label the training images with the trained network."""
        settings = ADAPTED_LABELS[retrain]
        path = self.network_path(row)
        config, inputs, locations = self.data()
        return Stage(
            name="adapted_labels",
            config={
                **config,
                **_network_config(path),
                **settings,
                "flip": False,
                "crf": _plain(wide_crf()) if settings["crf"] else None,
            },
            inputs={**inputs, "segmentation": self.segmentation(row, seed)},
            locations={**locations, "config": str(path)},
            label=f"adapted labels {row.id} seed {seed}",
            code=(
                "benchmark.stages.segmentation:adapted_labels",
                "benchmark.stages.segmentation:_predicted",
                *READING,
                *_network_code(path),
                "benchmark.crf",
            ),
        )

    def retraining(self, row: Row, retrain: Retraining, seed: int) -> Stage:
        """Return the segmentation stage that goes on from the first one's weights."""
        first = self.segmentation(row, seed)
        inputs = {
            **first.inputs,
            "labels": self.adapted_labels(row, retrain, seed),
            "initial": first,
        }
        path = self.tested_path(row)
        return dataclasses.replace(
            first,
            config={**first.config, **_network_config(path)},
            inputs=inputs,
            locations={**first.locations, "config": str(path)},
            label=f"retraining {row.id} seed {seed}",
            code=_segmentation_code(path),
        )

    def trained(self, row: Row, seed: int) -> Stage:
        """Return the training of the network that is tested."""
        if row.retrain is None:
            return self.segmentation(row, seed)
        return self.retraining(row, row.retrain, seed)

    def prediction(self, row: Row, column: Column, seed: int) -> Stage:
        """Segment the column's split."""
        evaluation = column.evaluation
        assert evaluation is not None
        scored = self.scored_list(evaluation.split)
        path = self.tested_path(row)
        config, inputs, locations = self.data()
        return Stage(
            name="prediction",
            config={
                **config,
                **_network_config(path),
                **self._unscored_images(scored),
                "split": scored,
                "scales": list(evaluation.scales),
                "flip": evaluation.flip,
                **_other_views(evaluation),
                "crf": _crf_constants(evaluation.crf_constants) if evaluation.crf else None,
            },
            inputs={**inputs, "segmentation": self.trained(row, seed)},
            locations={**locations, "config": str(path)},
            label=f"prediction {row.id} {column.id} seed {seed}",
            code=(
                "benchmark.stages.segmentation:prediction",
                "benchmark.stages.segmentation:_predicted",
                *READING,
                *_network_code(path),
                "benchmark.crf",
            ),
        )

    def score(self, row: Row, column: Column, seed: int) -> Stage:
        """Score what the column asks for."""
        assert column.evaluation is not None
        scored = self.scored_list(column.evaluation.split)
        if not segments(column):
            wanted = column.evaluation.split
            split = "train" if wanted in ("train", "train_aug") else wanted
            return self.label_score(as_scored(row, column), split, seed, scored)
        folder = "labels_crf" if column.evaluation.crf else "labels"
        label = f"score {row.id} {column.id} seed {seed}"
        made = self.prediction(row, column, seed)
        return self._score(made, scored, folder, label)

    def _score(self, made: Stage, scored: str, folder: str, label: str) -> Stage:
        config, inputs, locations = self.data()
        return Stage(
            name="score",
            config={**config, **self._own_list(scored), "split": scored, "folder": folder},
            inputs={**inputs, "labels": made},
            locations=locations,
            label=label,
            code=("benchmark.stages.score", *READING, "benchmark.metrics"),
        )

    # The user's files

    def _open(self, settings: VocFolder) -> VocDataset:
        return open_user_data(settings, self.files)

    def _weights_path(self, name: str) -> Path:
        return weights_path(self.profile, self.files, name)

    def _saliency_folder(self) -> Path:
        return saliency_folder(self.profile, self.files)

    # Lookups

    def image_counts(self, scored: Iterable[str]) -> dict[str, int]:
        """Return how many images there are to train on and of ``scored``, by the data's own names.

        ``scored`` are the splits of columns.
        """
        counts = {self.split(split): len(self._ids(split)) for split in ("train", "val")}
        for name in {self.scored_list(split) for split in scored} - counts.keys():
            counts[name] = len(self._ids(name) if self.voc is None else self.voc.ids(name))
        return counts

    def family(self, row: Row) -> Segmentation:
        """Return the row's segmentation family at this scale."""
        return self.profile.segmentation[str(row.segmentation)]

    def network_path(self, row: Row) -> Path:
        """Return the config file of the row's segmentation network."""
        return config_path(self.family(row).config)

    def tested_path(self, row: Row) -> Path:
        """Return the config of the training whose network is tested."""
        family = self.family(row)
        second = family.retraining if row.retrain is not None else None
        return config_path(second or family.config)

    def _recipe(self, method: Method) -> TrainingRecipe:
        changed = {**_plain(method.training()), **self.profile.attention.recipe}
        return cast(TrainingRecipe, parse_options("recipe", TrainingRecipe, changed))

    def label_recipe(self, row: Row) -> tuple[str, dict[str, float]]:
        """Return the row's recipe and its constants, or what the profile puts in its place."""
        name, constants = str(row.recipe), dict(row.constants)
        if self.profile.labels is not None and "saliency" in find_recipe(name).needs:
            name, constants = self.profile.labels.name, dict(self.profile.labels.constants)
        find_recipe(name, tuple(constants))
        return name, constants

    def split(self, split: str) -> str:
        """Return the data set's name of a split."""
        if split == "train":
            return self.voc.train_split if self.voc else "train_aug"
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

    def _own_list(self, name: str) -> dict[str, str]:
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

    def _ids(self, split: str) -> tuple[str, ...]:
        """Return the ids of the images of ``train`` or ``val``; of scenes before they are made."""
        if self.voc is not None:
            return self.voc.ids(self.split(split))
        from benchmark.data.scenes import SceneOptions, scene_id

        assert isinstance(self.profile.data, GeneratedScenes)
        options = parse_options("scenes", SceneOptions, self.profile.data.options)
        count = options.train_images if split == "train" else options.val_images
        return tuple(scene_id(split, index) for index in range(count))

    def _unscored_images(self, name: str) -> dict[str, str]:
        """Return the digest of a list's images where the data's own digest leaves them out."""
        if self.voc is None or name in self._splits():
            return {}
        digest = hashlib.sha256()
        for image_id in self.voc.ids(name):
            digest.update(f"{image_id} {self._sha256(self.voc.image_path(image_id))}\n".encode())
        return {"images_digest": digest.hexdigest()}

    def _splits(self) -> tuple[str, str]:
        assert self.voc is not None
        return self.voc.train_split, self.voc.val_split


def method_code(method: type[Method] | type[Refinement]) -> tuple[str, ...]:
    """Return the modules a method consists of: its own, and what it imports of its own package."""
    return own_code(method.__module__)


def segments(column: Column) -> bool:
    """Tell whether the column scores a segmentation network, and not the labels it learns from."""
    return column.evaluation is not None and column.evaluation.stage == "segmentation"


def as_scored(row: Row, column: Column) -> Row:
    """Return the row with the labels that the column scores, where these are not the row's own."""
    evaluation = column.evaluation
    assert evaluation is not None
    changes: dict[str, Any] = {"refine": None, "refine_options": {}} if evaluation.raw else {}
    if evaluation.recipe is not None:
        changes |= {"recipe": evaluation.recipe, "constants": evaluation.constants}
    return row.model_copy(update=changes)


def _network_config(path: Path) -> dict[str, Any]:
    return {"config": path.name, "config_digest": config_digest(path)}


def _network_code(path: Path) -> tuple[str, ...]:
    """Return the modules behind a config: a plugin's with all that they import of their package."""
    named = config_modules(path)
    own = {module for module in named if module.split(".")[0] == "benchmark"}
    common = "benchmark.segmentation", "benchmark.device"
    return (*common, *sorted(own), *own_code(*(named - own)))


def _segmentation_code(path: Path) -> tuple[str, ...]:
    return (
        "benchmark.stages.segmentation:segmentation",
        *READING,
        *_network_code(path),
        "benchmark.feeding",
        "benchmark.backbones",
        "benchmark.crf",
    )


def _other_views(evaluation: Evaluation) -> dict[str, Any]:
    """Return how an image's views are made and joined where that is not as in most tests."""
    changed: dict[str, Any] = {} if evaluation.square is None else {"square": evaluation.square}
    return changed if evaluation.fusion == "probabilities" else {**changed, "fusion": "logits"}


def _training_options(method: Method | Refinement) -> dict[str, Any]:
    """Return the options that the training depends on; the others take their defaults there."""
    options = _plain(method.options)
    return {key: value for key, value in options.items() if key not in method.reading_options}


def row_method(row: Row) -> Method:
    """Return the row's method with its options; BrokenPlugin where its plugin cannot be used."""
    return build_method(str(row.method), row.options)


def broken_plugin(row: Row) -> str:
    """Return why the row's method, refinement or recipe cannot be used; empty if they can."""
    try:
        for plugin in _plugins(row):
            fingerprint(method_code(type(plugin)))
        if row.recipe is not None:
            fingerprint(recipe_code(row.recipe))
    except BrokenPlugin as error:
        return str(error)
    except (OSError, ValueError, SyntaxError) as error:
        # A result without its source could never turn stale.
        return f"row {row.id}: the source of its plugin cannot be read: {error}"
    return ""


def _plugins(row: Row) -> Iterator[Method | Refinement]:
    if row.method is not None:
        yield row_method(row)
    if row.refine is not None:
        yield _refinement(row)


def _refinement(row: Row) -> Refinement:
    assert row.refine is not None
    refiner: Refinement = build_plugin(
        "refinement", row.refine, load_refinement_class(row.refine), row.refine_options
    )
    return refiner


def _plain(options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options)))
    return plain


def _crf_constants(changes: Mapping[str, float]) -> dict[str, Any]:
    changed = {**_plain(CrfOptions()), **changes}
    return _plain(parse_options("crf_constants", CrfOptions, changed))
