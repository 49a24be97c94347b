"""The LaTeX of a report, read back by a small parser, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmark.report.build import build_report
from benchmark.report.latex import escape, render_latex
from benchmark.report.latex_layout import SIZES, Entry, Group, fit, text_width
from benchmark.report.marks import MARKS
from benchmark.report.model import Measurement
from benchmark.tables import Table, load_table, table_ids

Measure = Callable[..., dict[tuple[str, str], Measurement]]
KNOWN = """ begin end centering small setlength tabcolsep caption label toprule midrule bottomrule
cmidrule multicolumn textsuperscript textrm ensuremath textbackslash textasciitilde textasciicircum
textless textgreater textbar ldots linewidth par smallskip footnotesize pm cdot times le ge approx
to circ mu alpha beta lambda Omega sim uparrow downarrow diamond ast emptyset surd bullet
resizebox ifdim width else fi scriptsize shortstack rlap raggedright hangindent hspace dagger """


def commands(text: str) -> set[str]:
    return set(re.findall(r"\\([A-Za-z]+)", text.replace(r"\\", " ")))


def check_whole(text: str) -> None:
    """Assert that environments, braces and mathematics end where they begin."""
    open_environments: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert open_environments == []
    bare = re.sub(r"\\.", "", text)
    depth = 0
    for one in bare:
        depth += {"{": 1, "}": -1}.get(one, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0


def check_safe(text: str) -> None:
    """Assert that no character means something to LaTeX that only text should hold."""
    lines = text.splitlines()
    body = "\n".join(line.removesuffix("{%") for line in lines if not line.startswith("% Written"))
    assert commands(body) <= set(KNOWN.split())
    bare = re.sub(r"\\.", "", body)
    assert not re.search(r"[#%~^]", re.sub(r"ensuremath\{\^\w*\}", "", bare))
    outside = re.sub(r"ensuremath\{_\{", "", re.sub(r"\\label\{[^}]*\}", "", body))
    assert "_" not in re.sub(r"\\.", "", outside)
    assert body.isascii() or not set(body) - set(map(chr, range(0x180)))


def columns_of(kinds: str) -> int:
    without_space = re.sub(r"@\{\\hspace\{\d+pt\}\}", "", kinds)
    return len(re.sub(r"p\{[^{}]*\}", "p", without_space))


def entries(line: str) -> int:
    """Return how many columns a line of a tabular fills."""
    assert line.endswith(r" \\")
    parts = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
    spans = (re.match(r"\s*\\multicolumn\{(\d+)\}", part) for part in parts)
    return sum(int(span[1]) if span else 1 for span in spans)


def tabulars(text: str) -> list[tuple[str, str]]:
    """Return the kinds of columns, and the lines, of every tabular."""
    return re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end", text, re.S)


def check_tabulars(text: str) -> None:
    found = tabulars(text)
    assert found
    for kinds, body in found:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        assert {entries(line) for line in lines} == {columns_of(kinds)}
        others = {re.match(r"\\?\w*", line)[0] for line in body.splitlines() if line not in lines}  # type: ignore[index]
        assert others <= {r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule"}


@pytest.fixture(scope="module")
def texts(measure: Measure) -> dict[str, tuple[str, str]]:
    """The LaTeX of every table, without numbers of ours and with three seeds."""
    found = {}
    for table in map(load_table, table_ids()):
        measured = measure(table, rates=[0.6] * len(list(table.measurable())))
        empty, full = (
            render_latex(build_report(table, "paper", runs, meaning="What it may claim."))
            for runs in ({}, measured)
        )
        found[table.id] = empty, full
    return found


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_is_whole_with_and_without_numbers(
    table_id: str, texts: Mapping[str, tuple[str, str]]
) -> None:
    table = load_table(table_id)
    for text in texts[table_id]:
        check_whole(text)
        check_safe(text)
        check_tabulars(text)
        assert len(re.findall(r"\\begin\{table\*?\}", text)) == 1 + bool(table.claims)


@pytest.mark.parametrize("table_id", ["sgan_table2", "dsna_table6", "eader_perclass"])
def test_classes_go_down_and_cited_rows_have_no_column_of_ours(
    table_id: str, texts: Mapping[str, tuple[str, str]]
) -> None:
    table = load_table(table_id)
    kinds, body = tabulars(texts[table_id][1])[0]
    assert columns_of(kinds) == 1 + len(table.rows) + sum(row.ours for row in table.rows)
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 2 + 22
    first, last = table.rows[0].published.values(), table.rows[-1].published.values()
    for line, left, right in zip(lines[2:], first, last, strict=True):
        numbers = re.findall(r"(?<=& )\d+\.\d", line)
        assert numbers[0] == f"{left:.1f}"
        assert numbers[-2 if table.rows[-1].ours else -1] == f"{right:.1f}"


def test_a_layout_is_the_first_that_holds_the_table() -> None:
    number = Entry("12.3", text_width("12.3"))
    assert number.width == pytest.approx(17.8)

    def chosen(titles: list[str], columns: int) -> tuple[str, str, bool]:
        groups = [Group("", ("",), ((number,),))] * columns
        layout = fit(titles, groups)
        return layout.size.environment, layout.size.type, layout.first is not None

    # a column takes 0.93 * 17.8 + 8 = 24.6 in small type, 0.86 * 17.8 + 6 = 21.3 in the next
    assert chosen(["n"], 8) == ("table", r"\small", False)  # 8 + 4.9 + 8 * 24.6 = 209.4 of 221
    assert chosen(["n"], 9) == ("table", r"\footnotesize", False)  # 6 + 4.6 + 9 * 21.3 = 202.4
    assert chosen(["n"], 10) == ("table*", r"\small", False)  # 6 + 4.6 + 10 * 21.3 = 223.7
    assert chosen(["n"], 18) == ("table*", r"\footnotesize", False)  # 8 + 4.9 + 18 * 24.6 = 454.9
    assert chosen(["n"], 22) == ("table*", r"\scriptsize", False)  # 6 + 4.6 + 22 * 21.3 = 479.4
    assert chosen(["word " * 30], 3) == ("table*", r"\small", True)  # broken into lines


def test_a_broken_title_gets_the_room_that_is_left() -> None:
    entry = Entry("", 100.0, 10.0)
    layout = fit(["word " * 30], [Group("", ("",), ((entry,),))], [SIZES[2]])
    assert layout.first == pytest.approx(452 - 8 - (0.93 * 100 + 0.8 * 10 + 8))
    assert layout.kinds == "p{335pt}r"


def test_heads_are_broken_where_they_are_wider_than_their_columns() -> None:
    pair = ((Entry("", 20.0),), (Entry("", 40.0),))
    layout = fit(["n"], [Group("mIoU val w/o CRF", ("", ""), pair, gap=3)])
    # 0.93 * 60 + 8 + 3 = 66.8 points; "mIoU val w/o" takes 0.93 * 69.2 = 64.3, with CRF 89.2
    assert layout.heads == [["mIoU val w/o", "CRF"]]
    assert layout.kinds == r"lr@{\hspace{11pt}}r"


PAPER = r"""\documentclass[twocolumn,%s]{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx}
\renewcommand{\resizebox}[3]{#3}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
@pytest.mark.parametrize("paper", ["a4paper", "letterpaper"])
def test_every_table_compiles_and_fits_the_page_without_being_shrunk(
    paper: str, texts: Mapping[str, tuple[str, str]], tmp_path: Path
) -> None:
    parts = []
    for table_id, both in texts.items():
        for text in both:
            parts += [rf"\typeout{{now {table_id}}}", text, r"\clearpage"]
    (tmp_path / "paper.tex").write_text(PAPER % (paper, "\n".join(parts)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    finished = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="latin-1", timeout=120
    )
    assert finished.returncode == 0, finished.stdout[-2000:]
    wide = re.findall(r"now (\w+)|Overfull \\[hv]box \((\d+\.\d+)pt", finished.stdout)
    assert not [points for _, points in wide if points and float(points) > 1], wide
    assert "Float too large" not in finished.stdout


def test_ours_stands_beside_the_published_value_with_its_mark(
    table1: Table, measure: Measure
) -> None:
    report = build_report(table1, "paper", measure(table1))
    cell = report.by_place["seenet", "val"]
    text = render_latex(report)
    assert cell.verdict == "differs"
    spread = rf"{{\scriptsize\,\ensuremath{{\pm}} {cell.sd:.1f}}}"
    shown = rf"{cell.mean:.1f}{spread} $\downarrow$"
    assert rf"3 SeeNet (ours) & 57.3 & {shown} \\" in text
    assert r"$\downarrow$ our runs lie below the published value" in text
    result = report.claims[0]
    assert result.effect is not None
    assert f"& +1.2 & {result.effect.value:+.1f} &" in text


def test_claims_stand_with_their_profile_seeds_and_notes(table1: Table, measure: Measure) -> None:
    runs = measure(table1, 1)
    report = build_report(table1, "scenes", runs, meaning="Generated images.")
    claims = render_latex(report).split(r"\begin{table")[2]
    assert "Profile scenes, 1 seed;" in claims
    assert "Generated images." in claims
    few = (
        "1 seed: the interval covers the images, not the training; judged with a margin of 1 point"
    )
    numbers = [str(place) for place, one in enumerate(report.claims, 1) if one.note == few]
    assert f"Claims {', '.join(numbers)}: {few}" in claims


HOSTILE = r"50 % & a_b #1 ~^ \end{table} {x} $y$ [z] * <script> | é α λ 中"


def test_hostile_titles_print_as_they_stand(table1: Table, measure: Measure) -> None:
    rows = tuple(row.model_copy(update={"title": HOSTILE}) for row in table1.rows)
    claims = tuple(claim.model_copy(update={"text": HOSTILE}) for claim in table1.claims)
    table = table1.model_copy(update={"rows": rows, "claims": claims, "title": HOSTILE})
    text = render_latex(build_report(table, "paper", measure(table1)))
    check_whole(text)
    check_safe(text)
    check_tabulars(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a & b_c 5% #", r"a \& b\_c 5\% \#"),
        ("mS_{prec} (merged)", r"mS\ensuremath{_{\textrm{prec}}} (merged)"),
        ("α λ Ω", r"\ensuremath{\alpha} \ensuremath{\lambda} \ensuremath{\Omega}"),
        ("ICCV’15 – é", "ICCV'15 -- é"),
        ('"weak" ("sal")', "``weak'' (``sal'')"),
        ("\\", r"\textbackslash{}"),
        ("two\nlines", "two lines"),
        ("中ϝ", "{[}U+4E2D{]}{[}U+03DD{]}"),
        ("_{\\x}", r"\_\{\textbackslash{}x\}"),
    ],
)
def test_text_is_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_line_cannot_begin_with_an_option_of_the_line_before() -> None:
    assert not escape("[1] x").startswith("[")
    assert not escape("* x").startswith("*")


def test_marks_differ_from_each_other() -> None:
    assert len({one.latex for one in MARKS.values()}) == len(MARKS)
    assert len({one.symbol for one in MARKS.values()}) == len(MARKS)
