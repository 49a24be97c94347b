"""What the stages keep on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.stages import STAGES, stage_summaries
from benchmark.stages.score import read_counts, write_counts


def test_counts_come_back_whatever_their_layout_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = [rng.integers(0, 9, (4, 3)).T for _ in range(2)]
    assert not counts[0].flags.c_contiguous
    write_counts(tmp_path / "counts.safetensors", ["one", "two"], counts)
    ids, found = read_counts(tmp_path / "counts.safetensors")
    assert ids == ("one", "two")
    for image in range(2):
        assert np.array_equal(found[image], counts[image])


def test_every_stage_says_what_it_does() -> None:
    assert list(stage_summaries()) == list(STAGES)
    assert all(len(summary) > 20 for summary in stage_summaries().values())
