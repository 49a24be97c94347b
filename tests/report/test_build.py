"""From measurements to cells and claims."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.report.build import build_report
from benchmark.report.card import ProtocolCard
from benchmark.report.model import Measurement
from benchmark.report.server import ServerScore
from benchmark.tables import Table

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Change = Callable[[ProtocolCard], ProtocolCard]
SEENET = ("seenet", "val")


def with_published(table: Table, values: Mapping[str, float]) -> Table:
    """Return Table 1 with other published values, to get every verdict from the same runs."""
    rows = [
        row.model_copy(update={"published": {"val": values[row.id]}}) if row.id in values else row
        for row in table.rows
    ]
    return table.model_copy(update={"rows": tuple(rows)})


def miou_by_sets(counts: np.ndarray) -> float:
    """Return mIoU in points, in a plain loop over the classes."""
    total = counts.sum(axis=0)
    scores = []
    for k in range(len(total)):
        union = total[k].sum() + total[:, k].sum() - total[k, k]
        if union:
            scores.append(total[k, k] / union)
    return 100 * statistics.fmean(scores)


def test_a_comparable_cell_is_judged_and_a_differing_one_only_shown(
    table1: Table, measure: Measure, on_scenes: Change
) -> None:
    cell = build_report(table1, "paper", measure(table1)).by_place[SEENET]
    counts = measure(table1)[SEENET].counts
    assert cell.values == pytest.approx([miou_by_sets(one) for one in counts])
    assert cell.mean == pytest.approx(statistics.fmean(cell.values))
    assert cell.sd == pytest.approx(statistics.stdev(cell.values))
    assert cell.interval is not None
    assert cell.difference == pytest.approx(statistics.fmean(cell.values) - 57.3)
    assert (cell.verdict, cell.differing) == ("differs", ())
    assert (cell.images, len(cell.class_scores)) == (40, 21)

    shown = build_report(table1, "scenes", measure(table1, change=on_scenes)).by_place[SEENET]
    assert (shown.verdict, shown.differing) == ("not-comparable", ("dataset", "profile"))
    assert shown.difference is None
    assert (shown.values, shown.interval) == (cell.values, cell.interval)
    assert shown.note == ""


@pytest.mark.parametrize(
    ("seeds", "offset", "verdict"),
    [
        (3, 0.0, "exact"),
        (3, 0.3, "within-noise"),
        (3, 30.0, "differs"),
        (3, -30.0, "better"),
        (1, 0.8, "within-margin"),
        (1, 3.0, "differs"),
        (1, -3.0, "better"),
    ],
)
def test_verdicts_of_comparable_cells(
    seeds: int, offset: float, verdict: str, table1: Table, measure: Measure
) -> None:
    runs = measure(table1, seeds)
    mean = build_report(table1, "paper", runs).by_place[SEENET].mean
    assert mean is not None
    table = with_published(table1, {"seenet": round(mean, 1) + offset})
    cell = build_report(table, "paper", runs).by_place[SEENET]
    assert cell.verdict == verdict
    assert ("no noise estimate" in cell.note) == (seeds < 3)


def test_stale_failed_missing_and_cited_cells(
    table1: Table, table2: Table, measure: Measure
) -> None:
    runs = measure(table1)
    runs[SEENET] = replace(runs[SEENET], stale=True)
    failed = "attention: /home/me/voc/JPEGImages/x.jpg is corrupt\nsecond line"
    runs["acol", "val"] = Measurement(card=runs["acol", "val"].card, error=failed)
    del runs["seenet_no_flip", "val"]
    absent = {("seenet_no_flip", "val"): "profile scenes has no largefov_vgg16"}
    report = build_report(table1, "paper", runs, absent=absent)
    stale, acol, no_flip = (
        report.by_place[row, "val"] for row in ("seenet", "acol", "seenet_no_flip")
    )
    assert stale.verdict == "stale"
    assert stale.values
    assert (acol.verdict, acol.note) == (
        "missing",
        "failed: attention: x.jpg is corrupt second line",
    )
    assert (no_flip.verdict, no_flip.note) == ("missing", "profile scenes has no largefov_vgg16")
    assert report.verdict_counts() == {"missing": 2, "stale": 1}
    above_acol, above_no_flip = report.claims
    assert (above_acol.verdict, above_acol.effect) == ("undecided", None)
    assert above_acol.note == "1 ACoL: failed: attention: x.jpg is corrupt second line"
    assert above_no_flip.verdict == "undecided"

    cited = build_report(table2, "paper", {}).by_place["gain", "val_crf"]
    assert (cited.verdict, cited.published, cited.values) == ("cited", 55.3, ())
    assert ("gain", "val") not in build_report(table2, "paper", {}).by_place


def test_claims_are_tested_even_where_cells_are_not_comparable(
    table1: Table, measure: Measure, on_scenes: Change
) -> None:
    report = build_report(table1, "scenes", measure(table1, change=on_scenes))
    assert {cell.verdict for cell in report.cells} == {"not-comparable"}
    above_acol, above_no_flip = report.claims
    means = {cell.row.id: cell.mean or 0.0 for cell in report.cells}
    assert above_acol.effect is not None
    assert above_acol.effect.value == pytest.approx(means["seenet"] - means["acol"])
    assert above_acol.effect.low < above_acol.effect.value < above_acol.effect.high
    assert [above_acol.verdict, above_no_flip.verdict] == ["holds", "holds"]
    assert above_acol.published_effect == pytest.approx(1.2)
    assert above_acol.note == ""


def test_equal_rows_fail_a_gain_and_worse_rows_too(table1: Table, measure: Measure) -> None:
    runs = measure(table1, rates=(0.7, 0.8, 0.7))
    runs["acol", "val"] = replace(runs[SEENET], card=runs["acol", "val"].card)
    equal, worse = build_report(table1, "paper", runs).claims
    assert (equal.verdict, equal.note) == ("fails", "any gain is smaller than 1.2")
    assert (worse.verdict, worse.note) == ("fails", "the order is the other way round")


def test_one_seed_says_what_its_interval_leaves_out(table1: Table, measure: Measure) -> None:
    notes = [claim.note for claim in build_report(table1, "paper", measure(table1, 1)).claims]
    margin = "judged with a margin of 1 point"
    assert notes == [f"1 seed: the interval covers the images, not the training; {margin}"] * 2
    notes = [claim.note for claim in build_report(table1, "paper", measure(table1, 2)).claims]
    assert notes == [f"2 seeds only; {margin}"] * 2


def test_claims_need_the_same_images_and_fresh_numbers(table1: Table, measure: Measure) -> None:
    runs = measure(table1)
    others = tuple(f"other_{i}" for i in range(40))
    runs["acol", "val"] = replace(runs["acol", "val"], image_ids=others)
    runs["seenet_no_flip", "val"] = replace(runs["seenet_no_flip", "val"], stale=True)
    images, stale = build_report(table1, "paper", runs).claims
    assert (images.verdict, images.effect) == ("undecided", None)
    assert images.note == "measured on other images than 1 ACoL"
    assert stale.verdict == "undecided"
    assert stale.effect is not None
    assert stale.note == "a number behind it is stale: run again"


def test_a_claim_against_cited_numbers_needs_the_papers_protocol(
    table2: Table, measure: Measure, on_scenes: Change
) -> None:
    rates = (0.98, 0.99, 0.98, 0.99)
    comparable = build_report(table2, "paper", measure(table2, rates=rates))
    verdicts = {result.claim.id: result for result in comparable.claims}
    assert verdicts["above_dcsp_vgg16"].verdict == "holds"
    assert verdicts["best_with_vgg"].verdict == "holds"
    effect = verdicts["best_with_vgg"].effect
    mean = comparable.by_place["seenet_vgg16", "val_crf"].mean
    assert effect is not None
    assert effect.value == pytest.approx((mean or 0) - 58.6)  # DCSP is the best of the others
    assert verdicts["crf_gain_vgg16"].effect is not None

    scenes = build_report(table2, "scenes", measure(table2, change=on_scenes, rates=rates))
    verdicts = {result.claim.id: result for result in scenes.claims}
    assert verdicts["above_dcsp_vgg16"].verdict == "undecided"
    assert verdicts["above_dcsp_vgg16"].note.endswith("not the paper's: data set, profile")
    assert verdicts["above_dcsp_vgg16"].published_effect == pytest.approx(2.5)
    assert verdicts["crf_gain_vgg16"].effect is not None  # ours against ours


def test_a_server_score_takes_the_card_of_its_row(
    table2: Table, measure: Measure, on_scenes: Change
) -> None:
    place = ("seenet_vgg16", "test_crf")
    empty = build_report(table2, "paper", measure(table2)).by_place[place]
    assert (empty.verdict, empty.note) == ("missing", "waits for a score of the evaluation server")
    scores = {place: ServerScore(60.2, "the server's page")}
    entered = build_report(table2, "paper", measure(table2), server_scores=scores).by_place[place]
    assert (entered.verdict, entered.values) == ("within-margin", (60.2,))
    assert entered.note.startswith("1 seed: no noise estimate")
    assert entered.note.endswith("server: the server's page")
    other = measure(table2, change=on_scenes)
    scenes = build_report(table2, "scenes", other, server_scores=scores).by_place[place]
    assert (scenes.verdict, scenes.differing) == ("not-comparable", ("dataset", "profile"))
    behind = {name: replace(one, stale=True) for name, one in measure(table2).items()}
    old = build_report(table2, "paper", behind, server_scores=scores).by_place[place]
    assert old.verdict == "stale" != entered.verdict
    alone = build_report(table2, "paper", {}, server_scores=scores).by_place[place]
    assert alone.verdict == "not-comparable"


def test_a_class_that_is_nowhere_has_no_iou(table1: Table, measure: Measure) -> None:
    runs = measure(table1)
    counts = [one.copy() for one in runs[SEENET].counts]
    for one in counts:
        one[:, 5] = 0
        one[:, :, 5] = 0
    runs[SEENET] = replace(runs[SEENET], counts=tuple(counts))
    cell = build_report(table1, "paper", runs).by_place[SEENET]
    assert [k for k, value in enumerate(cell.class_scores) if value is None] == [5]
    assert cell.values == pytest.approx([miou_by_sets(one) for one in counts])


def test_records_stand_once_and_by_time(table1: Table, measure: Measure) -> None:
    report = build_report(table1, "paper", measure(table1))
    assert [record.stage for record in report.records] == ["scenes", *["attention"] * 3]
    assert (report.date, report.seeds) == ("2026-03-04", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (0, 1)}, "2 seeds but counts of 3 runs"),
        ({"seeds": (), "counts": ()}, "at least one seed"),
        ({"image_ids": ("a",)}, "counts are"),
    ],
)
def test_a_measurement_that_does_not_fit_together_is_refused(
    change: dict[str, Any], message: str, table1: Table, measure: Measure
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(measure(table1)[SEENET], **change)


def test_a_cell_that_nobody_can_measure_is_refused(table2: Table, measure: Measure) -> None:
    one = measure(table2)["seenet_vgg16", "val"]
    with pytest.raises(ValueError, match="no measurable cell"):
        build_report(table2, "paper", {("seenet_vgg16", "test_crf"): one})


def test_compared_cells_say_how_many_seeds_would_settle_them(
    table1: Table, measure: Measure, on_scenes: Change
) -> None:
    runs = measure(table1)
    cell = build_report(table1, "paper", runs).by_place[SEENET]
    assert cell.mean is not None
    assert cell.sd is not None
    assert cell.more_seeds == 0  # far below the published 57.3
    at_4_sd = with_published(table1, {"seenet": cell.mean + 4 * cell.sd})
    cell = build_report(at_4_sd, "paper", runs).by_place[SEENET]
    assert (cell.verdict, cell.more_seeds) == ("within-noise", 1)  # 4.97 sd with 3, 3.56 with 4
    assert cell.note == "open: 1 more seed would settle it, if mean and sd stay"

    single = build_report(table1, "paper", measure(table1, 1)).by_place[SEENET]
    assert single.more_seeds == 2
    assert single.note.endswith("margin of 1 point; 2 more seeds give an interval")
    not_compared = build_report(table1, "scenes", measure(table1, change=on_scenes))
    assert {cell.more_seeds for cell in not_compared.cells} == {None}
    stale = runs | {SEENET: replace(runs[SEENET], stale=True)}
    assert build_report(table1, "paper", stale).by_place[SEENET].more_seeds is None


def equal_images(rates: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return counts whose IoU is the seed's rate in every image, so that images add no noise."""
    counts = np.zeros((len(rates), 40, 21, 22), np.int64)
    for of_seed, rate in zip(counts, rates, strict=True):
        of_seed[:, 0, 0], of_seed[:, 0, 21] = rate, 100 - rate
    return tuple(counts)


@pytest.mark.parametrize(
    ("seenet", "more", "says"),
    [
        # effects 0, 30, -20: mean 3.33, variance 633.3; (3.33 / 1.95996)^2 = 2.892; 218.97 seeds
        ((40, 70, 40), 0, "not even 100 seeds would decide it"),
        # effects 10, 40, -15: mean 11.67, variance 758.3; 758.3 / 35.43 = 21.4, so 22 seeds
        ((50, 80, 45), 19, "about 19 more seeds would decide it, if mean and sd stay"),
    ],
)
def test_an_undecided_claim_says_how_many_seeds_would_decide_it(
    seenet: tuple[int, ...], more: int, says: str, table1: Table, measure: Measure
) -> None:
    runs = measure(table1)
    for row, rates in {"seenet": seenet, "seenet_no_flip": (40, 40, 60)}.items():
        runs[row, "val"] = replace(runs[row, "val"], counts=equal_images(rates))
    _, above_no_flip = build_report(table1, "paper", runs).claims
    assert above_no_flip.verdict == "undecided"
    assert above_no_flip.more_seeds == more
    assert above_no_flip.note == f"the interval holds 0; {says}"


def test_claims_that_are_decided_or_have_few_seeds_name_no_number(
    table1: Table, measure: Measure
) -> None:
    runs = measure(table1)
    assert [claim.more_seeds for claim in build_report(table1, "paper", runs).claims] == [None] * 2
    two = measure(table1, 2)
    two[SEENET] = replace(two[SEENET], counts=equal_images((30, 70)))
    two["acol", "val"] = replace(two["acol", "val"], counts=equal_images((40, 40)))
    undecided, _ = build_report(table1, "paper", two).claims
    assert (undecided.verdict, undecided.more_seeds) == ("undecided", None)
    assert undecided.note == ("the interval holds 0; 2 seeds only; judged with a margin of 1 point")
