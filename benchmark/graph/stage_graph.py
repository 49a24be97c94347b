"""What a plan asks for: the stages of a row, and what is known of them before they are made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.data.voc import VocDataset
from benchmark.graph.attention import AttentionStages
from benchmark.graph.files import GivenFiles
from benchmark.graph.images import Images
from benchmark.graph.initial_weights import InitialWeights
from benchmark.graph.labels import LabelStages
from benchmark.graph.refinement import RefinementStages
from benchmark.graph.rows import as_scored, segments
from benchmark.graph.saliency import SaliencyStages
from benchmark.graph.scores import score_of_labels, score_of_maps
from benchmark.graph.segmentation import SegmentationStages
from benchmark.profiles import Profile, Segmentation
from benchmark.released import Released
from benchmark.saliency.source import SaliencySource
from benchmark.store import Stage
from benchmark.tables import Column, Row
from benchmark.user_files import UserFiles, check_files


class StageGraph:
    """Builds stages; stages with equal contents are equal, however often they are built."""

    def __init__(
        self,
        profile: Profile,
        files: UserFiles,
        released: Released | None = None,
        given: GivenFiles | None = None,
    ) -> None:
        """Take the user's ``files`` as they are, or as ``given`` says."""
        self.profile = profile
        self.files = files
        self.released = released or {}
        given = given or GivenFiles(profile, files)
        self._images = images = Images(profile, given)
        check_files(profile, files)
        weights = InitialWeights(profile, given)
        self._saliency = SaliencyStages(profile, given, images, weights)
        self._attention = AttentionStages(profile, self.released, images, weights, self._saliency)
        self._refinement = RefinementStages(profile, images, self._attention)
        self._labels = LabelStages(
            profile, self.released, images, self._saliency, self._attention, self._refinement
        )
        self._segmentation = SegmentationStages(profile, images, weights, self._labels)

    # Stages

    def attention(self, row: Row, seed: int) -> Stage:
        """Train the row's attention network; NotGiven where released files leave it out."""
        return self._attention.network(row, seed)

    def scored_attention(self, row: Row, seed: int) -> Stage:
        """Train it; NotGiven where it looks at saliency maps and there are none of val to score."""
        self._saliency.seen(row, saliency_val="val")
        return self.attention(row, seed)

    def maps(self, row: Row, split: str, seed: int) -> Stage:
        """Read the attention maps of one split."""
        return self._attention.maps(row, split, seed)

    def map_score(self, row: Row, seed: int) -> Stage:
        """Score the maps of val at every threshold."""
        maps = self.maps(row, "val", seed)
        return score_of_maps(self._images, maps, f"map score {row.id} val seed {seed}")

    def refined_score(self, row: Row, seed: int) -> Stage:
        """Score the refined maps of val."""
        label = f"refined map score {row.id} val seed {seed}"
        maps = self._refinement.maps(row, "val", seed)
        return score_of_maps(self._images, maps, label, background=True)

    def labels(self, row: Row, split: str, seed: int) -> Stage:
        """Make the proxy labels of one split; the true masks where the row says so."""
        return self._labels.of(row, split, seed)

    def label_score(self, row: Row, split: str, seed: int, scored: str | None = None) -> Stage:
        """Score the proxy labels of one split, or of the list ``scored`` of its images alone."""
        return score_of_labels(
            self._images,
            self.labels(row, split, seed),
            scored or self.split(split),
            "labels",
            f"score of labels {row.id} {split} seed {seed}",
        )

    def segmentation(self, row: Row, seed: int) -> Stage:
        """Train the row's segmentation network."""
        return self._segmentation.training(row, seed)

    def prediction(self, row: Row, column: Column, seed: int) -> Stage:
        """Segment the column's split."""
        return self._segmentation.prediction(row, column, seed)

    def score(self, row: Row, column: Column, seed: int) -> Stage:
        """Score what the column asks for."""
        assert column.evaluation is not None
        scored = self._images.scored_list(column.evaluation.split)
        if not segments(column):
            wanted = column.evaluation.split
            split = "train" if wanted in ("train", "train_aug") else wanted
            return self.label_score(as_scored(row, column), split, seed, scored)
        folder = "labels_crf" if column.evaluation.crf else "labels"
        label = f"score {row.id} {column.id} seed {seed}"
        made = self.prediction(row, column, seed)
        return score_of_labels(self._images, made, scored, folder, label)

    # The images

    @property
    def voc(self) -> VocDataset | None:
        """The user's images; None where they are generated."""
        return self._images.voc

    def described(self) -> dict[str, str]:
        """Return what tells one set of images from another."""
        return self._images.described()

    def image_counts(self, scored: Iterable[str]) -> dict[str, int]:
        """Return how many images there are to train on and of ``scored``, by the data's own names.

        ``scored`` are the splits of columns.
        """
        return self._images.counts(scored)

    def split(self, split: str) -> str:
        """Return the data set's name of a split."""
        return self._images.split(split)

    def lacks(self, split: str) -> bool:
        """Tell whether the data have no list ``train`` of their own, and a column asks for it."""
        return self._images.lacks(split)

    # What a row comes to in this profile

    def attention_weights(self, row: Row) -> str:
        """Return the name of the initial weights of the row's attention network."""
        return self._attention.initial_weights(row)

    def saliency_source(self) -> SaliencySource:
        """Return the plugin that the profile's saliency comes from, with its options."""
        return self._saliency.source()

    def label_recipe(self, row: Row) -> tuple[str, dict[str, float]]:
        """Return the row's recipe and its constants, or what the profile puts in its place."""
        return self._labels.recipe(row)

    def family(self, row: Row) -> Segmentation:
        """Return the row's segmentation family at this scale."""
        return self._segmentation.family(row)

    def network_path(self, row: Row) -> Path:
        """Return the config file of the row's segmentation network."""
        return self._segmentation.network_path(row)
