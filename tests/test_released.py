"""Rows started from released files: what is given, what it replaces, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.voc import write_label_png
from benchmark.errors import BenchmarkError, NotGiven
from benchmark.maps import write_maps
from benchmark.plan import Plan, make_plan, one_row
from benchmark.profiles import load_profile
from benchmark.released import Released, ReleasedFiles, parse_released
from benchmark.report.card import published_card
from benchmark.store import Stage
from benchmark.tables import Table, load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from tiny_voc import write_voc

CAT = np.full((4, 6), 8, np.uint8)
TRAIN, VAL = ("t1", "t2"), ("v1",)


@pytest.fixture
def files(tmp_path: Path) -> UserFiles:
    root = write_voc(tmp_path / "voc", dict.fromkeys(TRAIN, CAT), dict.fromkeys(VAL, CAT))
    (tmp_path / "weights.pth").write_bytes(b"weights")
    return UserFiles(data=root, weights={"mobilenet_v2": tmp_path / "weights.pth"})


def label_folder(folder: Path, ids: tuple[str, ...]) -> Path:
    folder.mkdir()
    for image_id in ids:
        write_label_png(folder / f"{image_id}.png", CAT)
    return folder


def map_folder(folder: Path, ids: tuple[str, ...]) -> Path:
    folder.mkdir()
    for image_id in ids:
        np.savez(folder / f"{image_id}.npz", maps=np.zeros((1, 2, 2)), classes=[8])
    return folder


def cue_file(path: Path, ids: tuple[str, ...]) -> Path:
    np.savez(path, ids=np.array(ids), cues=np.zeros((len(ids), 41, 41), np.uint8))
    return path


def planned(files: UserFiles, released: Released, row: str, table: str = "dsna_table3") -> Plan:
    chosen = one_row(load_table(table), [row], released) if released else load_table(table)
    return make_plan(chosen, load_profile("light"), files, (0,), released)


def names(plan: Plan) -> set[str]:
    return {stage.name for stage in plan.stages}


def only(plan: Plan, name: str) -> Stage:
    (found,) = [stage for stage in plan.stages if stage.name == name]
    return found


class TestWhatIsGiven:
    def test_kinds_and_paths_are_told_apart(self, tmp_path: Path) -> None:
        labels = label_folder(tmp_path / "labels", TRAIN)
        weights = tmp_path / "w=1.pth"
        weights.write_bytes(b"")
        found = parse_released([f"labels={labels}", f"attention={weights}"])
        assert {kind: files.path for kind, files in found.items()} == {
            "labels": labels,
            "attention": weights,
        }

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("labels", "--from labels: say KIND=PATH, KIND one of attention, maps, cues, labels"),
            ("labels=", "say KIND=PATH"),
            ("label=x", "did you mean 'labels'"),
            ("labels=absent", "--from labels: no folder at"),
            ("maps=absent", "--from maps: no folder and no file at"),
            ("cues=absent", "--from cues: no file at"),
            ("attention=absent", "--from attention: no file at"),
        ],
    )
    def test_mistakes_are_one_line(
        self, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BenchmarkError, match=message) as error:
            parse_released([value])
        assert "\n" not in str(error.value)

    def test_a_stage_is_given_once(self, tmp_path: Path) -> None:
        labels = label_folder(tmp_path / "labels", TRAIN)
        with pytest.raises(BenchmarkError, match="--from labels: given twice"):
            parse_released([f"labels={labels}", f"labels={labels}"])
        cues = cue_file(tmp_path / "cues.npz", TRAIN)
        with pytest.raises(BenchmarkError, match="stand for the same stage: give one"):
            parse_released([f"labels={labels}", f"cues={cues}"])

    def test_ids_are_those_of_the_files(self, tmp_path: Path) -> None:
        write_maps(tmp_path / "maps.safetensors", {"t1": np.zeros((0, 2, 2))}, {"t1": []})
        for kind, path in (
            ("labels", label_folder(tmp_path / "labels", ("t1",))),
            ("maps", map_folder(tmp_path / "maps", ("t1",))),
            ("maps", tmp_path / "maps.safetensors"),
            ("cues", cue_file(tmp_path / "cues.npz", ("t1",))),
        ):
            assert ReleasedFiles(kind, path).ids == {"t1"}  # type: ignore[arg-type]

    def test_an_empty_folder_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(BenchmarkError, match=r"holds no ID\.png"):
            _ = ReleasedFiles("labels", label_folder(tmp_path / "labels", ())).ids
        with pytest.raises(BenchmarkError, match=r"holds no ID\.npz"):
            _ = ReleasedFiles("maps", map_folder(tmp_path / "maps", ())).ids

    def test_pickled_maps_are_refused_with_the_way_out(self, tmp_path: Path) -> None:
        folder = map_folder(tmp_path / "maps", ())
        np.save(folder / "t1.npy", np.array({7: np.zeros((2, 2))}, dtype=object))
        with pytest.raises(BenchmarkError, match=r"t1\.npy: .*may run code.*save each as ID\.npz"):
            _ = ReleasedFiles("maps", folder).ids

    def test_images_that_lack_a_file_are_named(self, tmp_path: Path) -> None:
        given = ReleasedFiles("labels", label_folder(tmp_path / "labels", ("t1",)))
        given.check_split("train_aug", ("t1",))
        with pytest.raises(BenchmarkError, match=r"lacks 1 of 2 images of train_aug: t2$"):
            given.check_split("train_aug", TRAIN)
        with pytest.raises(BenchmarkError, match=r"5 of 6 images of val: a, b, c and 2 more$"):
            given.check_split("val", ("a", "b", "c", "t1", "d", "e"))
        with pytest.raises(NotGiven, match="labels given in labels hold no image of val"):
            given.check_split("val", VAL)

    def test_the_digest_is_of_names_and_contents_alone(self, tmp_path: Path) -> None:
        one = label_folder(tmp_path / "one", TRAIN)
        two = label_folder(tmp_path / "two", TRAIN)
        (two / "readme.txt").write_text("beside them")
        assert ReleasedFiles("labels", one).sha256 == ReleasedFiles("labels", two).sha256
        write_label_png(two / "t1.png", CAT + 1)
        assert ReleasedFiles("labels", one).sha256 != ReleasedFiles("labels", two).sha256

    def test_an_npz_of_another_content_is_another_digest(self, tmp_path: Path) -> None:
        given = map_folder(tmp_path / "maps", TRAIN)
        before = ReleasedFiles("maps", given).sha256
        np.savez(given / "t1.npz", maps=np.ones((1, 2, 2)), classes=[8])
        assert ReleasedFiles("maps", given).sha256 != before


class TestOneRow:
    @pytest.fixture
    def released(self, tmp_path: Path) -> Released:
        return parse_released([f"labels={label_folder(tmp_path / 'labels', TRAIN)}"])

    @pytest.fixture
    def table(self) -> Table:
        return load_table("seenet_table1")

    def test_the_table_keeps_that_row_and_says_what_is_given(
        self, table: Table, released: Released
    ) -> None:
        chosen = one_row(table, ["seenet"], released)
        assert [row.id for row in chosen.rows] == ["seenet"]
        assert chosen.claims == ()
        digest = released["labels"].sha256[:16]
        assert chosen.rows[0].notes[0].startswith(f"labels given: labels (sha256 {digest}).")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (None, r"for one row of seenet_table1: name it \(acol, seenet_no_flip, seenet\)"),
            (["acol", "seenet"], "for one row"),
            (["senet"], "did you mean 'seenet'"),
        ],
    )
    def test_any_other_number_of_rows_is_refused(
        self, table: Table, released: Released, rows: list[str] | None, message: str
    ) -> None:
        with pytest.raises(BenchmarkError, match=message):
            one_row(table, rows, released)

    def test_a_cited_row_is_refused(self, released: Released) -> None:
        with pytest.raises(BenchmarkError, match="no row of ours in seenet_table2 'ccnn'"):
            one_row(load_table("seenet_table2"), ["ccnn"], released)

    def test_the_only_row_needs_no_name(self, table: Table, released: Released) -> None:
        alone = table.model_copy(update={"rows": table.rows[:1]})
        assert one_row(alone, None, released).rows[0].id == table.rows[0].id


class TestWhatItReplaces:
    def test_labels_leave_attention_and_maps_out(self, files: UserFiles, tmp_path: Path) -> None:
        released = parse_released([f"labels={label_folder(tmp_path / 'labels', TRAIN)}"])
        plan = planned(files, released, "sec")
        assert names(plan) == {"released_labels", "backbone", "segmentation", "prediction", "score"}
        given = only(plan, "released_labels")
        assert (given.config["split"], given.config["kind"]) == ("train_aug", "labels")
        assert given.config["sha256"] == released["labels"].sha256
        assert only(plan, "segmentation").inputs["labels"] == given
        assert set(plan.diagnostics["sec"]) == {"labels.train_miou"}
        assert plan.sheets == {}

    def test_labels_of_val_are_scored_where_they_are_there(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        released = parse_released([f"labels={label_folder(tmp_path / 'labels', TRAIN + VAL)}"])
        plan = planned(files, released, "sec")
        assert set(plan.diagnostics["sec"]) == {"labels.train_miou", "labels.val_miou"}
        assert plan.sheets == {}  # there are no maps to draw

    def test_cues_become_labels_of_rows_with_cues_alone(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        released = parse_released([f"cues={cue_file(tmp_path / 'cues.npz', TRAIN)}"])
        plan = planned(files, released, "sec")
        assert only(plan, "released_labels").config["kind"] == "cues"
        with pytest.raises(BenchmarkError, match="row merged makes its labels by refined_regions"):
            planned(files, released, "merged")

    def test_maps_leave_the_attention_out(self, files: UserFiles, tmp_path: Path) -> None:
        released = parse_released([f"maps={map_folder(tmp_path / 'maps', TRAIN + VAL)}"])
        plan = planned(files, released, "sec")
        assert "attention" not in names(plan) and "maps" not in names(plan)
        given = {s.config["split"]: s for s in plan.stages if s.name == "released_maps"}
        assert set(given) == {"train_aug", "val"}
        labels = {s.inputs["maps"] for s in plan.stages if s.name == "labels"}
        assert labels == set(given.values())
        assert set(plan.diagnostics["sec"]) == {
            "maps.val_miou",
            "labels.train_miou",
            "labels.val_miou",
        }
        assert plan.sheets["sec"].maps == given["val"]

    def test_maps_are_refined_by_a_network_on_our_own_backbone(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        released = parse_released([f"maps={map_folder(tmp_path / 'maps', TRAIN + VAL)}"])
        plan = planned(files, released, "psa", "methods")
        refinement = only(plan, "refinement")
        assert refinement.inputs["maps"].name == "released_maps"
        assert refinement.inputs["attention"].name == "attention"

    def test_attention_is_taken_from_the_weights_and_read_as_always(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        weights = tmp_path / "attention.safetensors"
        weights.write_bytes(b"")
        released = parse_released([f"attention={weights}"])
        before, plan = planned(files, {}, "sec"), planned(files, released, "sec")
        given = only(plan, "released_attention")
        assert "attention" not in names(plan)
        ours = next(
            s for s in before.stages if s.name == "attention" and s.config["method"] == "sec"
        )
        for key in ("method", "options", "backbone", "data"):
            assert given.config[key] == ours.config[key]
        assert {s.inputs["attention"] for s in plan.stages if s.name == "maps"} == {given}
        assert "attention.val_map" in plan.diagnostics["sec"]

    def test_other_files_are_another_segmentation(self, files: UserFiles, tmp_path: Path) -> None:
        folder = label_folder(tmp_path / "labels", TRAIN)
        first = only(planned(files, parse_released([f"labels={folder}"]), "sec"), "segmentation")
        write_label_png(folder / "t2.png", CAT + 1)
        second = only(planned(files, parse_released([f"labels={folder}"]), "sec"), "segmentation")
        assert first.key != second.key

    def test_what_covers_no_image_that_is_needed_is_told(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        released = parse_released([f"labels={label_folder(tmp_path / 'labels', VAL)}"])
        with pytest.raises(BenchmarkError, match="labels hold no image of train_aug"):
            planned(files, released, "sec")
        released = parse_released([f"labels={label_folder(tmp_path / 'half', TRAIN[:1])}"])
        with pytest.raises(BenchmarkError, match="lacks 1 of 2 images of train_aug: t2"):
            planned(files, released, "sec")

    def test_generated_images_have_ids_before_they_are_made(self, tmp_path: Path) -> None:
        released = parse_released([f"labels={label_folder(tmp_path / 'labels', ('train_000',))}"])
        chosen = one_row(load_table("seenet_table1"), ["seenet"], released)
        with pytest.raises(BenchmarkError, match="hold no image of train_aug"):
            make_plan(chosen, load_profile("scenes"), UserFiles(), (0,), released)
        folder = label_folder(tmp_path / "more", ("train_000000",))
        released = parse_released([f"labels={folder}"])
        with pytest.raises(BenchmarkError, match="lacks 499 of 500 images of train_aug: train_0"):
            make_plan(chosen, load_profile("scenes"), UserFiles(), (0,), released)


class TestWhatIsSaid:
    def test_the_card_says_what_was_given_and_leaves_the_unknown_open(
        self, files: UserFiles, tmp_path: Path
    ) -> None:
        ordinary = next(c.card for c in planned(files, {}, "sec").cells if c.row.id == "sec")
        assert (ordinary.started_from, ordinary.supervision) == ("images", "I")
        released = parse_released([f"cues={cue_file(tmp_path / 'cues.npz', TRAIN)}"])
        plan = planned(files, released, "sec")
        (cell,) = plan.cells
        said = f"cues given: cues.npz (sha256 {released['cues'].sha256[:16]})"
        assert cell.card.started_from == plan.data["started from"] == said
        unknown = ("threshold", "threshold_policy", "refinement", "saliency", "supervision")
        assert [getattr(cell.card, name) for name in unknown] == [None] * 5
        published = published_card(plan.table, cell.row, cell.column)
        assert "started_from" in cell.card.differences(published)

    def test_results_lie_apart_from_the_tables(self, files: UserFiles, tmp_path: Path) -> None:
        weights = tmp_path / "w.pth"
        weights.write_bytes(b"")
        labels = label_folder(tmp_path / "labels", TRAIN)
        assert planned(files, {}, "sec").name == "dsna_table3"
        plan = planned(files, parse_released([f"labels={labels}"]), "sec")
        assert plan.name == "from/dsna_table3-sec-labels"
        both = parse_released([f"labels={labels}", f"attention={weights}"])
        assert planned(files, both, "sec").name == "from/dsna_table3-sec-attention-labels"

    def test_no_config_holds_a_path(self, files: UserFiles, tmp_path: Path) -> None:
        released = parse_released([f"maps={map_folder(tmp_path / 'maps', TRAIN + VAL)}"])
        for stage in planned(files, released, "sec").stages:
            assert str(tmp_path) not in repr(dict(stage.config))
