"""Commands and their mistakes: one clear line, a non-zero exit, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli

PLACE = ("--table", "fullsup", "--row", "aspp_vgg16", "--column", "test_crf")


class Shell:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = self.capsys.readouterr()
        return int(stop.value.code or 0), out, err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def refused(shell: Shell, *arguments: str) -> str:
    """Return the one line that a refused command prints."""
    status, _, err = shell(*arguments)
    assert status == 2
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_pipe_gets_whole_lines(shell: Shell) -> None:
    _, told, _ = shell("list", "recipes")
    _, told_to_machines, _ = shell("list", "recipes", "--json")
    rows = json.loads(told_to_machines)
    lines = told.splitlines()
    assert len(lines) == 1 + len(rows)
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(value in line for value in row.values())


def test_saliency_that_a_profile_does_not_read_is_refused(shell: Shell, tmp_path: Path) -> None:
    arguments = ("plan", "--table", "seenet_table1", "--saliency", f"DSS={tmp_path}")
    assert "profile scenes reads no saliency folder: drop --saliency" in refused(shell, *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--table", "seenet_tabel1"], "did you mean 'seenet_table1'"),
        (["run", "--table", "x", "--profile", "scenes"], "no table 'x'"),
        (["run", "--table", "seenet_table2", "--rows", "ccnn"], "ccnn: cited"),
        (["run", "--table", "seenet_table1", "--profile", "sceens"], "did you mean 'scenes'"),
        (["run", "--tabel", "seenet_table1"], "No such option: --tabel"),
        (["run"], "Missing option '--table'"),
        (["run", "--table", "seenet_table1", "--cluster", "slurm"], "--cluster-config FILE go"),
        (["runn"], "No such command 'runn'"),
        (["run", "--table", "seenet_table1", "--seeds", "0"], "--seeds"),
        (["run", "--table", "seenet_table1", "--data", "somewhere"], "makes its own images"),
        (["run", "--table", "seenet_table1", "--profile", "light"], "give --data FOLDER"),
        (["submit", "--table", "fullsup", "--row", "largefov_vgg16"], "makes its own images"),
        (["data", "check", ".", "--profile", "light"], "only the paper profile has a data set"),
        (["data", "check", "absent", "--profile", "paper"], "absent: no such folder"),
        (
            ["score", "add", *PLACE, "--value", "7", "--link", "x"],
            "'x' is no link",
        ),
        (["list", "table"], "'table' is not one of 'tables'"),
        (
            [
                "score",
                "add",
                *PLACE[:2],
                "--row",
                "nope",
                *PLACE[4:],
                "--value",
                "7",
                "--link",
                "x",
            ],
            "no row of fullsup that is measured 'nope'",
        ),
        (
            ["score", "add", *PLACE[:4], "--column", "val_crf", "--value", "7", "--link", "x"],
            "did you mean 'test_crf'",
        ),
        (["plan", "--table", "seenet_table1", "--classes", "cat"], "drop --classes"),
        (["plan", "--table", "seenet_table1", "--labels", "xml"], "drop --labels"),
        (["plan", "--table", "seenet_table1", "--labels-csv", "x.csv"], "drop --labels-csv"),
        (
            ["plan", "--table", "seenet_table1", "--weights", "x"],
            "takes no weights: drop --weights",
        ),
        (
            ["submit", "--table", "fullsup", "--row", "aspp_vgg16", "--from", "labels=x"],
            "submit takes no --from",
        ),
        (
            ["run", "--table", "seenet_table1", "--scheduler", "http://127.0.0.1:1"],
            "is no address: say tcp://HOST:PORT",
        ),
        (["data", "check", ".", "--manifest", "x"], "--manifest goes with --profile paper"),
        (["data", "check", ".", "--weights", "a=b"], "--weights goes with --profile paper"),
        (["data", "check", ".", "--saliency", "a=b"], "--saliency goes with --profile paper"),
        (
            ["data", "check", ".", "--profile", "paper", "--classes", "cat"],
            "--classes does not go with --profile",
        ),
        (
            ["data", "check", ".", "--profile", "paper", "--weights", "vgg61=x"],
            "--weights: no weights 'vgg61': did you mean 'vgg16'",
        ),
        (["weights", "make", "vgg16_slm", "--out", "x"], "did you mean 'vgg16_slim'"),
    ],
)
def test_mistakes_are_one_line(shell: Shell, arguments: list[str], expected: str) -> None:
    assert expected in refused(shell, *arguments)


LIGHT = ("run", "--table", "seenet_table1", "--profile", "light")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A sound folder of two images in VOC layout."""
    root = tmp_path / "images"
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        picture = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / "JPEGImages" / f"{name}.jpg")
        mask = np.zeros((40, 60), np.uint8)
        mask[10:20] = 8
        Image.fromarray(mask).save(root / "SegmentationClassAug" / f"{name}.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train_aug.txt").write_text("one\n")
    (lists / "val.txt").write_text("two\n")
    return root


def light(shell: Shell, images: Path, tmp_path: Path, *more: str) -> str:
    line = refused(shell, *LIGHT, "--data", str(images), "--store", str(tmp_path / "s"), *more)
    assert not (tmp_path / "s" / "stages").exists()
    return line


def test_a_missing_data_folder(shell: Shell, tmp_path: Path) -> None:
    assert "nowhere" in light(shell, tmp_path / "nowhere", tmp_path)


def test_missing_weights(shell: Shell, images: Path, tmp_path: Path) -> None:
    assert "--weights mobilenet_v2=FILE" in light(shell, images, tmp_path)
    line = light(shell, images, tmp_path, "--weights", str(tmp_path / "no.safetensors"))
    assert "no weights file at" in line
    line = light(shell, images, tmp_path, "--weights", "mobilenetv2=x")
    assert "did you mean 'mobilenet_v2'" in line


def test_an_unknown_class(shell: Shell, images: Path, tmp_path: Path) -> None:
    assert "'cat'" in light(shell, images, tmp_path, "--classes", "catt,dog")


def test_a_labels_file_that_lacks_an_image(shell: Shell, images: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,cat\none,1\n")
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    more = ("--labels-csv", str(labels), "--classes", "cat", "--weights", str(weights))
    line = light(shell, images, tmp_path, *more)
    assert "labels.csv" in line
    assert "two" in line


def test_misshapen_weights_are_told_with_both_shapes(
    shell: Shell, images: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    weights = tmp_path / "w.safetensors"
    save_file({"features.0.0.weight": np.zeros((8, 3, 3, 3), np.float32)}, weights)
    more = ("--weights", str(weights), "--store", str(tmp_path / "s"))
    status, _, err = shell(*LIGHT, "--data", str(images), *more)
    assert status == 2
    assert "(8, 3, 3, 3), expected (32, 3, 3, 3)" in err
    assert not list((tmp_path / "s" / "stages").rglob("record.json"))


def test_a_store_of_a_newer_version(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text('{"version": 99}')
    line = refused(shell, "run", "--table", "seenet_table1", "--store", str(tmp_path))
    assert "newer version" in line


def test_data_check_tells_all_problems_and_exits_1(shell: Shell, images: Path) -> None:
    assert shell("data", "check", str(images))[0] == 0
    (images / "JPEGImages" / "one.jpg").write_bytes(b"\xff\xd8 broken")
    Image.new("L", (3, 3), 1).save(images / "SegmentationClassAug" / "two.png")
    status, out, _ = shell("data", "check", str(images))
    assert status == 1
    assert "one.jpg" in out
    assert "two.png" in out


def test_data_scenes_writes_a_folder_that_data_check_finds_sound(
    shell: Shell, tmp_path: Path
) -> None:
    folder = str(tmp_path / "scenes")
    arguments = ("data", "scenes", folder, "--train-images", "4", "--val-images", "3")
    assert shell(*arguments, "--size", "48")[0] == 0
    assert shell("data", "check", folder)[0] == 0
    status, _, err = shell(*arguments)
    assert status == 2
    assert "is not an empty folder" in err


@pytest.mark.parametrize("what", ["tables", "methods", "profiles", "stages"])
def test_lists_are_json_where_a_machine_asks(shell: Shell, what: str) -> None:
    status, out, _ = shell("list", what, "--json")
    assert status == 0
    names = {next(iter(row.values())) for row in json.loads(out)}
    expected = {
        "tables": {"seenet_table1", "seenet_table2"},
        "methods": {"cam", "acol", "seenet"},
        "profiles": {"scenes", "light", "paper"},
        "stages": {"attention", "maps", "labels", "segmentation", "prediction", "score"},
    }
    assert expected[what] <= names


def test_plan_counts_the_stages_that_rows_share_once(shell: Shell, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    status, out, _ = shell("plan", "--table", "seenet_table1", "--store", store, "--json")
    assert status == 0
    rows = json.loads(out)
    labels = [row["label"] for row in rows]
    assert len(labels) == len(set(labels))
    assert sum(row["stage"] == "attention" for row in rows) == 3
    assert (
        sum(row["stage"] in ("scenes", "backbone", "shipped_saliency_network") for row in rows) == 3
    )
    assert all(row["state"] == "missing" and row["runs"] for row in rows)


def test_doctor_finds_this_installation_sound(shell: Shell) -> None:
    status, out, _ = shell("doctor", "--json")
    assert status == 0
    assert json.loads(out)["profiles"]["scenes"] == []


def test_help_is_quick_and_imports_no_torch() -> None:
    program = (
        "import sys; sys.argv = ['benchmark', '--help']\n"
        "from benchmark.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'mmseg', 'numpy'} & set(sys.modules)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert seconds < 1.0  # of the processor; 0.2 s where nothing else runs


def test_page_makes_a_profiles_page_again_from_its_results(shell: Shell, tmp_path: Path) -> None:
    missing = refused(shell, "page", "--profile", "light", "--results", str(tmp_path))
    assert "holds no results of profile 'light'" in missing
    (tmp_path / "light").mkdir()
    (tmp_path / "light" / "broken.json").write_text("{")
    status, out, _ = shell("page", "--profile", "light", "--results", str(tmp_path))
    assert (status, [Path(line.split()[-1]).name for line in out.splitlines()]) == (
        0,
        ["index.html", "README.md"],
    )
    assert "broken.json cannot be read" in (tmp_path / "light" / "index.html").read_text()
    assert "[light](light/index.html)" in (tmp_path / "README.md").read_text()


def test_a_folder_is_checked_against_voc_2012(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    command = ("data", "check", str(tmp_path / "voc"), "--profile", "paper")
    status, out, _ = shell(*command, "--manifest", str(tmp_path / "manifest"))
    assert status == 1
    assert "train 0, train_aug 0, val 0, test 0" in out
    assert "no JPEGImages folder" in out
    assert "VOCtrainval_11-May-2012.tar" in out
    assert (tmp_path / "manifest").read_text() == ""
    status, out, _ = shell(*command, "--json")
    assert status == 1
    assert json.loads(out)["counts"]["val"] == 0


def test_a_servers_score_is_entered(shell: Shell, tmp_path: Path) -> None:
    answer = ("--value", "72.6", "--link", "https://server/page", "--results", str(tmp_path))
    status, out, _ = shell("score", "add", *PLACE, *answer)
    assert status == 0
    path = tmp_path / "paper" / "server_scores.toml"
    assert out == f"wrote {path}\n"
    assert "value = 72.6" in path.read_text()


def test_status_of_a_run_that_has_not_begun(shell: Shell, tmp_path: Path) -> None:
    options = ("--table", "dsna_decoupling", "--store", str(tmp_path / "store"), "--json")
    status, out, _ = shell("status", *options)
    assert status == 0
    stages = json.loads(out)
    assert {stage["state"] for stage in stages} == {"waiting"}
    assert [stage["stage"] for stage in stages[:2]] == ["scenes", "backbone"]


def test_a_store_without_numbers_leaves_finished_results_as_they_are(
    shell: Shell, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    arguments = ("report", "--table", "seenet_table1", "--results", str(results))
    status, _, _ = shell(*arguments, "--store", str(tmp_path / "none"))
    assert status == 0  # nothing was there: a table without numbers of ours
    table = results / "scenes" / "seenet_table1.md"
    table.write_text("three seeds of numbers")
    told = refused_last(shell, *arguments, "--store", str(tmp_path / "mistyped"))
    assert "mistyped holds no number of seenet_table1" in told
    assert table.read_text() == "three seeds of numbers"


def refused_last(shell: Shell, *arguments: str) -> str:
    """Return the last line of a refused command, which says more before."""
    status, _, err = shell(*arguments)
    assert status == 2
    return err.splitlines()[-1]


def test_a_sign_that_the_terminal_lacks_is_replaced(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark", "report", "--table", "seenet_table1"]
    command += ["--store", str(tmp_path / "store"), "--results", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **ASCII}, check=True)
    assert b"missing" in done.stdout
    assert b"?" in done.stdout


ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
