"""Figure sheets: which images, which colours, and what is said where a row is not finished."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmark import cli
from benchmark.data.voc import open_voc, write_label_png
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.maps import MapArchive, write_maps
from benchmark.plan import Plan, make_plan, one_row
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.released import parse_released
from benchmark.report import sheet
from benchmark.report.sheet import (
    MOST_BYTES,
    VOID_COLOUR,
    Strip,
    chosen_ids,
    coloured,
    draw_sheet,
    heat_overlay,
    read_strips,
    write_sheet,
    write_sheets,
)
from benchmark.stages.data import scenes
from benchmark.stages.inputs import dataset_of
from benchmark.store import Metrics, Store, Workspace
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny import write_profile

GENERATED = load_table("seenet_table1")


def nothing(work: Workspace) -> Metrics:
    return {}


def maps(work: Workspace) -> Metrics:
    """Maps of 2×2 cells; of an image's classes the last is the strongest."""
    dataset = dataset_of(work)
    present = {i: np.flatnonzero(dataset.image_labels(i)) + 1 for i in dataset.ids("val")}
    found = {
        image_id: np.linspace(0.2, 0.9, len(ids))[:, None, None] * np.ones((1, 2, 2))
        for image_id, ids in present.items()
    }
    classes = {image_id: [int(index) for index in ids] for image_id, ids in present.items()}
    write_maps(work.out / "maps.safetensors", found, classes)
    return {}


def labels(work: Workspace) -> Metrics:
    """The truth with a void column."""
    dataset = dataset_of(work)
    (work.out / "labels").mkdir()
    for image_id in dataset.ids("val"):
        made = dataset.mask(image_id)
        made[:, :5] = 255
        write_label_png(work.out / "labels" / f"{image_id}.png", made)
    return {}


FUNCTIONS = dict.fromkeys(("backbone", "attention", "saliency_network", "saliency"), nothing)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    profile = write_profile(tmp_path_factory.mktemp("profile"))
    return make_plan(GENERATED, load_profile(str(profile)), UserFiles(), (0, 1))


@pytest.fixture(scope="module")
def store(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Generated scenes, and made-up maps and labels of one row."""
    store = Store(tmp_path_factory.mktemp("store"))
    functions = {**FUNCTIONS, "scenes": scenes, "maps": maps, "labels": labels}
    shown = plan.sheets["seenet"]
    execute(
        [shown.maps, shown.labels],
        store,
        functions,
        SilentProgress(),
        announce=lambda line: None,
    )
    return store


def silent(line: str) -> None:
    raise AssertionError(line)


def written(
    plan: Plan, store: Store, results: Path, announce: Callable[[str], None] = silent
) -> Path:
    return write_sheet(plan, "seenet", store, results, 4, announce=announce)


def strip(
    image_id: str = "one", size: tuple[int, int] = (20, 30), ids: tuple[int, ...] = (1,)
) -> Strip:
    shape_ids = np.zeros(size, np.uint8)
    shape_ids[0, : len(ids)] = ids
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    attention = np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size)
    return Strip(image_id, image, ("cat",), "cat", attention, shape_ids, np.zeros(size, np.uint8))


class TestContents:
    def test_ids_are_evenly_spaced_over_those_with_a_class(self, tmp_path: Path) -> None:
        names = [f"i{number}" for number in range(10)]
        found = {name: np.zeros((int(name != "i4"), 2, 2)) for name in reversed(names)}
        classes = {name: [3] if name != "i4" else [] for name in names}
        write_maps(tmp_path / "maps", found, classes)
        archive = MapArchive(tmp_path / "maps")
        assert chosen_ids(archive, 5) == ("i0", "i2", "i5", "i7", "i9")  # 0, 2, 4, 6, 8 of 9
        assert chosen_ids(archive, 2) == ("i0", "i9")
        assert chosen_ids(archive, 1) == ("i0",)
        assert chosen_ids(archive, 50) == tuple(name for name in names if name != "i4")

    def test_no_image_with_a_class_is_told(
        self, plan: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sheet, "chosen_ids", lambda archive, number: ())
        with pytest.raises(BenchmarkError, match="no image of val holds one of the classes"):
            written(plan, store, tmp_path)

    def test_strips_hold_the_images_own_things_and_the_strongest_class(
        self, plan: Plan, store: Store
    ) -> None:
        shown = plan.sheets["seenet"]
        folder = store.folder(shown.labels.inputs["scenes"])
        dataset = open_voc(folder / "voc")
        strips = read_strips(dataset, shown, store, 6)
        assert len(strips) == 6
        several = [one for one in strips if len(one.present) > 1]
        assert several
        for one in strips:
            names = [
                name
                for name, held in zip(
                    dataset.classes, dataset.image_labels(one.image_id), strict=True
                )
                if held
            ]
            assert list(one.present) == names
            assert one.shown == names[-1]
            expected = 0.9 if len(names) > 1 else 0.2
            np.testing.assert_allclose(one.attention, expected, atol=1e-3)
            assert one.attention.shape == one.image.shape[:2] == one.labels.shape
            assert np.array_equal(one.truth, dataset.mask(one.image_id))
            assert (one.labels[:, :5] == 255).all()
            assert np.array_equal(one.labels[:, 5:], one.truth[:, 5:])


class TestColours:
    def test_ids_get_vocs_colours_whatever_their_place_among_the_classes(self) -> None:
        ids = np.array([[0, 1, 2, 255]], np.uint8)
        expected = [[0, 0, 0], [64, 0, 0], [64, 0, 128], list(VOID_COLOUR)]
        assert coloured(ids, ("cat", "dog")).tolist() == [expected]
        assert coloured(ids, ("dog", "cat")).tolist() == [
            [expected[0], expected[2], expected[1], expected[3]]
        ]

    def test_heat_lies_over_a_grey_image(self) -> None:
        """inferno runs from (0, 0, 4) to (252, 255, 164); opacity from 0.45 to 0.85."""
        image = np.array([[[90, 120, 150], [0, 0, 30]]], np.uint8)  # grey 120 and 10
        overlay = heat_overlay(image, np.array([[0.0, 1.0]], np.float32))
        expected = [
            [0.55 * 120, 0.55 * 120, 0.55 * 120 + 0.45 * 4],
            [0.15 * 10 + 0.85 * 252, 0.15 * 10 + 0.85 * 255, 0.15 * 10 + 0.85 * 164],
        ]
        np.testing.assert_allclose(overlay[0], expected, atol=1.01)


class TestDrawing:
    def texts(self, figure: Figure) -> list[str]:
        return [text.get_text() for text in figure.texts]

    def test_a_row_has_the_four_pictures_in_order(self) -> None:
        one, two = strip(), strip("two", (30, 20))
        figure = draw_sheet([one, two], ("cat",), "A row", "about it")
        pictures = [axes.images[0].get_array() for axes in figure.axes]
        assert len(pictures) == 2 * 4 + 1  # and the scale of attention
        for place, held in enumerate((one, two)):
            image, overlay, proxy, truth = pictures[4 * place : 4 * place + 4]
            assert np.array_equal(image, held.image)
            assert np.array_equal(overlay, heat_overlay(held.image, held.attention))
            assert np.array_equal(proxy, coloured(held.labels, ("cat",)))
            assert np.array_equal(truth, coloured(held.truth, ("cat",)))
        for name in ("A row", "about it", "image", "attention", "proxy label", "truth"):
            assert name in self.texts(figure)
        assert "two: cat · attention of cat" in self.texts(figure)

    def test_pictures_keep_their_shape(self) -> None:
        figure = draw_sheet([strip(), strip("two", (30, 20))], ("cat",), "", "")
        width, height = figure.get_size_inches()
        for axes, ratio in ((figure.axes[0], 20 / 30), (figure.axes[7], 30 / 20)):
            box = axes.get_position()
            assert box.height * height / (box.width * width) == pytest.approx(ratio)

    def test_no_two_things_overlap_and_all_lie_on_the_sheet(self) -> None:
        strips = [strip(str(number), (20 + 3 * number, 30)) for number in range(8)]
        figure = draw_sheet(strips, ("cat",), "A row", "about it")
        figure.canvas.draw()
        boxes = [axes.get_window_extent() for axes in figure.axes]
        boxes += [text.get_window_extent() for text in figure.texts]
        boxes += [legend.get_window_extent() for legend in figure.legends]
        page = figure.bbox
        for place, box in enumerate(boxes):
            assert page.x0 <= box.x0 and box.x1 <= page.x1
            assert page.y0 <= box.y0 and box.y1 <= page.y1
            for other in boxes[:place]:
                wide = min(box.x1, other.x1) - max(box.x0, other.x0)
                high = min(box.y1, other.y1) - max(box.y0, other.y0)
                assert wide <= 0.5 or high <= 0.5

    def test_the_legend_names_what_occurs_and_nothing_else(self) -> None:
        classes = ("cat", "dog", "sheep")
        for ids, expected in (
            ((1, 3), ["background", "cat", "sheep"]),
            ((2, 255), ["background", "dog", "void"]),
        ):
            figure = draw_sheet([strip(ids=ids)], classes, "", "")
            assert [text.get_text() for text in figure.legends[0].get_texts()] == expected
        colours = [patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()]
        assert np.rint(255 * np.array(colours)).tolist() == [
            [0, 0, 0],
            [64, 0, 128],
            list(VOID_COLOUR),
        ]

    def test_a_sheet_of_noise_is_made_smaller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        figure = draw_sheet([strip(size=(60, 80))], ("cat",), "", "")
        sizes = []
        for most in (10**9, len(sheet.compact(figure)) - 1, 1):
            monkeypatch.setattr(sheet, "MOST_BYTES", most)
            sizes.append(len(sheet.compact(figure)))
        assert sizes[0] > sizes[1] > sizes[2]


class TestFile:
    def test_the_same_store_gives_the_same_bytes(
        self, plan: Plan, store: Store, tmp_path: Path
    ) -> None:
        path = written(plan, store, tmp_path)
        assert path == tmp_path / "tiny" / "figures" / "seenet_table1_seenet.jpg"
        first = path.read_bytes()
        assert len(first) < MOST_BYTES
        with Image.open(io.BytesIO(first)) as picture:
            assert picture.format == "JPEG"
            assert picture.width < picture.height
        assert written(plan, store, tmp_path).read_bytes() == first

    def test_the_sheet_of_a_row_from_released_files_lies_apart(
        self, plan: Plan, store: Store, tmp_path: Path
    ) -> None:
        released = parse_released([f"labels={tmp_path}"])
        table = one_row(plan.table, ["seenet"], released)
        given = replace(plan, table=table, released=released)
        path = written(given, store, tmp_path)
        assert path == tmp_path / "tiny" / "from" / "seenet_table1-seenet-labels.jpg"
        with pytest.raises(BenchmarkError, match="leave no attention maps and labels of val"):
            written(replace(given, sheets={}, not_given=("no labels of val",)), store, tmp_path)

    def test_an_unfinished_row_names_the_command_and_writes_nothing(
        self, plan: Plan, store: Store, tmp_path: Path
    ) -> None:
        for other in (Store(tmp_path / "empty"), store):
            row = "seenet" if other is not store else "acol"
            with pytest.raises(BenchmarkError, match="benchmark run --table seenet_table1"):
                write_sheet(plan, row, other, tmp_path / "results", 4, announce=silent)
        assert not (tmp_path / "results").exists()

    def test_all_finished_rows_are_drawn_and_the_others_named(
        self, plan: Plan, store: Store, tmp_path: Path
    ) -> None:
        lines: list[str] = []
        paths = list(write_sheets(plan, store, tmp_path, 4, announce=lines.append))
        assert paths == [tmp_path / "tiny" / "figures" / "seenet_table1_seenet.jpg"]
        assert paths[0].is_file()
        assert [line.split(":")[0] for line in lines] == [
            "acol is left out",
            "seenet_no_flip is left out",
        ]
        with pytest.raises(BenchmarkError, match="no row of seenet_table1 is finished"):
            list(write_sheets(plan, Store(tmp_path / "empty"), tmp_path, 4, announce=lines.append))

    def test_a_row_that_is_not_ours_is_refused(
        self, plan: Plan, store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(BenchmarkError, match=r"no row of ours in .*did you mean 'seenet'"):
            write_sheet(plan, "senet", store, tmp_path, 4, announce=silent)

    def test_changed_code_is_announced(
        self, plan: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Store, "staleness", lambda self, stage: "the code has changed")
        lines: list[str] = []
        written(plan, store, tmp_path, lines.append)
        assert lines == [
            "labels seenet val seed 0 is stale (the code has changed): "
            "run the table again for a new figure"
        ]

    def test_run_makes_what_the_sheets_need_at_the_first_seed(self, plan: Plan) -> None:
        assert set(plan.sheets) == {"acol", "seenet_no_flip", "seenet"}
        for row, shown in plan.sheets.items():
            assert shown.maps.label == f"maps {row} val seed 0"
            assert shown.labels.label == f"labels {row} val seed 0"
            assert {shown.maps, shown.labels} <= set(plan.targets)


def test_the_command(
    plan: Plan,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    profile = write_profile(tmp_path)
    options = ["--profile", str(profile), "--results", str(tmp_path / "results")]

    def call(*more: str) -> tuple[int, str, str]:
        arguments = ["benchmark", "figures", "--table", "seenet_table1", *options, *more]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    status, out, _ = call("--row", "seenet", "--images", "2", "--store", str(store.root))
    path = tmp_path / "results" / "tiny" / "figures" / "seenet_table1_seenet.jpg"
    assert (status, out) == (0, f"wrote {path}\n")
    assert path.is_file()
    status, out, err = call("--row", "all", "--images", "2", "--store", str(store.root))
    assert (status, out) == (0, f"wrote {path}\n")
    assert len(err.splitlines()) == 2
    status, _, err = call("--row", "acol", "--store", str(store.root))
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "run python -m benchmark run --table seenet_table1" in err
