"""From a table, a profile and the user's files to the stages behind every cell."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

from benchmark.configs import config_digest, config_path
from benchmark.data.voc import CLASS_NAMES, LabelSource, VocDataset, open_voc
from benchmark.errors import BenchmarkError
from benchmark.executor import with_inputs
from benchmark.method import Head, Method, TrainingRecipe
from benchmark.profiles import GeneratedScenes, Profile, Segmentation, VocFolder
from benchmark.proxy import find_recipe
from benchmark.refinement import Refinement, build_refinement
from benchmark.registry import build_method, near_name, parse_options
from benchmark.report.card import ProtocolCard
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.store import Stage
from benchmark.tables import Column, Row, Table
from benchmark.tables.schema import Retraining

PRETRAINED = Path(__file__).parent / "pretrained"
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


@dataclass(frozen=True)
class CellPlan:
    """One cell of ours: the score stage of every seed, and what its number may be compared with."""

    row: Row
    column: Column
    card: ProtocolCard
    scores: tuple[Stage, ...]


@dataclass(frozen=True)
class Diagnostic:
    """A measure on the way to the score: one metric of one stage a seed."""

    metric: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Sheet:
    """What a row's figure shows: its maps and labels of the validation split, at one seed."""

    maps: Stage
    labels: Stage
    seed: int


@dataclass(frozen=True)
class Plan:
    """Everything that one table needs under one profile."""

    table: Table
    profile: Profile
    seeds: tuple[int, ...]
    cells: tuple[CellPlan, ...]
    diagnostics: Mapping[str, Mapping[str, Diagnostic]]
    """Row id -> name such as ``labels.val_miou`` -> where it is read."""
    absent: Mapping[tuple[str, str], str]
    """(row, column) -> why this profile cannot measure it."""
    data: Mapping[str, str]
    """What describes the images: name, digest, number of images."""
    sheets: Mapping[str, Sheet]
    """Row id -> what its figure shows."""

    @cached_property
    def targets(self) -> tuple[Stage, ...]:
        """The stages that the report and the figures read."""
        return self.targets_of(row.id for row in self.table.rows)

    def targets_of(self, rows: Iterable[str]) -> tuple[Stage, ...]:
        """The targets of some rows; BenchmarkError, with the near id, for one that is not there."""
        found: list[Stage] = []
        for row_id in rows:
            if row_id not in (known := [row.id for row in self.table.rows]):
                raise BenchmarkError(near_name(f"row of {self.table.id}", row_id, known))
            found += [
                score for cell in self.cells if cell.row.id == row_id for score in cell.scores
            ]
            for diagnostic in self.diagnostics.get(row_id, {}).values():
                found += diagnostic.stages
            if sheet := self.sheets.get(row_id):
                found += [sheet.maps, sheet.labels]
        return tuple({stage.key: stage for stage in found}.values())

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, each once, inputs before what needs them."""
        return tuple(with_inputs(self.targets))


def make_plan(table: Table, profile: Profile, files: UserFiles, seeds: Sequence[int]) -> Plan:
    """Return the plan; BenchmarkError where a method, an option or a user's file is wrong."""
    builder = _Builder(profile, files)
    cells: list[CellPlan] = []
    diagnostics: dict[str, dict[str, Diagnostic]] = {}
    absent: dict[tuple[str, str], str] = {}
    sheets: dict[str, Sheet] = {}
    for row, column in table.measurable():
        if _segments(column) and row.segmentation not in profile.segmentation:
            absent[row.id, column.id] = f"profile {profile.id} has no {row.segmentation}"
            continue
        cells.append(builder.cell(row, column, seeds))
        diagnostics[row.id] = {
            name: builder.diagnostic(name, row, seeds)
            for name in table.diagnostics
            if row.refine or not name.startswith("refined.")
        }
        sheets[row.id] = builder.sheet(row, seeds[0])
    if not cells:
        raise BenchmarkError(f"profile {profile.id} can measure no cell of {table.id}")
    return Plan(
        table,
        profile,
        tuple(seeds),
        tuple(cells),
        diagnostics,
        absent,
        builder.described(),
        sheets,
    )


class _Builder:
    """Builds stages; stages with equal contents are equal, however often they are built."""

    def __init__(self, profile: Profile, files: UserFiles) -> None:
        self.profile = profile
        self.files = files
        self._sha256 = cache(_sha256)  # every stage that uses a file asks for its digest
        self._folder_digest = cache(_folder_digest)
        self.voc: VocDataset | None = None
        if isinstance(profile.data, VocFolder):
            self.voc = _open_user_data(profile.data, files)
        self._check_files()

    def cell(self, row: Row, column: Column, seeds: Sequence[int]) -> CellPlan:
        assert column.evaluation is not None
        scores = tuple(self.score(row, column, seed) for seed in seeds)
        return CellPlan(row, column, self.card(row, column), scores)

    def diagnostic(self, name: str, row: Row, seeds: Sequence[int]) -> Diagnostic:
        readers: dict[str, tuple[str, Callable[[int], Stage]]] = {
            "attention.val_map": ("val_map", lambda seed: self.attention(row, seed)),
            "maps.val_miou": ("miou", lambda seed: self.map_score(row, seed)),
            "refined.val_miou": ("miou", lambda seed: self.refined_score(row, seed)),
        }
        for split in ("train", "val"):
            for metric in ("miou", "precision", "recall"):
                readers[f"labels.{split}_{metric}"] = (
                    metric,
                    lambda seed, split=split: self.label_score(row, split, seed),  # type: ignore[misc]
                )
        if name not in readers:
            raise BenchmarkError(near_name("diagnostic", name, readers))
        metric, reader = readers[name]
        return Diagnostic(metric, tuple(reader(seed) for seed in seeds))

    def sheet(self, row: Row, seed: int) -> Sheet:
        return Sheet(self.maps(row, "val", seed), self.labels(row, "val", seed), seed)

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
                "benchmark.stages.data",
                "benchmark.backbones",
                "benchmark.backbones_resnet38",
                "benchmark.mxnet_params",
            ),
        )

    # Attention, saliency, labels

    def _seen_saliency(self, row: Row, **splits: str) -> dict[str, Stage]:
        """Return the saliency stages, by role, that the row's method itself looks at."""
        if not _method(row).needs_saliency:
            return {}
        return {role: self.saliency(split) for role, split in splits.items()}

    def saliency(self, split: str) -> Stage:
        settings = self.profile.saliency
        config, inputs, locations = self.data()
        if settings.kind == "none":
            raise BenchmarkError(
                f"profile {self.profile.id} has no saliency maps: choose a method and a label "
                "recipe that need none"
            )
        if settings.kind == "folder":
            folder = self.files.saliency
            assert folder is not None
            config = {**config, "source": "folder", "digest": self._folder_digest(folder)}
            locations = {**locations, "saliency": str(folder)}
        else:
            config = {**config, "size": self._saliency_recipe().size}
            if settings.passes > 1:
                config["passes"] = settings.passes
            inputs = {**inputs, "saliency_network": self.saliency_network()}
        return Stage(
            name="saliency",
            config={**config, "split": self._split(split)},
            inputs=inputs,
            locations=locations,
            label=f"saliency {split}",
            code=("benchmark.stages.saliency", *READING, "benchmark.saliency"),
        )

    def saliency_network(self) -> Stage:
        from benchmark.data.scenes import SCENES_VERSION

        settings = self.profile.saliency
        assert settings.weights is not None
        weights = self.profile.weights[settings.weights]
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
                "benchmark.data.scenes",
                "benchmark.backbones",
            ),
        )

    def _saliency_recipe(self) -> SaliencyRecipe:
        recipe = parse_options("saliency", SaliencyRecipe, self.profile.saliency.recipe)
        return cast(SaliencyRecipe, recipe)

    def attention(self, row: Row, seed: int) -> Stage:
        method = _method(row)
        settings = self.profile.attention
        weights = self.profile.weights[settings.weights]
        changes = method.backbone_options if settings.follow_method else {}
        config, inputs, locations = self.data()
        return Stage(
            name="attention",
            config={
                **config,
                "method": row.method,
                "options": _training_options(method),
                "recipe": _plain(self._recipe(method)),
                "backbone": {
                    "architecture": weights.architecture,
                    "options": {**weights.options, **changes, **settings.options},
                    "head": _plain(parse_options("head", Head, settings.head)),
                },
                "seed": seed,
            },
            inputs={
                **inputs,
                "backbone": self.backbone(settings.weights),
                **self._seen_saliency(row, saliency_train="train", saliency_val="val"),
            },
            locations=locations,
            label=f"attention {row.id} seed {seed}",
            code=(
                "benchmark.stages.attention:attention",
                *READING,
                "benchmark.attention",
                "benchmark.backbones",
                "benchmark.backbones_resnet38",
                "benchmark.data.augment",
                *method_code(type(method)),
            ),
        )

    def maps(self, row: Row, split: str, seed: int) -> Stage:
        method = _method(row)
        config, inputs, locations = self.data()
        return Stage(
            name="maps",
            config={
                **config,
                "split": self._split(split),
                "size": self._recipe(method).test_size,
                "options": _plain(method.options),
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
                *READING,
                "benchmark.attention:attention_maps",
                "benchmark.attention:fuse",
                "benchmark.maps",
                *method_code(type(method)),
            ),
        )

    def map_score(self, row: Row, seed: int) -> Stage:
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
                "benchmark.backbones",
                "benchmark.backbones_resnet38",
                "benchmark.crf",
                "benchmark.data.augment",
                "benchmark.proxy.arrays",
                *method_code(type(refiner)),
            ),
        )

    def refined_maps(self, row: Row, split: str, seed: int) -> Stage:
        refiner = _refinement(row)
        config, inputs, locations = self.data()
        return Stage(
            name="refined_maps",
            config={
                **config,
                "split": self._split(split),
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
        recipe, constants = self._label_recipe(row)
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
            code=("benchmark.stages.labels", *READING, "benchmark.proxy", "benchmark.crf"),
        )

    def label_score(self, row: Row, split: str, seed: int) -> Stage:
        return self._score(
            self.labels(row, split, seed),
            split,
            "labels",
            f"score of labels {row.id} {split} seed {seed}",
        )

    # Segmentation

    def segmentation(self, row: Row, seed: int) -> Stage:
        config, inputs, locations = self.data()
        return Stage(
            name="segmentation",
            config={**config, **self._network_config(row), "seed": seed},
            inputs={
                **inputs,
                "labels": self.labels(row, "train", seed),
                "backbone": self.backbone(self._family(row).weights),
            },
            locations={**locations, "config": str(self._network_path(row))},
            label=f"segmentation {row.id} seed {seed}",
            code=(
                "benchmark.stages.segmentation:segmentation",
                *READING,
                "benchmark.segmentation",
                "benchmark.backbones",
                "benchmark.crf",
            ),
        )

    def adapted_labels(self, row: Row, retrain: Retraining, seed: int) -> Stage:
        settings = ADAPTED_LABELS[retrain]
        config, inputs, locations = self.data()
        return Stage(
            name="adapted_labels",
            config={
                **config,
                **self._network_config(row),
                **settings,
                "flip": False,
                "crf": _crf_constants({}) if settings["crf"] else None,
            },
            inputs={**inputs, "segmentation": self.segmentation(row, seed)},
            locations={**locations, "config": str(self._network_path(row))},
            label=f"adapted labels {row.id} seed {seed}",
            code=(
                "benchmark.stages.segmentation:adapted_labels",
                "benchmark.stages.segmentation:_predicted",
                *READING,
                "benchmark.segmentation",
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
        label = f"retraining {row.id} seed {seed}"
        return dataclasses.replace(first, inputs=inputs, label=label)

    def trained(self, row: Row, seed: int) -> Stage:
        """Return the training of the network that is tested."""
        if row.retrain is None:
            return self.segmentation(row, seed)
        return self.retraining(row, row.retrain, seed)

    def prediction(self, row: Row, column: Column, seed: int) -> Stage:
        evaluation = column.evaluation
        assert evaluation is not None
        config, inputs, locations = self.data()
        return Stage(
            name="prediction",
            config={
                **config,
                **self._network_config(row),
                "split": self._split(evaluation.split),
                "scales": list(evaluation.scales),
                "flip": evaluation.flip,
                "crf": _crf_constants(evaluation.crf_constants) if evaluation.crf else None,
            },
            inputs={**inputs, "segmentation": self.trained(row, seed)},
            locations={**locations, "config": str(self._network_path(row))},
            label=f"prediction {row.id} {column.id} seed {seed}",
            code=(
                "benchmark.stages.segmentation:prediction",
                "benchmark.stages.segmentation:_predicted",
                *READING,
                "benchmark.segmentation",
                "benchmark.crf",
            ),
        )

    def score(self, row: Row, column: Column, seed: int) -> Stage:
        assert column.evaluation is not None
        if not _segments(column):
            return self.label_score(row, column.evaluation.split, seed)
        folder = "labels_crf" if column.evaluation.crf else "labels"
        label = f"score {row.id} {column.id} seed {seed}"
        made = self.prediction(row, column, seed)
        return self._score(made, column.evaluation.split, folder, label)

    def _score(self, scored: Stage, split: str, folder: str, label: str) -> Stage:
        config, inputs, locations = self.data()
        return Stage(
            name="score",
            config={**config, "split": self._split(split), "folder": folder},
            inputs={**inputs, "labels": scored},
            locations=locations,
            label=label,
            code=("benchmark.stages.score", *READING, "benchmark.metrics"),
        )

    # What may be compared

    def card(self, row: Row, column: Column) -> ProtocolCard:
        evaluation = column.evaluation
        assert evaluation is not None
        _, constants = self._label_recipe(row)
        segments = _segments(column)
        used = self._family(row).weights if segments else self.profile.attention.weights
        return ProtocolCard(
            stage=evaluation.stage,
            dataset=self._dataset_name(),
            train_split=self._split("train"),
            split=evaluation.split,
            classes=self.voc.classes if self.voc else CLASS_NAMES,
            image_labels=self.voc.labels if self.voc else "csv",
            labels_at_test="none" if segments else "image labels",
            threshold=constants.get("threshold", "none"),
            threshold_policy="fixed",
            scales=evaluation.scales,
            flip=evaluation.flip,
            crf=evaluation.crf,
            network=self._network_name(row) if segments else used,
            initial_weights=self.profile.weights[used].title,
            saliency=self._saliency_name() if self._uses_saliency(row) else "none",
            supervision="I+S" if self._uses_saliency(row) else "I",
            profile=self.profile.id,
        )

    def _dataset_name(self) -> str:
        if self.voc is None:
            return "generated scenes"
        return self.voc.name

    def _network_name(self, row: Row) -> str:
        family = str(row.segmentation)
        return family if self.profile.id == "paper" else self._network_path(row).stem

    def _saliency_name(self) -> str:
        kind = self.profile.saliency.kind
        if kind == "network":
            return "own network, generated objects of other classes"
        return "none" if kind == "none" else str(self.files.saliency_name)

    def _uses_saliency(self, row: Row) -> bool:
        recipe, _ = self._label_recipe(row)
        return _method(row).needs_saliency or "saliency" in find_recipe(recipe).needs

    # Lookups

    def _family(self, row: Row) -> Segmentation:
        return self.profile.segmentation[str(row.segmentation)]

    def _network_path(self, row: Row) -> Path:
        return config_path(self._family(row).config)

    def _network_config(self, row: Row) -> dict[str, Any]:
        path = self._network_path(row)
        return {"config": path.name, "config_digest": config_digest(path)}

    def _recipe(self, method: Method) -> TrainingRecipe:
        changed = {**_plain(method.training()), **self.profile.attention.recipe}
        return cast(TrainingRecipe, parse_options("recipe", TrainingRecipe, changed))

    def _label_recipe(self, row: Row) -> tuple[str, dict[str, float]]:
        name, constants = str(row.recipe), dict(row.constants)
        if self.profile.labels is not None and "saliency" in find_recipe(name).needs:
            name, constants = self.profile.labels.name, dict(self.profile.labels.constants)
        find_recipe(name, tuple(constants))
        return name, constants

    def _split(self, split: str) -> str:
        if split == "train":
            return self.voc.train_split if self.voc else "train_aug"
        return self.voc.val_split if self.voc and split == "val" else split

    def _splits(self) -> tuple[str, str]:
        assert self.voc is not None
        return self.voc.train_split, self.voc.val_split

    def _weights_path(self, name: str) -> Path:
        if self.profile.weights[name].source == "package":
            return PRETRAINED / f"{name}.safetensors"
        if name not in self.files.weights:
            raise BenchmarkError(
                f"profile {self.profile.id} needs initial weights '{name}': "
                f"give --weights {name}=FILE (torchvision key layout)"
            )
        if not (path := self.files.weights[name]).is_file():
            raise BenchmarkError(f"no weights file at {path}: give the path of an existing file")
        return path

    def _check_files(self) -> None:
        given = self.files
        if given.data and self.voc is None:
            raise BenchmarkError(f"profile {self.profile.id} makes its own images: drop --data")
        wanted = [name for name, w in self.profile.weights.items() if w.source == "user"]
        for name in given.weights:
            if name not in wanted:
                raise BenchmarkError(f"--weights: {near_name('weights', name, wanted)}")
        if self.profile.saliency.kind == "folder":
            if given.saliency is None:
                raise BenchmarkError(
                    f"profile {self.profile.id} needs saliency maps: "
                    "give --saliency NAME=FOLDER, e.g. DSS=FOLDER, with one grey ID.png an image"
                )
            if not given.saliency.is_dir():
                raise BenchmarkError(f"no saliency folder at {given.saliency}")


def method_code(method: type[Method] | type[Refinement]) -> tuple[str, ...]:
    """Return the modules a method consists of: its own, and what it imports of its own package."""
    module = sys.modules[method.__module__]
    package = module.__name__.split(".")[0]
    found = {module.__name__}
    for value in vars(module).values():
        origin = inspect.getmodule(value)
        if origin is not None and origin.__name__.split(".")[0] == package:
            found.add(origin.__name__)
    return tuple(sorted(found))


def _segments(column: Column) -> bool:
    """Tell whether the column scores a segmentation network, and not the labels it learns from."""
    return column.evaluation is not None and column.evaluation.stage == "segmentation"


def _training_options(method: Method | Refinement) -> dict[str, Any]:
    """Return the options that the training depends on; the others take their defaults there."""
    options = _plain(method.options)
    return {key: value for key, value in options.items() if key not in method.reading_options}


def _method(row: Row) -> Method:
    return build_method(str(row.method), row.options)


def _refinement(row: Row) -> Refinement:
    assert row.refine is not None
    return build_refinement(row.refine, row.refine_options)


def _open_user_data(settings: VocFolder, files: UserFiles) -> VocDataset:
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
    return dataset


def _plain(options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options)))
    return plain


def _crf_constants(changes: Mapping[str, float]) -> dict[str, Any]:
    from benchmark.crf import CrfOptions

    changed = {**_plain(CrfOptions()), **changes}
    return _plain(parse_options("crf_constants", CrfOptions, changed))


def _sha256(path: Path) -> str:
    from benchmark.weights import sha256  # imports torch

    return sha256(path)


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.png")):
        digest.update(f"{path.name} {_sha256(path)}\n".encode())
    return digest.hexdigest()
