"""What the screen shows, in a terminal and in a pipe."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.report.build import build_report
from benchmark.report.card import ProtocolCard
from benchmark.report.console import print_report
from benchmark.report.model import Measurement
from benchmark.tables import Table

Measure = Callable[..., dict[tuple[str, str], Measurement]]
Change = Callable[[ProtocolCard], ProtocolCard]


def printed(console_options: dict[str, object], *arguments: object) -> str:
    buffer = io.StringIO()
    print_report(*arguments, console=Console(file=buffer, **console_options))  # type: ignore[arg-type]
    return buffer.getvalue()


def test_plain_text_in_a_pipe(
    table1: Table,
    measure: Measure,
    on_scenes: Change,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    report = build_report(
        table1, "scenes", measure(table1, change=on_scenes), meaning="Says little."
    )
    text = printed({}, report, [tmp_path / "results" / "scenes" / "seenet_table1.md"])
    assert "\x1b" not in text
    assert {c for c in text if not c.isprintable()} == {"\n"}
    for row in table1.rows:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {row.title}"))
        assert f"{row.published['val']} |" in line
        assert "not-comparable" in line
    assert text.count("holds") == 2
    assert text.count("differs in: data set, profile") == 1  # a note of all rows stands once
    assert "\n  results/scenes/seenet_table1.md\n" in text


def test_colours_in_a_terminal_that_is_narrow(table1: Table, measure: Measure) -> None:
    report = build_report(table1, "paper", measure(table1))
    options = {"force_terminal": True, "width": 80, "color_system": "standard"}
    text = printed(options, report)
    assert "\x1b[" in text
    for value in ("56.1", "55.8", "57.3"):
        assert value in text
    assert "…" not in text


def test_several_columns_show_the_papers_layout_first(table2: Table, measure: Measure) -> None:
    text = printed({}, build_report(table2, "paper", measure(table2)))
    assert text.index("DCSP-ResNet101") < text.index("verdict")
    assert "33.3 (?)" in text
    assert "waits for a score of the evaluation server" in text


def test_text_is_never_read_as_markup(table1: Table, measure: Measure) -> None:
    runs = measure(table1)
    error = "[/red] config [bold]x[/bold]"
    runs["acol", "val"] = Measurement(card=runs["acol", "val"].card, error=error)
    text = printed({}, build_report(table1, "paper", runs, meaning="[/oops]"))
    assert error in text
    assert "[/oops]" in text
