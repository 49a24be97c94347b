"""Truncated files and flipped bits: found, told in one line, and made again."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import Place

from benchmark.checkpoints import damaged_file
from benchmark.executor import execute
from benchmark.progress import SilentProgress
from benchmark.store import Metrics, Stage, Store, Workspace

pytestmark = pytest.mark.faults


def flip(path: Path, place: float) -> None:
    """Flip one bit of a file, at a place between 0 (its beginning) and 1."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << int(place * 800) % 8
    path.write_bytes(content)


def cut(path: Path, place: float) -> None:
    """Cut a file off."""
    path.write_bytes(path.read_bytes()[: int(place * path.stat().st_size)])


# The store


def test_one_fault_in_every_stage_is_found(place: Place, finished: Place) -> None:
    place.copy_store(finished)
    dice = random.Random(3)
    broken = {}
    for key, record in sorted(place.records().items()):
        folder = place.store / "stages" / record["stage"] / key
        path = dice.choice([path for path in sorted(folder.rglob("*")) if path.is_file()])
        dice.choice([flip, cut])(path, dice.random())
        broken[key] = path
    planned = place.run("plan", "--json")
    assert planned.status == 0, planned.err
    states = {stage["key"]: stage["state"] for stage in json.loads(planned.out)}
    assert states == dict.fromkeys(broken, "damaged")
    figures = place.run("figures", "--row", "weak")
    assert "weak" in figures.complaint


def newest(place: Place, name: str, pattern: str) -> Path:
    """Return a file of the only stage of that name, or of the last one by key."""
    return max((place.store / "stages" / name).glob(f"*/{pattern}"))


def test_report_leaves_out_what_is_damaged_and_run_makes_it_again(
    place: Place, finished: Place
) -> None:
    place.copy_store(finished)
    keys = {r["inputs"].get("labels"): k for k, r in place.records().items()}
    predictions = [k for k, r in place.records().items() if r["stage"] == "prediction"]
    for number, prediction in enumerate(predictions):
        score = place.store / "stages" / "score" / keys[prediction] / "counts.safetensors"
        (flip if number else cut)(score, 0.9)
    curve = newest(place, "map_score", "curve.json")
    curve.write_text(curve.read_text().replace("0", "9", 1))
    reported = place.run("report")
    assert reported.status == 0, reported.err
    lines = [line for line in reported.err.splitlines() if "left out until" in line]
    assert len(lines) == 2
    assert all("counts.safetensors is damaged (sha256 differs)" in line for line in lines)
    document = json.loads((place.results / "tiny" / "small_table.json").read_text())
    assert [cell["mean"] for cell in document["cells"]] == [None, None]
    flip(newest(place, "prediction", "labels/*.png"), 0.5)
    flip(newest(place, "labels", "record.json"), 0.5)
    ended = place.finish()
    assert ended.err.count("making it again") == 5
    assert place.written() == finished.written()
    assert place.artifacts() == finished.artifacts()


def test_figures_of_damaged_labels_are_not_drawn(place: Place, finished: Place) -> None:
    place.copy_store(finished)
    for path in (place.store / "stages" / "labels").glob("*/labels/val_*.png"):
        flip(path, 0.7)
    complaint = place.run("figures", "--row", "weak").complaint
    assert "is damaged (sha256 differs)" in complaint
    assert complaint.endswith("run the table again")


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a training keeps."""
    import torch
    from torch import nn

    from benchmark.attention import save

    torch.manual_seed(0)
    network = nn.Linear(9, 5)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network(torch.ones(1, 9)).sum().backward()
    optimiser.step()
    path = tmp_path_factory.mktemp("checkpoint") / "attention.pt"
    save(path, network, optimiser, 1)
    return path.read_bytes()


def loaded(path: Path) -> Any:
    import torch

    state = torch.load(path, weights_only=True)
    moments = state["optimiser"]["state"][0]["momentum_buffer"]
    values = [*state["network"].values(), moments, state["random"]]
    return state["step"], [value.tolist() for value in values]


def test_a_flipped_bit_in_a_checkpoint_is_found_or_harmless(
    checkpoint: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "attention.pt"
    path.write_bytes(checkpoint)
    assert damaged_file(tmp_path) is None
    whole = loaded(path)
    places = np.random.default_rng(0).random(150)
    found = 0
    for place in places:
        path.write_bytes(checkpoint)
        flip(path, place)
        if damaged_file(tmp_path) is None:
            assert loaded(path) == whole, f"bit at {place}"
        else:
            found += 1
    assert found > 50


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_off_is_found(
    checkpoint: bytes, tmp_path: Path, place: float
) -> None:
    path = tmp_path / "below" / "checkpoint.pth"
    path.parent.mkdir()
    path.write_bytes(checkpoint)
    cut(path, place)
    assert damaged_file(tmp_path) == "below/checkpoint.pth"


def test_a_damaged_picture_among_the_checkpoints_is_found(tmp_path: Path) -> None:
    import cv2

    noise = np.random.default_rng(0).integers(0, 60000, (20, 30), dtype=np.uint16)
    _, encoded = cv2.imencode(".png", noise)
    path = tmp_path / "target.png"
    for spoil in (flip, cut):
        for place in (0.01, 0.3, 0.6, 0.95):
            path.write_bytes(encoded.tobytes())
            assert damaged_file(tmp_path) is None
            spoil(path, place)
            assert damaged_file(tmp_path) == "target.png"


def test_a_stage_with_a_damaged_checkpoint_begins_anew(checkpoint: bytes, tmp_path: Path) -> None:
    seen: list[bool] = []

    def work(space: Workspace) -> Metrics:
        path = space.scratch / "attention.pt"
        seen.append(path.exists())
        path.write_bytes(checkpoint)
        if len(seen) < 3:
            raise RuntimeError("stopped")
        return {}

    lines: list[str] = []

    def attempt() -> None:
        execute(
            [Stage("work", {}, label="the work")],
            Store(tmp_path / "store"),
            {"work": work},
            SilentProgress(),
            announce=lines.append,
        )

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            attempt()
    (path,) = (tmp_path / "store" / "scratch").rglob("attention.pt")
    flip(path, 0.5)
    attempt()
    assert seen == [False, True, False]
    assert lines == ["the work: its checkpoint attention.pt is damaged; beginning anew"]


# The user's own files


def test_a_damaged_picture_of_the_user_is_told(place: Place) -> None:
    from tiny_voc import write_voc

    masks = {name: np.full((40, 50), number, np.uint8) for number, name in enumerate("abcd")}
    rest = {name: np.full((40, 50), 5, np.uint8) for name in "efgh"}
    voc = write_voc(place.folder / "voc", masks, rest)
    flip(voc / "SegmentationClassAug" / "a.png", 0.97)
    cut(voc / "SegmentationClassAug" / "e.png", 0.6)
    cut(voc / "JPEGImages" / "f.jpg", 0.5)
    ended = place.start_plain("data", "check", str(voc), "--json").end()
    assert (ended.status, "Traceback" in ended.err) == (1, False)
    problems = json.loads(ended.out)["problems"]
    for name in ("a.png", "e.png", "f.jpg"):
        assert sum(f"/{name}: cannot be decoded" in line for line in problems) == 1
