"""Context sheets: what the method is asked, what is drawn, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import methods.sgan
from benchmark import cli
from benchmark.errors import BenchmarkError
from benchmark.executor import execute
from benchmark.plan import Plan, make_plan
from benchmark.profiles import load_profile
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from benchmark.released import parse_released
from benchmark.report.context import (
    Context,
    draw_context,
    parse_pixels,
    pictures,
    read_context,
    write_context,
)
from benchmark.report.sheet import heat_overlay
from benchmark.stages.data import scenes
from benchmark.stages.initial_weights import backbone
from benchmark.stages.inputs import attention_network, dataset_of
from benchmark.store import Metrics, Store, Workspace
from benchmark.tables import load_table
from benchmark.user_files import UserFiles
from benchmark.weights import load_state_dict, save_state_dict

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny import write_profile

ROW, IMAGE = "lambda_015", "val_000002"
SIDE = 64  # of the images, and of the test


def saliency(work: Workspace) -> Metrics:
    """Saliency that falls from left to right."""
    (work.out / "saliency").mkdir()
    dataset = dataset_of(work)
    plane = np.tile(np.linspace(255, 0, SIDE).astype(np.uint8), (SIDE, 1))
    for image_id in dataset.ids(work.config["split"]):
        Image.fromarray(plane).save(work.out / "saliency" / f"{image_id}.png")
    return {}


def attention(work: Workspace) -> Metrics:
    """A network as it starts, its scale of the attention changed so that it can be told."""
    method = build_method(work.config["method"], work.config["options"])
    torch.manual_seed(3)
    network = attention_network(work, method, dataset_of(work))
    state = network.state_dict()
    state["attention.gamma"].fill_(0.625)
    save_state_dict(work.out / "attention.safetensors", state)
    return {}


def nothing(work: Workspace) -> Metrics:
    return {}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two rows of the table, on the tiny profile's images."""
    profile = load_profile(str(write_profile(tmp_path_factory.mktemp("profile"))))
    network = profile.segmentation["largefov_vgg16"]
    profile = profile.model_copy(update={"segmentation": {"sgan_aspp_vgg16": network}})
    table = load_table("sgan_table3")
    rows = tuple(table.row(name) for name in (ROW, "lambda_02"))
    table = table.model_copy(update={"rows": rows, "claims": ()})
    return make_plan(table, profile, UserFiles(), (0,))


@pytest.fixture(scope="module")
def store(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    functions = {
        "scenes": scenes,
        "backbone": backbone,
        "saliency_network": nothing,
        "shipped_saliency_network": nothing,
        "saliency": saliency,
        "attention": attention,
    }
    trained = plan.sheets[ROW].maps.inputs["attention"]
    execute([trained], store, functions, SilentProgress(), announce=print)
    return store


@dataclass
class Asked:
    """Stands for the method's function, and keeps what it was asked."""

    calls: list[tuple[Any, Tensor, Tensor | None, tuple[int, int]]]

    def __call__(
        self, network: Any, image: Tensor, saliency: Tensor | None, pixel: tuple[int, int]
    ) -> Tensor:
        self.calls.append((network, image, saliency, pixel))
        return torch.tensor([[0.0, 0.5], [0.25, -1.0]])


def test_the_method_is_asked_with_the_trained_network_and_the_pixel_as_it_sees_the_image(
    plan: Plan, store: Store
) -> None:
    asked = Asked([])
    context = read_context(asked, plan, ROW, IMAGE, [(40, 10), (63, 63)], store)
    assert [call[3] for call in asked.calls] == [(10, 40), (63, 63)]  # row, column
    network, image, seen, _ = asked.calls[0]
    trained = plan.sheets[ROW].maps.inputs["attention"]
    kept = load_state_dict(store.folder(trained) / "attention.safetensors")
    assert network.attention.gamma.item() == 0.625
    assert all(torch.equal(network.state_dict()[key], value) for key, value in kept.items())
    assert not network.training
    assert image.shape == (3, SIDE, SIDE)
    assert seen is not None
    torch.testing.assert_close(seen[0], torch.linspace(1, 0, SIDE), atol=0.005, rtol=0)
    assert context.saliency is not None and context.saliency[0, 0] == 1.0
    assert context.pixels == ((40, 10), (63, 63))
    assert context.maps[0].tolist() == [[0.0, 0.5], [0.25, -1.0]]


def test_a_pixel_of_a_training_image_comes_with_the_saliency_of_its_split(
    plan: Plan, store: Store
) -> None:
    asked = Asked([])
    read_context(asked, plan, ROW, "train_000001", [(0, 0)], store)
    assert asked.calls[0][2] is not None


def test_the_pixel_follows_the_image_to_the_size_of_the_test(
    plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of 64 pixels, tested with 32."""
    sheet = plan.sheets[ROW]
    maps = sheet.maps
    changed = type(maps)(maps.name, {**maps.config, "size": 32}, maps.inputs)
    small = type(sheet)(changed, sheet.labels, sheet.seed)
    monkeypatch.setitem(plan.sheets, ROW, small)  # type: ignore[arg-type]
    asked = Asked([])
    read_context(asked, plan, ROW, IMAGE, [(41, 63)], store)
    assert asked.calls[0][1].shape == (3, 32, 32)
    assert asked.calls[0][3] == (31, 20)


def example(saliency: bool = True) -> Context:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    plane = np.full((20, 30), 0.5, np.float32) if saliency else None
    values = np.array([[0.0, 0.02], [-0.04, 0.01]], np.float32)
    return Context("one", image, plane, ((29, 0), (3, 4)), (values, values))


class TestDrawing:
    def test_a_map_is_shown_from_0_to_its_maximum(self) -> None:
        context = example()
        image, grey, overlay = pictures(context, context.maps[0])
        assert np.array_equal(image, context.image)
        assert (grey == 128).all()
        # The corners of the enlarged cells are the cells' own values.
        corners = heat_overlay(context.image, np.ones((20, 30), np.float32))
        assert np.array_equal(overlay[0, -1], corners[0, -1])
        none = heat_overlay(context.image, np.zeros((20, 30), np.float32))
        assert np.array_equal(overlay[0, 0], none[0, 0])
        assert np.array_equal(overlay[-1, 0], none[-1, 0])

    def test_a_map_of_zeros_can_be_drawn(self) -> None:
        overlay = pictures(example(), np.zeros((2, 2), np.float32))[-1]
        expected = heat_overlay(example().image, np.zeros((20, 30), np.float32))
        assert np.array_equal(overlay, expected)

    @pytest.mark.parametrize("saliency", [True, False])
    def test_every_pixel_has_its_line_and_is_marked(self, saliency: bool) -> None:
        figure = draw_context(example(saliency), "A row", "about it")
        columns = 3 if saliency else 2
        assert len(figure.axes) == 2 * columns
        for place, axes in enumerate(figure.axes):
            line, column = divmod(place, columns)
            marks = {tuple(mark.get_xydata()[0]) for mark in axes.get_lines()}
            marked = column != 1 or not saliency
            assert marks == ({(29, 0), (3, 4)} & {((29, 0), (3, 4))[line]} if marked else set())
            assert axes.get_xlim() == (-0.5, 29.5)
        texts = [text.get_text() for text in figure.texts]
        assert "one: pixel 29,0 · maximum 0.02" in texts
        assert ("saliency" in texts) == saliency


class TestCommand:
    @pytest.fixture
    def call(
        self, plan: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Any:
        monkeypatch.setattr("benchmark.given.Given.plan", lambda self, table, rows: plan)

        def called(capsys: pytest.CaptureFixture[str], **changes: str) -> tuple[int, str]:
            options = {"row": ROW, "image": IMAGE, "pixel": "20,30", "store": str(store.root)}
            words = [f"--{name}={value}" for name, value in {**options, **changes}.items()]
            results = f"--results={tmp_path / 'results'}"
            argv = ["benchmark", "context", "--table=sgan_table3", results, *words]
            monkeypatch.setattr(sys, "argv", argv)
            with pytest.raises(SystemExit) as stop:
                cli.main()
            captured = capsys.readouterr()
            return int(stop.value.code or 0), captured.out + captured.err

        return called

    def test_the_sheet_is_written(
        self, call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With the method's own function, on its own tiny network."""
        status, said = call(capsys)
        name = f"sgan_table3_{ROW}_context_{IMAGE}.jpg"
        path = tmp_path / "results" / "tiny" / "figures" / name
        assert (status, said) == (0, f"wrote {path}\n")
        with Image.open(path) as picture:
            assert picture.format == "JPEG"

    def test_the_sheet_of_given_weights_lies_apart(
        self,
        plan: Plan,
        store: Store,
        call: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        weights = next(store.root.glob("stages/attention/*/attention.safetensors"))
        given = replace(plan, released=parse_released([f"attention={weights}"]))
        monkeypatch.setattr("benchmark.given.Given.plan", lambda self, table, rows: given)
        assert call(capsys)[0] == 0
        (path,) = (tmp_path / "results").rglob("*.jpg")
        name = f"sgan_table3-{ROW}-attention-context-{IMAGE}.jpg"
        assert path == tmp_path / "results" / "tiny" / "from" / name

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"pixel": "64,0"}, "pixel 64,0 lies outside val_000002: x is 0 to 63, y is 0 to 63"),
            ({"pixel": "0"}, "--pixel 0: say X,Y"),
            ({"pixel": "-1,2"}, "--pixel -1,2: say X,Y"),
            ({"image": "val_00002"}, "no image 'val_00002': did you mean 'val_"),
            ({"row": "lambda_15"}, "did you mean 'lambda_015'"),
            ({"row": "lambda_02"}, "attention lambda_02 seed 0 is not in the store"),
        ],
    )
    def test_mistakes_are_one_line(
        self,
        changes: dict[str, str],
        message: str,
        call: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        status, said = call(capsys, **changes)
        assert status == 2
        assert message in said and len(said.splitlines()) == 1
        assert not (tmp_path / "results").exists()

    def test_a_method_without_such_maps_is_told(
        self,
        call: Any,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.delattr(methods.sgan, "context_map")
        status, said = call(capsys)
        assert status == 2
        assert "the method SGAN has no context maps to show" in said


def test_changed_code_is_announced(
    plan: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "staleness", lambda self, stage: "the code has changed")
    lines: list[str] = []
    write_context(plan, ROW, IMAGE, [(1, 1)], store, tmp_path, announce=lines.append)
    assert lines == [
        f"attention {ROW} seed 0 is stale (the code has changed): "
        "run the table again for a new figure"
    ]


def test_several_pixels_are_read_in_order() -> None:
    assert parse_pixels(["3,4", " 10, 0"]) == ((3, 4), (10, 0))
    for bad in ("3", "3,4,5", "a,b", "1.5,2"):
        with pytest.raises(BenchmarkError, match=f"--pixel {bad}: say X,Y"):
            parse_pixels([bad])
