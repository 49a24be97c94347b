"""Every command with options of random values: an error in one line, never a traceback."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import cli, runner
from benchmark.tables import table_ids

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from breakage import UGLY, one_line

COMMANDS = {
    ("run",): ("--table", "--profile", "--data", "--classes", "--labels", "--labels-csv"),
    ("report",): ("--table", "--seeds", "--rows", "--from", "--saliency", "--profile"),
    ("plan",): ("--table", "--seeds", "--rows", "--from", "--weights", "--profile", "--data"),
    ("status",): ("--table", "--seeds", "--profile"),
    ("diff",): ("--table", "--seeds", "--against", "--from", "--profile"),
    ("page",): ("--profile",),
    ("gap",): ("--table", "--row", "--from", "--seeds"),
    ("figures",): ("--table", "--row", "--images", "--profile"),
    ("context",): ("--table", "--row", "--image", "--pixel"),
    ("submit",): ("--table", "--row", "--jobs", "--data", "--profile"),
    ("score", "add"): ("--table", "--row", "--column", "--value", "--link", "--profile"),
    ("list",): ("",),
    ("data", "check"): ("", "--classes", "--labels", "--labels-csv", "--profile"),
    ("methods", "check"): ("",),
    ("methods", "new"): ("",),
    ("weights", "make"): ("",),
    ("bench",): ("--groups",),
}
"""The options whose values are tried, but those that name what is written; "" is an argument."""
NEEDED = ("", "--table", "--groups")
"""Never left out: without groups ``bench`` measures everything."""
PLACES = {
    "run": 2,
    "report": 2,
    "plan": 1,
    "status": 1,
    "diff": 2,
    "gap": 2,
    "figures": 2,
    "context": 2,
}
KNOWN = (
    "row",
    "7",
    "0",
    "-1",
    "scenes",
    "paper",
    "eader_alpha",
    "fullsup",
    "labels=.",
    "1,2",
    ",",
)
words = st.one_of(
    st.sampled_from([one for one in UGLY if "\0" not in one]),  # no shell can type a NUL
    st.sampled_from(KNOWN),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str]]:
    """Return a command, and its options with near-random values; each may be left out."""
    command = draw(st.sampled_from(sorted(COMMANDS)))
    typed: list[str] = []
    for option in COMMANDS[command]:
        value = draw(words)
        if option == "--table":
            value = draw(st.one_of(st.sampled_from(["eader_alpha", "fullsup"]), words))
        if option in NEEDED or draw(st.booleans()):
            typed += (
                [option, value] if option else ["--", value] if value.startswith("-") else [value]
            )
    return command, typed


def places(command: tuple[str, ...]) -> list[str]:
    taken = PLACES.get(command[0], 0)
    found = ["--store", "store"] if taken or command == ("submit",) else []
    return found + (["--results", "results"] if taken == 2 or command == ("page",) else [])


@given(lines())
@settings(max_examples=settings().max_examples // 2)  # some of them import torch, and plan
def test_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: tuple[tuple[str, ...], list[str]],
) -> None:
    command, typed = line
    folder = tmp_path / "here" / "inner"
    shutil.rmtree(folder, ignore_errors=True)  # what the line before this one has left
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    before = set(tmp_path.rglob("*"))
    arguments = [*command, *places(command), *typed]
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    monkeypatch.setattr(runner, "run_plans", lambda *plans, **how: {})
    ended: list[object] = []

    def run() -> None:
        with pytest.raises(SystemExit) as stop:
            cli.main()
        ended.append(stop.value.code)

    one_line(run)
    out, err = capsys.readouterr()
    assert ended[0] in (0, 1, 2), arguments
    assert "Traceback" not in out + err, arguments
    if ended[0] == 2:
        assert err.splitlines()[-1].startswith("error: "), arguments
        assert not (folder / "results").exists()
    escaped = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(folder) for path in escaped), arguments


def test_every_command_is_tried() -> None:
    found: set[tuple[str, ...]] = set()
    for info in cli.app.registered_commands:
        found.add((info.name or _name(info.callback),))
    for group in cli.app.registered_groups:
        assert isinstance(group.typer_instance, typer.Typer)
        for info in group.typer_instance.registered_commands:
            found.add((str(group.name), info.name or _name(info.callback)))
    assert found - set(COMMANDS) <= {("doctor",), ("data", "scenes")}


def _name(callback: Callable[..., object] | None) -> str:
    assert callback is not None
    return inspect.unwrap(callback).__name__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "--table", "cam" * 2000], "no table"),
        (
            ["plan", "--table", "eader_alpha", "--profile", "x" * 5000 + ".toml"],
            "File name too long",
        ),
        (["plan", "--table", "eader_alpha", "--store", "x" * 5000], "File name too long"),
        (["plan", "--table", "eader_alpha", "--seeds", "1000000000"], "--seeds"),
        (["bench", "--groups", ""], "no bench group"),
        (["run", "--table", "eader_alpha", "--jobs", "1000000000"], "--jobs"),
        (["page", "--profile", "../here"], "holds no results"),
        (["page", "--profile", ".."], "holds no results"),
        (
            [
                "context",
                "--table",
                "sgan_table1",
                "--row",
                "x",
                "--image",
                "i",
                "--pixel",
                "9" * 5000 + ",1",
            ],
            "say X,Y",
        ),
        (
            ["context", "--table", "sgan_table1", "--row", "x", "--image", "i", "--pixel", "٣,٤"],
            "say X,Y",
        ),
        (["data", "scenes", "new", "--size", "1000000"], "--size"),
        (["methods", "new", "../outside"], "cannot be a method's name"),
        (["diff", "--table", "../../outside", "--against", "results"], "no table"),
        (
            [
                "score",
                "add",
                "--table",
                "fullsup",
                "--row",
                "aspp_vgg16",
                "--column",
                "test_crf",
                "--value",
                "nan",
                "--link",
                "https://x",
            ],
            "from 0 to 100",
        ),
        (
            [
                "score",
                "add",
                "--table",
                "fullsup",
                "--row",
                "aspp_vgg16",
                "--column",
                "test_crf",
                "--value",
                "5",
                "--link",
                'https://x"\nvalue = 9',
            ],
            "is no link",
        ),
    ],
)
def test_values_that_once_went_wrong(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert (stop.value.code, said in line) == (2, True), line[:200]
    assert not list(tmp_path.glob("results*"))


def test_results_of_every_table_have_a_name_of_their_own() -> None:
    assert all(name.replace("_", "").isalnum() for name in table_ids())
    assert json.dumps(sorted(table_ids())) == json.dumps(sorted(set(table_ids())))
