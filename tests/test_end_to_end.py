"""The command as a user types it, on a profile in miniature: every stage is the real one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.plan import make_plan
from benchmark.profiles import load_profile
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from tiny import write_profile

TABLE = "seenet_table1"


class Place:
    """A folder with the profile, a store and results."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.profile = write_profile(folder)
        self.store = folder / "store"
        self.results = folder / "results"

    def command(self, table: str = TABLE) -> list[str]:
        return [
            *(sys.executable, "-m", "benchmark", "run", "--table", table),
            *("--profile", str(self.profile)),
            *("--store", str(self.store), "--results", str(self.results)),
        ]

    def run(self, table: str = TABLE, *more: str) -> subprocess.CompletedProcess[str]:
        command = [*self.command(table), "--jobs", "1", *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    def table(self) -> str:
        return (self.results / "tiny" / f"{TABLE}.csv").read_text()

    def records(self) -> int:
        # not through scratch, whose folders come and go while a run is under way
        return len(list(self.store.glob("stages/*/*/record.json")))

    def artifact(self, pattern: str) -> Path:
        return next(iter(sorted((self.store / "stages").glob(pattern))))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("finished") / "place")
    place.run()
    return place


def test_every_row_has_a_number_a_verdict_and_its_published_value(finished: Place) -> None:
    document = json.loads((finished.results / "tiny" / f"{TABLE}.json").read_text())
    cells = {cell["row"]: cell for cell in document["cells"]}
    assert {row: cell["published"] for row, cell in cells.items()} == {
        "acol": 56.1,
        "seenet_no_flip": 55.8,
        "seenet": 57.3,
    }
    for cell in cells.values():
        assert 0 <= cell["values"][0] <= 100
        assert cell["verdict"] == "not-comparable"
        assert {"dataset", "network", "profile"} <= set(cell["differing"])
    claims = [claim["id"] for claim in document["claims"]]
    assert claims == ["above_acol", "above_no_flip", "best_of_three"]


def test_the_table_says_what_the_score_records_say(finished: Place) -> None:
    document = json.loads((finished.results / "tiny" / f"{TABLE}.json").read_text())
    records = [json.loads(path.read_text()) for path in finished.store.rglob("score/*/record.json")]
    miou = {record["key"]: record["metrics"]["miou"] for record in records}
    for cell in document["cells"]:
        assert cell["values"] == pytest.approx([100 * miou[key] for key in cell["records"]])


def test_all_written_files_are_named_and_there(finished: Place) -> None:
    printed = finished.run().stdout.replace("\n", "")
    kinds = [f"tiny/{TABLE}.{suffix}" for suffix in ("md", "csv", "json", "tex")]
    for name in (*kinds, "tiny/index.html", "README.md"):
        assert (finished.results / name).is_file()
        assert name.split("/")[-1] in printed


def test_no_result_names_a_folder_of_this_machine(finished: Place) -> None:
    for path in [path for path in finished.results.rglob("*") if path.is_file()]:
        assert str(finished.profile.parent) not in path.read_text()


def test_proxy_labels_hold_only_the_image_labels_background_and_void(finished: Place) -> None:
    import numpy as np
    from PIL import Image

    from benchmark.data.voc import open_voc

    voc = open_voc(finished.artifact("scenes/*/voc"))
    folders = sorted((finished.store / "stages").glob("labels/*/labels"))
    assert len(folders) == 6
    for path in [path for folder in folders for path in folder.glob("*.png")]:
        present = np.flatnonzero(voc.image_labels(path.stem)) + 1
        with Image.open(path) as picture:
            assert picture.mode == "P"
            ids = np.unique(np.asarray(picture))
        assert set(ids) <= {0, 255, *present}


def test_a_second_run_makes_nothing_and_gives_the_same_bytes(finished: Place) -> None:
    before = finished.table()
    records = {path: path.stat().st_mtime_ns for path in finished.store.rglob("record.json")}
    finished.run()
    assert {p: p.stat().st_mtime_ns for p in finished.store.rglob("record.json")} == records
    assert finished.table() == before


def test_table_2_is_scored_with_scales_and_with_and_without_crf(finished: Place) -> None:
    rows = ("seenet_vgg16", "seenet_resnet101")
    finished.run("seenet_table2", "--rows", ",".join(rows))
    document = json.loads((finished.results / "tiny" / "seenet_table2.json").read_text())
    cells = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    ours = [place for place, cell in cells.items() if cell["values"]]
    assert ours == [(row, column) for row in rows for column in ("val", "val_crf", "val_single")]
    assert cells["seenet_vgg16", "test_crf"]["verdict"] == "missing"
    assert cells["ccnn", "val_crf"]["verdict"] == "cited"
    assert cells["ccnn", "val_crf"]["published"] == 35.3
    attention = list((finished.store / "stages" / "attention").iterdir())
    assert len(attention) == 3  # table 2's SeeNet is table 1's


def test_a_damaged_artifact_is_named_and_made_again(finished: Place) -> None:
    before = finished.table()
    path = finished.artifact("maps/*/maps.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = finished.run()
    assert "maps.safetensors is damaged" in done.stderr
    assert path.read_bytes() == whole
    assert finished.table() == before


def test_a_row_from_our_own_weights_gives_our_own_number_beside_the_table(finished: Place) -> None:
    before = finished.table()
    profile = load_profile(str(finished.profile))
    sheet = make_plan(load_table(TABLE), profile, UserFiles(), (0,)).sheets["seenet"]
    trained = finished.store / "stages" / "attention" / sheet.maps.inputs["attention"].key
    given = f"attention={trained / 'attention.safetensors'}"
    finished.run(TABLE, "--rows", "seenet", "--from", given)
    assert finished.table() == before
    written = finished.results / "tiny" / "from" / f"{TABLE}-seenet-attention.json"
    (cell,) = json.loads(written.read_text())["cells"]
    ours = json.loads((finished.results / "tiny" / f"{TABLE}.json").read_text())["cells"]
    (own,) = [one for one in ours if one["row"] == "seenet"]
    assert cell["values"] == own["values"]
    assert cell["records"] != own["records"]
    assert "started_from" in cell["differing"] and "started_from" not in own["differing"]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_kill_9_at_any_moment_ends_with_the_same_table(
    finished: Place, tmp_path: Path, seed: int
) -> None:
    place = Place(tmp_path / "place")
    moments = random.Random(seed)
    for _ in range(3):
        with subprocess.Popen(place.command(), stderr=subprocess.DEVNULL, env=os.environ) as run:
            wait_for_records(place, run, place.records() + moments.randint(1, 5))
            time.sleep(moments.uniform(0, 0.1))
            run.send_signal(signal.SIGKILL)
    profile = load_profile(str(place.profile))
    stages = make_plan(load_table(TABLE), profile, UserFiles(), (0,)).stages
    assert 0 < place.records() < len(stages)
    place.run()
    assert place.table() == finished.table()


def wait_for_records(place: Place, run: subprocess.Popen[bytes], number: int) -> None:
    deadline = time.monotonic() + 120
    while run.poll() is None and place.records() < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_changed_option_re_runs_only_what_depends_on_it(tmp_path: Path) -> None:
    profile = load_profile(str(write_profile(tmp_path)))
    table = load_table(TABLE)
    rows = [
        row.model_copy(update={"constants": {"weight": 2.0}}) if row.id == "seenet" else row
        for row in table.rows
    ]
    changed = table.model_copy(update={"rows": tuple(rows)})
    before = {stage.key: stage for stage in make_plan(table, profile, UserFiles(), (0,)).stages}
    after = make_plan(changed, profile, UserFiles(), (0,)).stages
    new = sorted(stage.label for stage in after if stage.key not in before)
    assert new == [
        "labels seenet train seed 0",
        "labels seenet val seed 0",
        "prediction seenet val seed 0",
        "score of labels seenet train seed 0",
        "score of labels seenet val seed 0",
        "score seenet val seed 0",
        "segmentation seenet seed 0",
    ]


def test_another_seed_leaves_the_stages_of_the_first_alone(tmp_path: Path) -> None:
    profile = load_profile(str(write_profile(tmp_path)))
    one = {stage.key for stage in make_plan(load_table(TABLE), profile, UserFiles(), (0,)).stages}
    two = {stage.key for stage in make_plan(load_table(TABLE), profile, UserFiles(), (0, 1)).stages}
    assert one < two
