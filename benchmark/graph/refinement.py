"""Refinements: what is trained on attention maps to better them."""

from __future__ import annotations

from benchmark.graph.attention import AttentionStages
from benchmark.graph.code import READING, TRAINING, method_code
from benchmark.graph.images import Images
from benchmark.graph.recipes import recipe_at_scale
from benchmark.graph.rows import plain, row_refinement, training_options
from benchmark.profiles import Profile
from benchmark.store import Stage
from benchmark.tables import Row


class RefinementStages:
    """The stages from attention maps to refined ones."""

    def __init__(self, profile: Profile, images: Images, attention: AttentionStages) -> None:
        self._profile = profile
        self._images = images
        self._attention = attention

    def training(self, row: Row, seed: int) -> Stage:
        """Train the row's refinement on its maps."""
        refiner = row_refinement(row)
        recipe = recipe_at_scale(
            self._profile, "refinement", refiner.training(), self._profile.refinement
        )
        weights = self._profile.weights[self._attention.initial_weights(row)]
        changes = self._profile.refinement_backbones.get(weights.architecture)
        config, inputs, locations = self._images.read()
        return Stage(
            name="refinement",
            config={
                **config,
                "refinement": row.refine,
                "options": training_options(refiner),
                "recipe": plain(recipe),
                **({"backbone": changes} if changes else {}),
                "seed": seed,
            },
            inputs={
                **inputs,
                "attention": self._attention.network(row, seed),
                "maps": self._attention.maps(row, "train", seed),
            },
            locations=locations,
            label=f"refinement {row.id} seed {seed}",
            code=(
                "benchmark.stages.refinement",
                *READING,
                "benchmark.refinement",
                *TRAINING,
                "benchmark.crf",
                "benchmark.proxy.arrays",
                *method_code(type(refiner)),
            ),
        )

    def maps(self, row: Row, split: str, seed: int) -> Stage:
        """Refine the maps of one split."""
        refiner = row_refinement(row)
        config, inputs, locations = self._images.read()
        return Stage(
            name="refined_maps",
            config={
                **config,
                "split": self._images.split(split),
                "options": plain(refiner.options),
            },
            inputs={
                **inputs,
                "attention": self._attention.network(row, seed),
                "refinement": self.training(row, seed),
                "maps": self._attention.maps(row, split, seed),
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
