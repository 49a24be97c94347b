"""Every fenced block of README and docs is run, or read by what would run it; none is left out.

A shell block's commands are typed into the real command line, in a folder that holds what the
documents speak of. What ``run`` would train is left out; the commands after it find an empty store.
``pytest -m long`` runs the trainings too.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from benchmark.cli import app
from benchmark.errors import BenchmarkError

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from fences import ROOT, Fence, begins_with_command, fences
from printed_package import write_printed_package
from tiny_voc import write_voc

BLOCKS = fences()
SHELL = [fence for fence in BLOCKS if fence.language in ("sh", "console")]
PYTHON = [fence for fence in BLOCKS if fence.language == "python"]
DATA = [fence for fence in BLOCKS if fence.language == "toml"]
SILENT = [fence for fence in BLOCKS if fence.language in ("", "text", "equation")]

BENCHMARK = ["python", "-m", "benchmark"]
RUN_AS_PRINTED = {
    ("list",),
    ("doctor",),
    ("plan",),
    ("run",),  # without the work of its stages
    ("diff",),
    ("data", "scenes"),
    ("data", "check"),
    ("methods", "new"),
    ("score", "add"),
}
NEED_FINISHED_STAGES = {("figures",), ("context",), ("gap",), ("submit",)}
"""Run as printed up to where they miss the stages."""
PARSED = {
    ("methods", "check"),
    ("bench",),
    ("weights", "make"),
    ("report",),
    ("page",),
    ("status",),
}
"""Too slow, or they would write over results/: read by the real parser alone."""
UNREACHED = {"paper", "--scheduler", "slurm"}
"""So are commands that need VOC 2012 or other machines; one may start a cluster of its own."""

NOT_FINISHED = "is not in the store|nothing of row"


def named(blocks: list[Fence]) -> Callable[..., Any]:
    """Run a test once a block."""
    return pytest.mark.parametrize("fence", blocks, ids=lambda fence: fence.name)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documents name; it is the working directory."""
    train = {"a": _mask(8, 40), "b": _mask(12, 40)}
    val = {"c": _mask(8, 44), "d": _mask(12, 48)}  # of other sizes, so other images
    for name in ("FOLDER", "VOC2012"):
        write_voc(tmp_path / name, train, val)
    write_printed_package(tmp_path)
    cues = np.full((2, 41, 41), 255, np.uint8)
    np.savez(tmp_path / "sec_cues.npz", ids=np.array(["a", "b"]), cues=cues)
    for name in ("mobilenet_v2.safetensors", "vgg16.pth"):
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / "saliency").mkdir()
    for profile in ("scenes", "light"):
        (tmp_path / "results" / profile).mkdir(parents=True)
        for path in (ROOT / "results" / profile).glob("*.json"):
            (tmp_path / "results" / profile / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSSS_STORE", raising=False)
    return tmp_path


def _mask(class_id: int, side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[10:30, 10:30] = class_id
    return mask


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    tested = {fence.name for fence in (*SHELL, *PYTHON, *DATA, *SILENT)}
    assert [fence.name for fence in BLOCKS if fence.name not in tested] == []
    assert len(SHELL) > 10 and len(PYTHON) > 3  # they are found at all


@named(SILENT)
def test_what_is_no_shell_block_holds_no_command(fence: Fence) -> None:
    commands = [line for line in fence.text.splitlines() if begins_with_command(line)]
    assert commands == [], "give the block a language: sh, or console where output follows"


@named(DATA)
def test_toml_can_be_read(fence: Fence) -> None:
    assert tomllib.loads(fence.text)


@named(SHELL)
def test_shell_commands_do_what_they_say(
    fence: Fence, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.runner.execute", lambda *_, **__: {})
    commands = fence.commands()
    assert commands
    for words in commands:
        type_in([word for word in words if word != "..."], place, printed="..." not in words)


def type_in(words: list[str], place: Path, printed: bool) -> None:
    """Type one command; ``printed`` is False where the document leaves out part of it."""
    if words[:3] == BENCHMARK:
        _benchmark(words[3:], printed)
    elif words[:2] == ["docker", "build"]:
        assert (ROOT / "Dockerfile").is_file()
    elif "wsss-benchmark" in words[:-1] and words[0] in ("wsss-benchmark", "pipx", "docker"):
        last = len(words) - words[::-1].index("wsss-benchmark")  # after what names the image
        _benchmark(words[last:], printed=False)
    elif words[0] == "pip":
        _pip(words[1:], place)
    elif words[0] == "pytest":
        assert " ".join(words) in (ROOT / ".ci" / "run").read_text()
    elif words[:3] == ["python", "-m", "build"]:
        assert (ROOT / "pyproject.toml").is_file()
    elif words[0] == "mkdocs":
        assert words[1] in ("build", "serve")
    else:
        pytest.fail(f"say in this file how a block that calls {words[0]} is tested")


def _benchmark(arguments: list[str], printed: bool) -> None:
    if arguments[0].startswith("--"):
        known = {name for one in typer.main.get_command(app).params for name in one.opts}
        assert arguments[0] in known
        return
    command = next((c for c in _COMMANDS if tuple(arguments[: len(c)]) == c), None)
    assert command, f"say in this file how {arguments[0]} is tested"
    if command in PARSED or not printed or UNREACHED & set(arguments):
        _parse(arguments)
        return
    if own := {"my_method_table1", "my_plugins_table1"} & set(arguments):
        # written, but not installed: test_new_method.py and test_other_plugins.py do
        expected = f"no table '{own.pop()}'"
    elif command in NEED_FINISHED_STAGES:
        expected = NOT_FINISHED
    else:
        expected = ""
    if expected:
        with pytest.raises(BenchmarkError, match=expected):
            app(arguments, standalone_mode=False)
        return
    status = app(arguments, standalone_mode=False)
    # an empty store lacks what the results have: a difference, and diff says so
    assert not status or (command == ("diff",) and status == 1)


_COMMANDS = sorted((*RUN_AS_PRINTED, *NEED_FINISHED_STAGES, *PARSED), key=len, reverse=True)


def _parse(arguments: list[str]) -> None:
    """Read the arguments as the command would; an unknown option or missing one is an error."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(command.name, list(arguments))
    for word in arguments:
        path = word.partition("=")[2] or word
        if path.endswith((".pth", ".npz", ".safetensors")) or path in ("saliency", "VOC2012"):
            assert Path(path).exists(), path
    if "--table" in arguments:
        from benchmark.given import split_tables
        from benchmark.tables import load_table

        table, *_ = map(load_table, split_tables(_after("--table", arguments)))
        if "--row" in arguments:
            table.row(_after("--row", arguments))
        if "--column" in arguments:
            table.column(_after("--column", arguments))


def _after(option: str, arguments: list[str]) -> str:
    return arguments[arguments.index(option) + 1]


def _pip(arguments: list[str], place: Path) -> None:
    """Check that what would be installed is there, with its extras."""
    assert arguments[0] == "install"
    rest = iter(arguments[1:])
    for word in rest:
        assert word in ("-c", "-e"), f"say in this file how pip's {word} is tested"
        target = next(rest)
        if word == "-c":
            assert (ROOT / target).is_file()
            continue
        folder, _, extras = target.rstrip("]").partition("[")
        project = (ROOT if folder == "." else place / folder) / "pyproject.toml"
        known = tomllib.loads(project.read_text())["project"].get("optional-dependencies", {})
        assert set(filter(None, extras.split(","))) <= set(known)


@named(PYTHON)
def test_python_runs(fence: Fence, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect
    from dataclasses import dataclass

    import benchmark
    from benchmark.method import Fraction, Method, Paper

    signature = inspect.signature(benchmark.run_table)

    def finished(*given: Any, **options: Any) -> Any:
        """Stand in for the training: the table as it lies in results/."""
        bound = signature.bind(*given, **options)
        return benchmark.read_table(bound.arguments["table"])

    monkeypatch.setattr(benchmark, "run_table", finished)
    # a sketch of a class may leave out its imports
    known = {"Method": Method, "Paper": Paper, "Fraction": Fraction, "dataclass": dataclass}
    exec(compile(fence.text, fence.name, "exec"), {"__name__": "__main__", **known})


def test_the_method_that_the_page_builds_keeps_its_contract() -> None:
    from benchmark.conformance import check_method

    (page,) = [fence for fence in PYTHON if "class MyMethodNetwork" in fence.text]
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(page.text, page.name, "exec"), space)
    outcomes = check_method(space["MyMethod"])
    assert [one for one in outcomes if one.passed is False] == []


def _runs() -> list[list[str]]:
    commands = [words for fence in SHELL for words in fence.commands()]
    return [words for words in commands if words[:4] == [*BENCHMARK, "run"]]


def test_runs_that_cannot_be_reached_are_read_by_the_real_parser(place: Path) -> None:
    unreached = [words for words in _runs() if UNREACHED & set(words)]
    found = {word for words in unreached for word in words}
    assert found >= UNREACHED  # each word of it leaves out some
    for words in unreached:
        type_in(words, place, printed=True)
        with pytest.raises(Exception, match="No such option: --unheard-of"):
            type_in([*words, "--unheard-of"], place, printed=True)


def _trainings() -> list[list[str]]:
    """Return the runs, each once, that need no file of the user's and no other machine."""
    own = [words for words in _runs() if not {"--data", "...", *UNREACHED} & set(words)]
    known = [words for words in own if not any(word.startswith("my_") for word in words)]
    return [list(words) for words in dict.fromkeys(map(tuple, known))]


@pytest.mark.long
@pytest.mark.parametrize("words", _trainings(), ids=" ".join)
def test_trainings_run_as_printed(
    words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "long"  # one store for all
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=7200
    )
    assert done.returncode == 0, done.stderr
    assert "written:" in done.stdout
