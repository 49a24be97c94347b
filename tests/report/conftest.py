"""Measurements made up for tests of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.report.card import ProtocolCard, published_card
from benchmark.report.model import Measurement, ThresholdCurve
from benchmark.store import Record
from benchmark.tables import Row, Table, load_table

IMAGES = 40
OWN = ("acol", "seenet")


@pytest.fixture(scope="session")
def table1() -> Table:
    """Table 1 with its two gains."""
    return kept(load_table("seenet_table1"), claims=("above_acol", "above_no_flip"))


@pytest.fixture(scope="session")
def swept_table() -> Table:
    return load_table("eader_alpha")


@pytest.fixture(scope="session")
def table2() -> Table:
    """Table 2 with its paper's own rows measured, and the others cited."""
    claims = ("best_with_vgg", "above_dcsp_vgg16", "above_dcsp_resnet101")
    crf = ("above_adversarial_erasing", "crf_gain_vgg16", "crf_gain_resnet101")
    return kept(load_table("seenet_table2"), claims=claims + crf)


def kept(table: Table, claims: Sequence[str]) -> Table:
    """Return the printed columns of a table, other papers' rows cited, and some of the claims."""
    printed = {name for row in table.rows for name in (*row.text, *row.published)}
    rows = tuple(row if row.method in OWN else cited(row) for row in table.rows)
    changes = {
        "columns": tuple(column for column in table.columns if column.id in printed),
        "rows": rows,
        "claims": tuple(claim for claim in table.claims if claim.id in claims),
    }
    return table.model_copy(update=changes)


def cited(row: Row) -> Row:
    """Return what the paper prints of a row."""
    names = ("id", "title", "text", "published", "flags", "notes")
    return Row(**{name: getattr(row, name) for name in names})


def make_counts(seed: int, hit_rate: float, images: int = IMAGES, classes: int = 21) -> Any:
    """Return (N, C, C + 1) counts: a hit rate, its noise of the seed, the rest confused."""
    content, noise = np.random.default_rng(7), np.random.default_rng(seed)
    counts = np.zeros((images, classes, classes + 1), np.int64)
    for image in counts:
        present = [0, *content.choice(np.arange(1, classes), size=2, replace=False)]
        for k, name in enumerate(present):
            pixels = int(content.integers(500, 6000))
            hits = int(pixels * np.clip(hit_rate + noise.normal(0, 0.03), 0, 1))
            image[name, name] += hits
            image[name, present[k - 1]] += pixels - hits
    return counts


def make_record(stage: str, key: str, minute: int) -> Record:
    return Record(
        stage=stage,
        key=key,
        config={"seed": 0, "note": "a | b"},
        inputs={},
        input_digests={},
        outputs={},
        metrics={"miou": 0.5},
        started=f"2026-03-04T05:{minute:02d}:00+00:00",
        seconds=90.0,
        peak_memory_mb=800.0,
        environment={"python": "3.11", "device": "cpu"},
        code="c",
        git_revision=None,
    )


@pytest.fixture(scope="session")
def measure() -> Callable[..., dict[tuple[str, str], Measurement]]:
    """Return a function that measures all cells of a table, each row a little better."""

    def make(
        table: Table,
        seeds: int = 3,
        change: Callable[[ProtocolCard], ProtocolCard] = lambda card: card,
        rates: Sequence[float] = (0.60, 0.65, 0.70, 0.75),
    ) -> dict[tuple[str, str], Measurement]:
        shared = make_record("scenes", "5" * 64, 0)
        found = {}
        for (row, column), rate in zip(table.measurable(), rates, strict=False):
            place = f"{row.id}/{column.id}"
            found[row.id, column.id] = Measurement(
                card=change(replace(published_card(table, row, column), image_labels="csv")),
                seeds=tuple(range(seeds)),
                counts=tuple(make_counts(seed, rate) for seed in range(seeds)),
                image_ids=tuple(f"scene_{i}" for i in range(IMAGES)),
                keys=tuple(f"score-{place}-{seed}" for seed in range(seeds)),
                records=(make_record("attention", f"attention-{place}", 3), shared),
                diagnostics=dict.fromkeys(table.diagnostics, (0.5,) * seeds),
                threshold_curves=tuple(
                    ThresholdCurve(seed, (0.1, 0.2, 0.3), (0.4, 0.5 + seed / 100, 0.45), 0.3)
                    for seed in range(seeds)
                ),
            )
        return found

    return make


@pytest.fixture(scope="session")
def on_scenes() -> Callable[[ProtocolCard], ProtocolCard]:
    """Return the change that makes a paper's card one of the generated scenes."""
    return lambda card: replace(card, dataset="generated scenes", profile="scenes")
