"""Saliency maps: from the user's folder, from a plugin, or from a network of our own."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from benchmark.errors import BenchmarkError, NotGiven, lacking
from benchmark.graph.code import READING
from benchmark.graph.files import GivenFiles
from benchmark.graph.images import Images
from benchmark.graph.initial_weights import InitialWeights
from benchmark.graph.rows import plain, row_method
from benchmark.profiles import Profile
from benchmark.registry import parse_options
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.saliency.source import SaliencySource, build_source, source_code
from benchmark.store import Stage
from benchmark.tables import Row
from benchmark.user_files import shipped_weights


class SaliencyStages:
    """The stages behind a profile's saliency maps."""

    def __init__(
        self, profile: Profile, files: GivenFiles, images: Images, weights: InitialWeights
    ) -> None:
        self._profile = profile
        self._files = files
        self._images = images
        self._weights = weights

    def seen(self, row: Row, **splits: str) -> dict[str, Stage]:
        """Return the saliency stages, by role, that the row's method itself looks at."""
        if not row_method(row).needs_saliency:
            return {}
        return {role: self.maps(split) for role, split in splits.items()}

    def seen_if_given(self, row: Row, **splits: str) -> dict[str, Stage]:
        """Return the same stages, or none where the user's folder has no map of a split."""
        try:
            return self.seen(row, **splits)
        except NotGiven:
            return {}

    def maps(self, split: str) -> Stage:
        """Saliency maps of one split.

        BenchmarkError where the profile has none, or the user's folder lacks some; NotGiven where
        it has none at all of a split that nothing learns from, as releases for training have.
        """
        settings = self._profile.saliency
        config, inputs, locations = self._images.read()
        if settings.kind == "none":
            raise BenchmarkError(
                f"profile {self._profile.id} has no saliency maps: choose a method and a label "
                "recipe that need none"
            )
        if settings.kind == "folder":
            folder = self._files.saliency_folder()
            self._check(folder, split)
            config = {**config, "source": "folder", "digest": self._files.folder_digest(folder)}
            locations = {**locations, "saliency": str(folder)}
        elif settings.kind == "source":
            source = self.source()
            config = {**config, "plugin": settings.source, "options": plain(source.options)}
        else:
            config = {**config, "size": self._recipe().size}
            if settings.passes > 1:
                config["passes"] = settings.passes
            inputs = {**inputs, "saliency_network": self.network()}
        return Stage(
            name="saliency",
            config={**config, "split": self._images.split(split)},
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

    def _check(self, folder: Path, split: str) -> None:
        ids, name = self._images.ids(split), self._images.split(split)
        missing = self._files.without_saliency(ids)
        if len(missing) == len(ids) and split != "train":
            raise NotGiven(f"{folder} holds no saliency map of {name}")
        if missing:
            raise BenchmarkError(
                f"{folder} lacks the saliency maps of {lacking(missing, ids, name)}"
            )

    def source(self) -> SaliencySource:
        """Return the plugin that the profile's saliency comes from, with its options."""
        settings = self._profile.saliency
        assert settings.source is not None
        return build_source(settings.source, settings.options)

    def network(self) -> Stage:
        """Train our own saliency network, or take the one that the package ships."""
        from benchmark.data.scenes import SCENES_VERSION

        settings = self._profile.saliency
        assert settings.weights is not None
        weights = self._profile.weights[settings.weights]
        if settings.trained is not None:
            path = shipped_weights(settings.trained)
            return Stage(
                name="shipped_saliency_network",
                config={
                    "architecture": weights.architecture,
                    "options": {**weights.options, **settings.options},
                    "sha256": self._files.sha256(path),
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
                "recipe": plain(self._recipe()),
                "scenes_version": SCENES_VERSION,
            },
            inputs={"backbone": self._weights.backbone(settings.weights)},
            label="saliency network",
            code=(
                "benchmark.stages.saliency",
                "benchmark.saliency.network",
                "benchmark.feeding",
                "benchmark.device",
                "benchmark.data.scenes",
                "benchmark.backbones",
            ),
        )

    def _recipe(self) -> SaliencyRecipe:
        recipe = parse_options("saliency", SaliencyRecipe, self._profile.saliency.recipe)
        return cast(SaliencyRecipe, recipe)
