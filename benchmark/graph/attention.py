"""Attention networks, and the maps that are read off them."""

from __future__ import annotations

from typing import Any

from benchmark.errors import NotGiven
from benchmark.graph.code import READING, TRAINING, method_code
from benchmark.graph.images import Images
from benchmark.graph.initial_weights import InitialWeights
from benchmark.graph.recipes import recipe_at_scale
from benchmark.graph.rows import plain, row_method, training_options
from benchmark.graph.saliency import SaliencyStages
from benchmark.method import Head, Method, TrainingRecipe
from benchmark.profiles import Profile
from benchmark.registry import parse_options
from benchmark.released import Released, ReleasedFiles
from benchmark.store import Stage
from benchmark.tables import Row


class AttentionStages:
    """The stages from images and their labels to attention maps, or from released files."""

    def __init__(
        self,
        profile: Profile,
        released: Released,
        images: Images,
        weights: InitialWeights,
        saliency: SaliencyStages,
    ) -> None:
        self._profile = profile
        self._released = released
        self._images = images
        self._weights = weights
        self._saliency = saliency

    def network(self, row: Row, seed: int) -> Stage:
        """Train the row's attention network; NotGiven where released files leave it out."""
        method = row_method(row)
        if "attention" in self._released:
            return self._released_network(row, self._released["attention"])
        if self._released and not (set(self._released) == {"maps"} and row.refine):
            raise NotGiven("no attention network is trained: what comes after it is given")
        config, inputs, locations = self._images.read()
        return Stage(
            name="attention",
            config={
                **config,
                "method": row.method,
                "options": training_options(method),
                "recipe": plain(self._recipe(method)),
                "backbone": self._backbone(row),
                "seed": seed,
            },
            inputs={
                **inputs,
                "backbone": self._weights.backbone(self.initial_weights(row)),
                **self._saliency.seen(row, saliency_train="train"),
                **self._saliency.seen_if_given(row, saliency_val="val"),
            },
            locations=locations,
            label=f"attention {row.id} seed {seed}",
            code=(
                "benchmark.stages.attention:attention",
                "benchmark.stages.attention:measured",
                *READING,
                *TRAINING,
                *method_code(type(method)),
            ),
        )

    def initial_weights(self, row: Row) -> str:
        """Return the name of the initial weights of the row's attention network."""
        settings = self._profile.attention
        own = settings.by_method.get(str(row.method))
        return settings.weights if own is None else own.weights

    def _backbone(self, row: Row) -> dict[str, Any]:
        """Return what the attention network is built from."""
        settings = self._profile.attention
        weights = self._profile.weights[self.initial_weights(row)]
        if own := settings.by_method.get(str(row.method)):
            changes = own.options
        else:
            of_paper = row_method(row).backbone_options if settings.follow_method else {}
            changes = {**of_paper, **settings.options}
        return {
            "architecture": weights.architecture,
            "options": {**weights.options, **changes},
            "head": plain(parse_options("head", Head, settings.head)),
        }

    def _released_network(self, row: Row, files: ReleasedFiles) -> Stage:
        """Take the row's attention network from released weights."""
        method = row_method(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="released_attention",
            config={
                **config,
                "method": row.method,
                "options": training_options(method),
                "backbone": self._backbone(row),
                "test_size": self._recipe(method).test_size,
                "sha256": files.sha256,
            },
            inputs={**inputs, **self._saliency.seen_if_given(row, saliency_val="val")},
            locations={**locations, "weights": str(files.path)},
            label=f"attention {row.id} from {files.name}",
            code=(
                "benchmark.stages.released:released_attention",
                "benchmark.stages.released:load_strictly",
                "benchmark.stages.attention:measured",
                *READING,
                "benchmark.attention",
                "benchmark.batches",
                "benchmark.method:LabelledImages",
                "benchmark.device",
                "benchmark.backbones",
                *method_code(type(method)),
            ),
        )

    def maps(self, row: Row, split: str, seed: int) -> Stage:
        """Read the attention maps of one split."""
        if "maps" in self._released:
            return self._images.released(self._released["maps"], "released_maps", split)
        method = row_method(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="maps",
            config={
                **config,
                "split": self._images.split(split),
                "size": self._recipe(method).test_size,
                "options": plain(method.options),
                **({"keep_shape": True} if self._keeps_shape(method) else {}),
            },
            inputs={
                **inputs,
                "attention": self.network(row, seed),
                **self._saliency.seen(row, saliency=split),
            },
            locations=locations,
            label=f"maps {row.id} {split} seed {seed}",
            code=(
                "benchmark.stages.attention:maps",
                "benchmark.stages.attention:_looked_at_together",
                *READING,
                "benchmark.attention:attention_maps",
                "benchmark.attention:_mirrored_back",
                "benchmark.attention:fuse",
                "benchmark.batches:images_of_shape",
                "benchmark.batches:with_mirror_images",
                "benchmark.batches:normalised",
                "benchmark.batches:_mean_and_std",
                "benchmark.data.augment:resized",
                "benchmark.maps",
                *method_code(type(method)),
            ),
        )

    def _keeps_shape(self, method: Method) -> bool:
        """Tell whether maps are read off images of their own shapes, as the paper does."""
        return self._profile.attention.follow_method and method.inference().keep_shape

    def _recipe(self, method: Method) -> TrainingRecipe:
        changes = self._profile.attention.recipe
        return recipe_at_scale(self._profile, "attention.recipe", method.training(), changes)
