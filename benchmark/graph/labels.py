"""Proxy labels: made from maps by a recipe, taken from released files, or the true masks."""

from __future__ import annotations

from benchmark.errors import BenchmarkError
from benchmark.graph.attention import AttentionStages
from benchmark.graph.code import READING
from benchmark.graph.images import Images
from benchmark.graph.refinement import RefinementStages
from benchmark.graph.saliency import SaliencyStages
from benchmark.profiles import Profile
from benchmark.proxy import find_recipe, recipe_code
from benchmark.released import Released
from benchmark.store import Stage
from benchmark.tables import Row


class LabelStages:
    """The stages that label images for a segmentation network to learn from."""

    def __init__(
        self,
        profile: Profile,
        released: Released,
        images: Images,
        saliency: SaliencyStages,
        attention: AttentionStages,
        refinement: RefinementStages,
    ) -> None:
        self._profile = profile
        self._released = released
        self._images = images
        self._saliency = saliency
        self._attention = attention
        self._refinement = refinement

    def of(self, row: Row, split: str, seed: int) -> Stage:
        """Make the row's labels of one split; the true masks where the row says so."""
        if row.labels == "truth":
            return self._true(split)
        recipe, constants = self.recipe(row)
        for kind in ("labels", "cues"):
            if kind not in self._released:
                continue
            if kind == "cues" and recipe != "cues":
                raise BenchmarkError(
                    f"--from cues: row {row.id} makes its labels by {recipe}, not from cues: "
                    "choose a row that does, or give them as labels"
                )
            return self._images.released(self._released[kind], "released_labels", split)
        config, inputs, locations = self._images.read()
        maps = self._refinement.maps if row.refine else self._attention.maps
        inputs = {**inputs, "maps": maps(row, split, seed)}
        if "saliency" in find_recipe(recipe).needs:
            inputs["saliency"] = self._saliency.maps(split)
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

    def _true(self, split: str) -> Stage:
        """Take the true masks of one split as labels."""
        config, inputs, locations = self._images.read()
        return Stage(
            name="true_labels",
            config={**config, "split": self._images.split(split)},
            inputs=inputs,
            locations=locations,
            label=f"true labels {split}",
            code=("benchmark.stages.truth", *READING),
        )

    def recipe(self, row: Row) -> tuple[str, dict[str, float]]:
        """Return the row's recipe and its constants, or what the profile puts in its place."""
        name, constants = str(row.recipe), dict(row.constants)
        if self._profile.labels is not None and "saliency" in find_recipe(name).needs:
            name, constants = self._profile.labels.name, dict(self._profile.labels.constants)
        find_recipe(name, tuple(constants))
        return name, constants
