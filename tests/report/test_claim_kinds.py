"""Claims of every kind on made-up runs whose scores and intervals are worked out by hand.

All images of a run are alike, so that every bootstrap draw over them gives the same score: with
one seed an effect's interval has no width. A class that is hit in h of 100 pixels scores h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.report.build import build_report
from benchmark.report.card import ProtocolCard, published_card
from benchmark.report.document import report_to_json
from benchmark.report.markdown import claim_cells, render_markdown
from benchmark.report.model import ClaimResult, Measurement, TableReport
from benchmark.report.server import ServerScore
from benchmark.tables import Table, load_table

Hits = Mapping[str, Sequence[tuple[int, int]]]
"""Row -> hits of cat and of dog, one pair a seed."""
COLUMNS = ("cat", "dog", "mean")
ONE_SEED = (
    "1 seed: the interval covers the images, not the training; judged with a margin of 1 point"
)


def column(name: str) -> dict[str, Any]:
    evaluation = {"stage": "segmentation", "split": "val"}
    if name != "mean":
        evaluation["of_class"] = name
    return {"id": name, "title": f"IoU {name}", "evaluation": evaluation}


def table(claim: Mapping[str, Any], published: Mapping[str, Mapping[str, float]] = {}) -> Table:
    """Return rows a to d of ours and e, which is cited, with one claim."""
    ours = {"method": "m", "recipe": "r", "supervision": "I", "segmentation": "s"}
    rows = [
        {"id": name, "title": name.upper(), "published": published.get(name, {}), **ours}
        for name in "abcd"
    ]
    rows.append({"id": "e", "title": "E", "published": published.get("e", {})})
    return Table.model_validate(
        {
            "id": "small",
            "title": "Small",
            "caption": "Small",
            "paper": {"title": "P", "venue": "V", "reference": "R", "table": "T"},
            "protocol": {"dataset": "D", "train_split": "t", "classes": ["cat", "dog"]},
            "columns": [column(name) for name in COLUMNS],
            "rows": rows,
            "claims": [{"id": "claim", "text": "It is so.", **claim}],
        }
    )


def counts(cat: int, dog: int, present: Sequence[str] = ("cat", "dog")) -> np.ndarray:
    """Return 6 images: the background all hit, of each class 100 pixels, the missed ones void."""
    image = np.zeros((3, 4), np.int64)
    image[0, 0] = 500
    for index, (name, hits) in enumerate((("cat", cat), ("dog", dog)), start=1):
        if name in present:
            image[index, index], image[index, 3] = hits, 100 - hits
    return np.stack([image] * 6)


def report(
    small: Table, hits: Hits, present: Sequence[str] = ("cat", "dog"), **changes: Any
) -> TableReport:
    runs = {}
    for row, measured in small.measurable():
        if row.id not in hits:
            continue
        card: ProtocolCard = replace(published_card(small, row, measured), image_labels="csv")
        runs[row.id, measured.id] = Measurement(
            card=replace(card, **changes),
            seeds=tuple(range(len(hits[row.id]))),
            counts=tuple(counts(*pair, present) for pair in hits[row.id]),
            image_ids=tuple("uvwxyz"),
        )
    return build_report(small, "paper", runs)


def judged(
    claim: Mapping[str, Any],
    hits: Hits,
    published: Mapping[str, Mapping[str, float]] = {},
    **changes: Any,
) -> ClaimResult:
    (result,) = report(table(claim, published), hits, **changes).claims
    return result


EVERY = {"kind": "every", "better": "a", "worse": "b", "columns": ["cat", "dog"]}
PEAK = {"kind": "peak", "rows": ["a", "b", "c", "d"], "best": "b", "column": "cat"}
UNSTABLE = {"kind": "unstable", "row": "a", "than": ["b"], "column": "cat"}


def test_a_cell_of_one_class_has_that_classs_score() -> None:
    found = report(table(EVERY), {"a": [(60, 50)]})
    values = {name: found.by_place["a", name].values for name in COLUMNS}
    assert values == {
        "cat": pytest.approx((60.0,)),
        "dog": pytest.approx((50.0,)),
        "mean": pytest.approx((70.0,)),  # (100 + 60 + 50) / 3
    }
    assert found.by_place["a", "cat"].class_scores == ()
    assert found.by_place["a", "mean"].class_scores == pytest.approx((100, 60, 50))


def test_the_background_can_be_left_out_of_a_mean() -> None:
    small = table(EVERY)
    last = small.columns[-1]
    assert last.evaluation is not None
    foreground = last.evaluation.model_copy(update={"mean_over": "foreground"})
    column_of_mean = last.model_copy(update={"evaluation": foreground})
    changed = small.model_copy(update={"columns": (*small.columns[:-1], column_of_mean)})
    cell = report(changed, {"a": [(60, 50)]}).by_place["a", "mean"]
    assert cell.values == pytest.approx((55.0,))  # (60 + 50) / 2
    assert cell.class_scores == pytest.approx((100, 60, 50))


def test_the_cells_of_classes_are_not_listed_class_by_class_once_more() -> None:
    text = render_markdown(report(table(EVERY), {"a": [(60, 50)], "b": [(50, 45)]}))
    assert "| class | A | B |" in text
    assert "| **mean** | 70.0 | 65.0 |" in text


def test_classes_go_down_where_there_is_a_column_for_each() -> None:
    published = {"a": {"cat": 61.5, "mean": 70.2}}
    text = render_markdown(report(table(EVERY, published), {"a": [(60, 50)]}))
    layout = text.split("## Scores")[1].split("## Verdicts")[0].strip().splitlines()
    assert layout[0] == "|  | A | ours | B | ours | C | ours | D | ours | E | ours |"
    assert layout[2].startswith("| IoU cat | 61.5 | 60.0 | – | – |")
    assert layout[3].startswith("| IoU dog | – | 50.0 | – | – |")
    assert layout[4].startswith("| IoU mean | 70.2 | 70.0 | – | – |")


@pytest.mark.parametrize(
    ("other", "effect", "verdict", "smallest"),
    [
        ((50, 45), 5, "holds", "dog"),
        ((50, 20), 10, "holds", "cat"),
        ((50, 50), 0, "undecided", "dog"),  # a tie
        ((50, 55), -5, "fails", "dog"),
        ((70, 55), -10, "fails", "cat"),
    ],
)
def test_every(other: tuple[int, int], effect: int, verdict: str, smallest: str) -> None:
    result = judged(EVERY, {"a": [(60, 50)], "b": [other]})
    assert result.effect is not None
    assert (result.effect.low, result.effect.high) == pytest.approx((effect, effect))
    assert result.effect.value == pytest.approx(effect)
    assert result.verdict == verdict
    assert result.note.endswith(f"smallest in IoU {smallest}; {ONE_SEED}")


def test_every_over_seeds_takes_the_smallest_of_each_draw() -> None:
    # cat 10 above, 10 below and 20 above in three seeds; dog always 30 above
    hits = {"a": [(60, 60), (40, 60), (70, 60)], "b": [(50, 30), (50, 30), (50, 30)]}
    result = judged(EVERY, hits)
    assert result.effect is not None
    assert result.effect.value == pytest.approx(20 / 3)
    assert result.effect.low == pytest.approx(-10)  # the second seed three times: 1 of 27 draws
    assert result.effect.high == pytest.approx(20)
    assert (result.verdict, result.note) == (
        "undecided",
        "the interval holds 0; smallest in IoU cat",
    )


def test_every_against_a_cited_row_needs_the_papers_protocol() -> None:
    claim, published = {**EVERY, "worse": "e"}, {"e": {"cat": 50, "dog": 45}}
    comparable = judged(claim, {"a": [(60, 50)]}, published)
    assert comparable.effect is not None
    assert (comparable.verdict, comparable.effect.value) == ("holds", pytest.approx(5))
    other = judged(claim, {"a": [(60, 50)]}, published, dataset="other")
    assert (other.verdict, other.effect) == ("undecided", None)
    assert other.note.startswith("compares with cited numbers")
    turned = judged({**EVERY, "better": "e", "worse": "a"}, {"a": [(60, 50)]}, published)
    assert (turned.verdict, turned.note) == (
        "undecided",
        "E: a cited row, nothing of ours to test",
    )


def test_every_needs_all_its_cells() -> None:
    lacking = judged(EVERY, {"a": [(60, 50)]})
    assert (lacking.verdict, lacking.effect, lacking.note) == ("undecided", None, "B: not measured")
    unprinted = judged({**EVERY, "worse": "e"}, {"a": [(60, 50)]}, {"e": {"cat": 50}})
    assert (unprinted.verdict, unprinted.note) == ("undecided", "e/dog: the paper prints no value")


def test_a_class_that_no_image_holds_is_missing_and_breaks_nothing() -> None:
    found = report(table(EVERY), {"a": [(60, 0)], "b": [(50, 0)]}, present=("cat",))
    cell = found.by_place["a", "dog"]
    assert (cell.verdict, cell.values, cell.note) == ("missing", (), "the data set has no dog")
    assert found.by_place["a", "cat"].values == pytest.approx((60.0,))
    assert found.claims[0].verdict == "undecided"
    assert found.claims[0].note == "A: the data set has no dog"
    assert "the data set has no dog" in render_markdown(found)


@pytest.mark.parametrize(
    ("scores", "effect", "verdict", "note"),
    [
        ((40, 60, 50, 45), 10, "holds", ""),
        ((50, 60, 40, 50), 10, "holds", "our means do not fall after it steadily"),
        ((60, 60, 50, 45), 0, "undecided", "the interval holds 0"),  # a tie for the best
        ((40, 60, 65, 45), -5, "fails", "the order is another one"),
    ],
)
def test_peak(scores: Sequence[int], effect: int, verdict: str, note: str) -> None:
    result = judged(PEAK, {row: [(cat, 0)] for row, cat in zip("abcd", scores, strict=True)})
    assert result.effect is not None
    assert result.effect.value == pytest.approx(effect)
    assert (result.effect.low, result.effect.high) == pytest.approx((effect, effect))
    assert result.verdict == verdict
    assert result.note.startswith(note)
    assert result.note.endswith(ONE_SEED)


def test_a_peak_may_have_cited_rows_beside_it() -> None:
    claim = {**PEAK, "rows": ["a", "b", "e"]}
    result = judged(claim, {"a": [(40, 0)], "b": [(60, 0)]}, {"e": {"cat": 57}})
    assert result.effect is not None
    assert (result.verdict, result.effect.value) == ("holds", pytest.approx(3))


def cats(*hits: int) -> list[tuple[int, int]]:
    return [(cat, 50) for cat in hits]


@pytest.mark.parametrize(
    ("row", "other", "ratio", "verdict", "note"),
    [
        # sample variances 100, 1 and 4; F(2, 2) at 97.5 % is 39
        ((40, 50, 60), (50, 51, 52), 100, "holds", ""),
        ((50, 51, 52), (40, 50, 60), 0.01, "fails", "it varies less"),
        ((50, 52, 54), (50, 51, 52), 4, "undecided", "the interval holds 1"),
        ((50, 51, 52), (60, 61, 62), 1, "undecided", "the interval holds 1"),  # a tie
    ],
)
def test_unstable(
    row: Sequence[int], other: Sequence[int], ratio: float, verdict: str, note: str
) -> None:
    result = judged(UNSTABLE, {"a": cats(*row), "b": cats(*other)})
    assert result.effect is not None
    assert result.effect.value == pytest.approx(ratio)
    assert result.effect.low == pytest.approx(ratio / 39)
    assert result.effect.high == pytest.approx(ratio * 39)
    assert (result.verdict, result.note) == (verdict, note)


def test_unstable_needs_three_seeds_and_a_spread() -> None:
    two = judged(UNSTABLE, {"a": cats(40, 60), "b": cats(50, 51, 52)})
    assert (two.verdict, two.effect, two.note) == ("undecided", None, "A: a spread needs 3 seeds")
    one = judged(UNSTABLE, {"a": cats(40, 50, 60), "b": cats(50)})
    assert (one.verdict, one.note) == ("undecided", "B: a spread needs 3 seeds")
    still = judged(UNSTABLE, {"a": cats(40, 50, 60), "b": cats(50, 50, 50)})
    assert (still.verdict, still.effect) == ("undecided", None)
    assert still.note == "a row that does not vary at all has no ratio of variances"
    cited = judged(
        {**UNSTABLE, "than": ["e"]}, {"a": cats(40, 50, 60)}, published={"e": {"cat": 50}}
    )
    assert cited.note == "E: a cited row, no spread of ours to compare"


def test_unstable_must_hold_against_every_row() -> None:
    hits = {"a": cats(40, 50, 60), "b": cats(50, 51, 52), "c": cats(50, 52, 54)}
    result = judged({**UNSTABLE, "than": ["b", "c"]}, hits)
    assert result.effect is not None
    assert result.effect.value == pytest.approx(25)
    assert result.verdict == "undecided"  # 25 / 39 is below 1


def test_a_ratio_is_shown_as_one() -> None:
    found = report(table(UNSTABLE), {"a": cats(40, 50, 60), "b": cats(50, 51, 52)})
    cells = claim_cells(found.claims[0])
    assert cells[1:5] == ("–", "× 100.0", "× 2.6 to × 3900.0", "holds")
    assert "×: a ratio of the variances" in render_markdown(found)
    other = report(table(PEAK), {row: [(50, 50)] for row in "abcd"})
    assert "×" not in render_markdown(other)


@pytest.mark.parametrize(
    ("claim", "published", "effect"),
    [
        (EVERY, {"a": {"cat": 9, "dog": 5}, "b": {"cat": 3, "dog": 4}}, 1),
        (EVERY, {"a": {"cat": 9}, "b": {"cat": 3, "dog": 4}}, None),
        (PEAK, {"a": {"cat": 1}, "b": {"cat": 9}, "c": {"cat": 7}, "d": {"cat": 8}}, 1),
        ({**EVERY, "printed": 4.7}, {}, 4.7),
        (UNSTABLE, {"a": {"cat": 1}, "b": {"cat": 9}}, None),
    ],
)
def test_the_papers_effect_is_of_the_same_kind(
    claim: Mapping[str, Any], published: Mapping[str, Mapping[str, float]], effect: float | None
) -> None:
    assert judged(claim, {}, published).published_effect == effect


def test_what_the_papers_numbers_contradict_is_said_whatever_comes_of_it() -> None:
    claim = {**EVERY, "contradicted": "dog is lower."}
    said = "the paper's own numbers: dog is lower."
    assert judged(claim, {}).note == f"A: not measured; {said}"
    found = report(table(claim), {"a": [(60, 50)], "b": [(50, 45)]})
    assert found.claims[0].note == f"smallest in IoU dog; {ONE_SEED}; {said}"
    assert report_to_json(found)["claims"][0]["contradicted"] == "dog is lower."


def test_a_stale_number_decides_nothing() -> None:
    small = table(UNSTABLE)
    runs = {}
    for row, measured in small.measurable():
        card = replace(published_card(small, row, measured), image_labels="csv")
        runs[row.id, measured.id] = Measurement(
            card=card,
            seeds=(0, 1, 2),
            counts=tuple(counts(cat, 50) for cat in (40, 50, 60)),
            image_ids=tuple("uvwxyz"),
            stale=row.id == "b",
        )
    (result,) = build_report(small, "paper", runs).claims
    assert (result.verdict, result.note) == (
        "undecided",
        "a number behind it is stale: run again",
    )


def test_a_servers_score_decides_no_claim() -> None:
    place = ("seenet_vgg16", "test_crf")
    scores = {place: ServerScore(60.2, "the server's page")}
    found = build_report(load_table("seenet_table2"), "paper", {}, server_scores=scores)
    (result,) = (one for one in found.claims if one.claim.id == "best_with_vgg_test")
    assert result.verdict == "undecided"
    assert result.note.endswith("(Ours, VGG16): a server's score, without images to draw from")
