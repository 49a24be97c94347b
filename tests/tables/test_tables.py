"""The table files against the published numbers, and bad table files."""

from __future__ import annotations

import csv
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError
from benchmark.plan import Plan, make_plan
from benchmark.profiles import Segmentation, load_profile
from benchmark.report.card import published_card
from benchmark.table_files import FOLDER
from benchmark.tables import Claim, GainClaim, Table, load_table, read_table, table_ids
from benchmark.user_files import UserFiles

PUBLISHED = FOLDER / "published.csv"
PRINTED = [table_id for table_id in table_ids() if load_table(table_id).published_id is not None]


@cache
def scenes_plan(table_id: str) -> Plan:
    return make_plan(load_table(table_id), load_profile("scenes"), UserFiles(), (0,))


@cache
def published_lines() -> list[dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def printed(table: Table) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Return (row title, column title) -> (value, standard deviation, flag) of one table file."""
    found = {}
    for row in table.rows:
        for column in table.columns:
            place = (row.title, column.title)
            if column.id in row.text:
                found[place] = (row.text[column.id], "", "")
            if column.id in row.published:
                value = f"{row.published[column.id]:.{column.decimals}f}"
                spread = row.deviation.get(column.id)
                beside = "" if spread is None else f"{spread:.{column.decimals}f}"
                found[place] = (value, beside, row.flags.get(column.id, ""))
    return found


@pytest.mark.parametrize("table_id", PRINTED)
def test_every_value_is_the_published_one_and_none_is_missing(table_id: str) -> None:
    table = load_table(table_id)
    expected = {
        (line["row"], line["column"]): (line["value"], line["std"], line["flag"] or "")
        for line in published_lines()
        if line["table"] == table.published_id
    }
    assert expected
    assert printed(table) == expected


def test_every_published_line_belongs_to_a_table() -> None:
    known = {load_table(table_id).published_id for table_id in PRINTED}
    assert len(known) == len(PRINTED)
    assert {line["table"] for line in published_lines()} == known | {"sgan_text"}
    assert len(published_lines()) == 659


def test_the_gains_in_sgans_text_are_claims_of_its_second_table() -> None:
    start = "gain full SGAN over Baseline: "
    lines = [line for line in published_lines() if line["table"] == "sgan_text"]
    gains = {line["row"].removeprefix(start): float(line["value"]) for line in lines}
    claims = {claim.id: claim for claim in load_table("sgan_table2").claims}
    assert gains == {"bus": 31.5, "train": 14.8, "person": 13.8}
    for name, points in gains.items():
        claim = claims[name]
        assert isinstance(claim, GainClaim)
        assert (claim.better, claim.worse, claim.column, claim.by) == (
            "sgan",
            "baseline",
            name,
            points,
        )


@pytest.mark.parametrize("table_id", ["seenet_table1", "seenet_table2"])
def test_source_and_protocol_are_the_papers(table_id: str) -> None:
    table = load_table(table_id)
    sources = {row["source"] for row in published_lines() if row["table"] == table.published_id}
    assert len(sources) == 1
    source = sources.pop()
    assert table.paper.reference in source
    assert table.paper.venue in source
    assert table.paper.table == f"Table {table_id[-1]}"


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_evaluates_vocs_classes_and_names_its_source(table_id: str) -> None:
    table = load_table(table_id)
    sources = {row["source"] for row in published_lines() if row["table"] == table.published_id}
    assert all(table.paper and table.paper.venue in source for source in sources)
    assert table.protocol.classes == CLASS_NAMES


def test_a_table_of_the_suites_own_says_that_no_paper_prints_it() -> None:
    assert load_table("methods").paper is None
    assert load_table("methods").source == "printed in no paper"
    assert load_table("seenet_table1").source == (
        "Table 1 of Self-Erasing Network for Integral Object Attention, NeurIPS 2018"
    )


def effect(claim: Claim, values: list[float]) -> float:
    """Return the smallest of the differences that the published values must bear out."""
    if claim.kind == "trend":
        return min(higher - lower for higher, lower in pairwise(values))
    if claim.kind == "every":
        return min(higher - lower for higher, lower in zip(values[::2], values[1::2], strict=True))
    return min(values[0] - other for other in values[1:])


ALL_CLAIMS = [
    (table_id, claim) for table_id in table_ids() for claim in load_table(table_id).claims
]
PRINTED_ELSEWHERE = {
    # claim -> the values it speaks of, as published.csv has them
    ("dsna_decoupling", "precision"): [("dsna_t1", 61.2), ("dsna_text", 48.3)],
    ("dsna_decoupling", "recall"): [("dsna_t1", 54.4), ("dsna_text", 49.7)],
    ("dsna_decoupling", "miou"): [("dsna_t1", 39.4), ("dsna_text", 31.5)],
    ("dsna_decoupling", "worse_in_all_measures"): [("dsna_t1", 54.4), ("dsna_text", 49.7)],
    ("seenet_table2", "scales_gain_vgg16"): [("seenet_t2", 59.9), ("seenet_t1", 57.3)],
}


@pytest.mark.parametrize(
    ("table_id", "claim"), ALL_CLAIMS, ids=lambda value: getattr(value, "id", value)
)
def test_published_values_bear_out_a_claim_or_it_says_that_they_do_not(
    table_id: str, claim: Claim
) -> None:
    table = load_table(table_id)
    values = [table.row(row).published.get(column) for row, column in claim.cells()]
    known = [value for value in values if value is not None]
    if claim.kind == "unstable":
        assert known == [63.7]  # the paper prints no number above 0.5, and no spread at all
        return
    if (table_id, claim.id) in PRINTED_ELSEWHERE:
        higher, lower = PRINTED_ELSEWHERE[table_id, claim.id]
        lines = {(line["table"], line["value"]) for line in published_lines()}
        assert {(name, f"{value}") for name, value in (higher, lower)} <= lines
        gain = higher[1] - lower[1]
        assert claim.printed == pytest.approx(gain)
        assert None in values
    else:
        assert claim.printed is None
        assert len(known) == len(values)
        gain = effect(claim, known)
    assert (gain > 0) == (claim.contradicted is None)
    if claim.kind == "gain":
        assert gain >= claim.by - 1e-9


def test_every_printed_table_has_a_claim() -> None:
    assert all(load_table(table_id).claims for table_id in PRINTED)


def test_what_the_papers_say_of_shape_holds_for_their_numbers() -> None:
    """Rise to the best row, fall after it; ties are SGAN's (63.5 twice)."""
    peaks = [(name, claim) for name, claim in ALL_CLAIMS if claim.kind == "peak"]
    assert len(peaks) == 4
    for table_id, claim in peaks:
        values = [load_table(table_id).row(row).published[claim.column] for row in claim.rows]
        best = claim.rows.index(claim.best)
        assert sorted(values[: best + 1]) == values[: best + 1]
        assert sorted(values[best:], reverse=True) == values[best:]


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_can_be_planned_on_the_scenes(table_id: str) -> None:
    """Methods, options, recipes with their constants and segmentation families all exist."""
    table = load_table(table_id)
    plan = scenes_plan(table.id)
    planned = {(cell.row.id, cell.column.id) for cell in plan.cells}
    assert planned | set(plan.absent) == {(row.id, column.id) for row, column in table.measurable()}
    assert not plan.absent or table_id == "fullsup"  # the scenes have two of its networks


def test_the_three_maps_of_one_network_are_one_training() -> None:
    plan = scenes_plan("dsna_table1")
    assert [stage.name for stage in plan.stages].count("attention") == 1
    assert [stage.name for stage in plan.stages].count("maps") == 3


CONFLICTS = list(csv.DictReader((FOLDER / "number_conflicts.csv").open(encoding="utf-8")))
NUMBER = re.compile(r"\[?\d+(?:\.\d+)?\]?")


def told(table: Table) -> list[str]:
    """Return all that a table's notes say."""
    notes = [*table.notes, *(note for column in table.columns for note in column.notes)]
    notes += [note for row in table.rows for note in (*row.notes, *row.flags.values())]
    return notes + [claim.contradicted for claim in table.claims if claim.contradicted]


@pytest.mark.parametrize("conflict", CONFLICTS, ids=lambda conflict: conflict["item"])
def test_a_conflict_of_numbers_stands_in_the_notes_of_its_tables(conflict: dict[str, str]) -> None:
    assert all(conflict.values())
    name = conflict["item"].split()[0]
    values = {
        number
        for side in ("first", "second")
        for number in NUMBER.findall(re.sub(r"\((.*?)\)", "", conflict[side]))
        if "." in number or "[" in number
    }
    for table_id in conflict["tables"].split():
        notes = told(load_table(table_id))
        if values:
            assert any(all(value in note for value in values) for note in notes), table_id
        else:
            assert any(name in note and "I+S" in note for note in notes), table_id


def test_conflicting_values_are_those_printed() -> None:
    """A number that a conflict takes from a table here stands in that table."""
    assert len(CONFLICTS) == 13
    assert load_table("sgan_table1").row("vgg_16_sec").published["test"] == 51.1
    assert load_table("dsna_table5").row("sec").published["test"] == 51.7
    assert load_table("sgan_table1").row("vgg_16_ficklenet").published["test"] == 61.8
    assert load_table("eader_sota").row("ficklenet_vgg16").published["test"] == 61.9
    assert load_table("eader_sota").row("mil_fcn").published == {"test": 25.7}
    assert load_table("dsna_table4").row("mil_fcn").published == {"val": 25.7}
    row = load_table("sgan_table2").row("sgan_sal_seed").published
    classes = [value for column, value in row.items() if column != "miou"]
    assert row["miou"] == 45.8
    assert sum(classes) / 21 == pytest.approx(45.92, abs=0.005)


PER_CLASS = ("sgan_table2", "dsna_table6", "eader_perclass")


@pytest.mark.parametrize("table_id", PER_CLASS)
def test_a_per_class_table_has_a_column_a_class_and_one_score_a_row(table_id: str) -> None:
    table = load_table(table_id)
    classes = [column.evaluation.of_class for column in table.columns if column.evaluation]
    assert classes == ["background", *CLASS_NAMES, None]
    plan = scenes_plan(table.id)
    for row in table.rows:
        scores = {cell.scores for cell in plan.cells if cell.row.id == row.id}
        assert len(scores) == (1 if row.ours else 0)


@pytest.mark.parametrize("table_id", PER_CLASS)
def test_printed_means_are_those_of_the_printed_classes(table_id: str) -> None:
    """Within rounding of one decimal, but for the one row that is told of."""
    for row in load_table(table_id).rows:
        classes = [value for column, value in row.published.items() if column != "miou"]
        assert len(classes) == 21
        if row.id != "sgan_sal_seed":
            assert sum(classes) / 21 == pytest.approx(row.published["miou"], abs=0.1)


SAME = [
    # the same experiment in several tables: (table, row, column)
    [
        ("seenet_table2", "seenet_vgg16", "val_crf"),
        ("sgan_table1", "vgg_16_seenet", "val"),
        ("eader_sota", "seenet_vgg16", "val"),
    ],
    [
        ("seenet_table2", "seenet_resnet101", "val_crf"),
        ("sgan_table1", "resnet_101_seenet", "val"),
        ("eader_erasing", "seenet", "val"),
        ("eader_sota", "seenet_resnet101", "val"),
    ],
    [("seenet_table1", "seenet", "val"), ("seenet_table2", "seenet_vgg16", "val_single")],
    [("seenet_table1", "acol", "val"), ("eader_erasing", "acol", "val")],
    [
        ("seenet_table2", "sec", "val_crf"),
        ("sgan_table1", "vgg_16_sec", "val"),
        ("dsna_table4", "sec", "val"),
        ("eader_sota", "sec", "val"),
    ],
    [
        ("seenet_table2", "gain", "val_crf"),
        ("sgan_table1", "vgg_16_gain", "val"),
        ("eader_erasing", "gain", "val"),
        ("eader_sota", "gain", "val"),
    ],
    [
        ("seenet_table2", "dcsp_vgg16", "val_crf"),
        ("sgan_table1", "vgg_16_dcsp", "val"),
        ("dsna_table4", "dcsp_vgg16", "val"),
        ("eader_sota", "dcsp_vgg16", "val"),
    ],
    [
        ("sgan_table1", "vgg_16_sgan", "val"),
        ("sgan_table2", "sgan", "bus"),
        ("sgan_table2", "sgan", "miou"),
        ("sgan_table3", "lambda_015", "val"),
    ],
    [("sgan_table2", "sgan_seed", "miou"), ("sgan_table3", "lambda_0", "val")],
    [
        ("dsna_table3", "merged", "val"),
        ("dsna_table4", "dsna_vgg16", "val"),
        ("dsna_table6", "vgg_16_val", "miou"),
        ("sgan_table1", "vgg_16_dsna", "val"),
    ],
    [("dsna_table3", "ae_step3", "val"), ("dsna_table4", "ae_w_o_psl", "val")],
    [("dsna_table1", "merged", "miou"), ("dsna_table2", "dr_05", "recall")],
    [("eader_alpha", "alpha_005", "miou"), ("methods", "eader", "recall")],
    [
        ("eader_psa", "psa_with_eader", "val"),
        ("eader_perclass", "eader", "cat"),
        ("eader_erasing", "eader", "val"),
        ("eader_sota", "eader_xception65", "val"),
    ],
    [("eader_psa", "psa", "val"), ("eader_perclass", "psa", "miou")],
    [("sgan_table1", "vgg_16_affinitynet", "val"), ("eader_sota", "psa_vgg16", "val")],
    [("sgan_table1", "vgg_16_dsrg", "val"), ("eader_sota", "dsrg_vgg16", "val")],
]


@cache
def score_keys(table_id: str) -> dict[tuple[str, str], str]:
    plan = scenes_plan(table_id)
    return {(cell.row.id, cell.column.id): cell.scores[0].key for cell in plan.cells}


@pytest.mark.parametrize("places", SAME, ids=lambda places: "/".join(places[0]))
def test_the_same_experiment_runs_once_for_all_tables(places: list[tuple[str, str, str]]) -> None:
    assert len({score_keys(table_id)[row, column] for table_id, row, column in places}) == 1


def test_different_settings_are_different_experiments() -> None:
    keys = score_keys("sgan_table3")
    assert len(set(keys.values())) == len(keys) == 8
    keys = score_keys("sgan_table2")
    assert len({keys[row.id, "miou"] for row in load_table("sgan_table2").rows}) == 4


def test_psas_stages_are_scored_one_after_the_other() -> None:
    table = load_table("eader_psa")
    plan = scenes_plan(table.id)
    cells = {(cell.row.id, cell.column.id): cell for cell in plan.cells}

    def above(column: str) -> list[str]:
        """Return the names of the stages on the way to a score of PSA's, the last first."""
        names, stage = [], cells["psa", column].scores[0]
        while stage:
            names.append(stage.name)
            inputs = stage.inputs
            stage = next(
                (inputs[n] for n in ("labels", "segmentation", "maps") if n in inputs), None
            )
        return names

    assert above("cam_miou") == ["score", "labels", "maps"]
    assert above("affinity_miou") == ["score", "labels", "refined_maps", "maps"]
    rest = ["labels", "refined_maps", "maps"]
    assert above("val") == ["score", "prediction", "segmentation", *rest]
    raw, walked, segmented = (cells["psa", name] for name in ("cam_recall", "affinity_miou", "val"))
    assert raw.scores == cells["psa", "cam_miou"].scores
    made = [cell.scores[0].inputs["labels"].config["recipe"] for cell in (raw, walked)]
    assert made == ["background_threshold", "argmax_background"]
    assert (raw.card.threshold, walked.card.threshold) == (0.2, "none")
    for cell in (raw, walked, segmented):
        stated = published_card(table, cell.row, cell.column)
        differing = {"dataset", "network", "initial_weights", "profile"}
        assert set(cell.card.differences(stated)) == differing


def test_a_row_is_tested_as_its_own_paper_tested_it() -> None:
    table = load_table("sgan_table1")
    plan = scenes_plan(table.id)
    scales = {cell.row.id: cell.card.scales for cell in plan.cells}
    assert scales["vgg_16_sgan"] == (0.75, 1.0, 1.25)
    assert scales["vgg_16_seenet"] == (0.5, 0.75, 1.0, 1.25, 1.5)
    assert scales["vgg_16_sec"] == (1.0,)
    row, column = table.row("vgg_16_seenet"), table.column("val")
    stated = published_card(table, row, row.scored(column))
    assert (stated.scales, stated.saliency) == ((0.5, 0.75, 1.0, 1.25, 1.5), "DSS")
    assert row.scored(table.column("publication")) == table.column("publication")


def test_a_class_the_data_set_lacks_leaves_its_cells_out(tmp_path: Path) -> None:
    files = UserFiles(
        data=small_voc(tmp_path), classes=("bus", "cat"), weights=light_weights(tmp_path)
    )
    table = load_table("sgan_table2")
    families = {
        "sgan_aspp_vgg16": Segmentation(
            config="deeplab_largefov_mobilenetv2_light.py", weights="mobilenet_v2"
        )
    }
    light = load_profile("light").model_copy(update={"segmentation": families})
    plan = make_plan(table, light, files, (0,))
    assert {cell.column.id for cell in plan.cells} == {"background", "bus", "cat", "miou"}
    assert plan.absent["sgan", "train"] == "the data set has no train"
    assert len(plan.absent) == 4 * 18


def small_voc(folder: Path) -> Path:
    """Write a folder of two images."""
    for part in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (folder / "voc" / part).mkdir(parents=True)
    for split, name in (("train_aug", "one"), ("val", "two")):
        (folder / "voc/ImageSets/Segmentation" / f"{split}.txt").write_text(f"{name}\n")
        Image.new("RGB", (20, 10)).save(folder / "voc/JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(np.full((10, 20), 6, np.uint8))
        mask.save(folder / "voc/SegmentationClassAug" / f"{name}.png")
    return folder / "voc"


def light_weights(folder: Path) -> dict[str, Path]:
    path = folder / "mobilenet_v2.pth"
    path.write_bytes(b"weights")
    return {"mobilenet_v2": path}


def test_table_1_measures_three_rows_one_way() -> None:
    table = load_table("seenet_table1")
    assert [row.published["val"] for row in table.rows] == [56.1, 55.8, 57.3]
    assert [(row.id, column.id) for row, column in table.measurable()] == [
        ("acol", "val"),
        ("seenet_no_flip", "val"),
        ("seenet", "val"),
    ]
    assert {(row.segmentation, row.recipe, row.supervision) for row in table.rows} == {
        ("largefov_vgg16", "algorithm1", "I+S")
    }
    flip, no_flip = (dict(table.row(name).options) for name in ("seenet", "seenet_no_flip"))
    assert flip.pop("flip_sign") is True
    assert no_flip.pop("flip_sign") is False
    assert flip == no_flip
    assert [claim.by for claim in table.claims if claim.kind == "gain"] == [1.2, 1.5]


def test_table_2_leaves_the_test_column_to_the_server() -> None:
    table = load_table("seenet_table2")
    own = ("seenet_vgg16", "seenet_resnet101")
    others = ("sec", "dcsp_vgg16", "dcsp_resnet101", "gain")
    assert sum(not row.ours for row in table.rows) == 12
    assert {(row.id, column.id) for row, column in table.measurable()} == {
        (row, column) for row in own + others for column in ("val", "val_crf", "val_single")
    }


def test_unknown_table_suggests_the_near_name() -> None:
    with pytest.raises(BenchmarkError, match=r"seenet_tabel1.*did you mean 'seenet_table1'"):
        load_table("seenet_tabel1")


VALID = """
id = "small"
title = "Small"
caption = "Two rows"
published_id = "small"
[paper]
title = "A paper"
venue = "Somewhere 2020"
reference = "arXiv:0000.00000"
table = "Table 1"
[protocol]
dataset = "VOC 2012"
train_split = "train_aug"
classes = ["cat", "dog"]
[[columns]]
id = "val"
title = "mIoU val"
evaluation = { stage = "segmentation", split = "val", scales = [1.0], flip = false, crf = false }
[[rows]]
id = "a"
title = "A"
published = { val = 50.0 }
[[rows]]
id = "b"
title = "B"
published = { val = 40.0 }
[[claims]]
kind = "gain"
id = "up"
text = "A above B"
better = "a"
worse = "b"
column = "val"
by = 2.0
"""
CLAIM = VALID[VALID.index('kind = "gain"') :].rstrip()

MISTAKES = {
    "unknown key": ('caption = "', 'colour = "red"\ncaption = "', "colour: Extra inputs"),
    "missing key": ('caption = "Two rows"', "", "caption: Field required"),
    "value no number": ("val = 50.0", 'val = "high"', r"rows\.0\.published\.val: .*number"),
    "unknown column": ("val = 50.0", "test = 50.0", "row a: published: no score column 'test'"),
    "row twice": ('id = "b"', 'id = "a"', "two rows have the id 'a'"),
    "claim without row": ('worse = "b"', 'worse = "c"', "claim up: no row 'c'"),
    "claim on itself": ('worse = "b"', 'worse = "a"', "claim up compares a cell with itself"),
    "unknown claim": ('kind = "gain"', 'kind = "hope"', "claims.0: .*hope"),
    "class of a text": (
        'split = "val", scales',
        'split = "val", raw = true, scales',
        "raw and recipe are of labels",
    ),
    "constants of none": (
        'split = "val", scales',
        'split = "val", constants = { threshold = 0.2 }, scales',
        "constants need recipe",
    ),
    "peak at an end": (
        CLAIM,
        'kind = "peak"\nid = "up"\ntext = "?"\nrows = ["a", "b", "c"]\nbest = "a"\ncolumn = "val"',
        "claim up: best must lie between",
    ),
    "every of one column": (
        CLAIM,
        'kind = "every"\nid = "up"\ntext = "?"\nbetter = "a"\nworse = "b"\ncolumns = ["val"]',
        "claims.0.every.columns: .*at least 2",
    ),
    "deviation of nothing": (
        "val = 50.0 }",
        "val = 50.0 }\ndeviation = { x = 0.1 }",
        "row a: deviation for 'x'",
    ),
    "evaluation of nothing": (
        "val = 50.0 }",
        """val = 50.0 }\nmethod = "m"\nrecipe = "r"\nsupervision = "I"\nsegmentation = "s"
evaluation.x = { stage = "segmentation", split = "val" }""",
        "row a: evaluation: no score column 'x'",
    ),
    "no evaluation": ("evaluation = {", "#", "column val: a score needs its evaluation"),
    "half a method": ("val = 50.0 }", 'val = 50.0 }\nmethod = "m"', "row a: .* needs recipe"),
    "options of nobody": ("val = 50.0 }", "val = 50.0 }\noptions.x = 1", "row a: a cited row"),
    "flag of nothing": ("val = 50.0 }", 'val = 50.0 }\nflags = {x = "?"}', "row a: flag for 'x'"),
    "not TOML": ('id = "small"', "id = ", "not valid TOML"),
    "other name": ('id = "small"', 'id = "big"', "id is 'big'"),
}


def test_the_small_table_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(VALID)
    assert read_table(path).column("val").decimals == 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_gets_one_line_with_file_and_key(mistake: str, tmp_path: Path) -> None:
    old, new, message = MISTAKES[mistake]
    assert VALID.count(old) >= 1
    path = tmp_path / "small.toml"
    path.write_text(VALID.replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith("table file small.toml: ")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    wrong = VALID.replace('"segmentation"', '"maps"').replace("val = 50.0 }", 'val = "high" }')
    path.write_text(wrong.replace('kind = "gain"', 'kind = "hope"'))
    with pytest.raises(BenchmarkError) as caught:
        read_table(path)
    _, *told = re.split(r"(?:^table file small\.toml|;)(?=[: ])", str(caught.value))
    assert [one.lstrip(": ").split(":")[0] for one in told] == [
        "columns.0.evaluation.stage",
        "rows.0.published.val",
        "claims.0",
    ]
    path.write_text(VALID + "".join(f'{letter} = "?"\n' for letter in "qrstuvw"))
    with pytest.raises(BenchmarkError, match=r"claims\.0\.gain\.q: .* \(and 2 more\)$"):
        read_table(path)


def test_a_missing_file_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"none\.toml: No such file"):
        read_table(tmp_path / "none.toml")
