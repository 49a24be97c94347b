"""The LaTeX of a report, read back by a small parser: it must be whole and safe to compile."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from benchmark.report.build import build_report
from benchmark.report.latex import escape, render_latex
from benchmark.report.marks import MARKS
from benchmark.report.model import Measurement
from benchmark.tables import Table, load_table, table_ids

Measure = Callable[..., dict[tuple[str, str], Measurement]]
KNOWN = """ begin end centering small setlength tabcolsep caption label toprule midrule bottomrule
cmidrule multicolumn textsuperscript textrm ensuremath textbackslash textasciitilde textasciicircum
textless textgreater textbar ldots linewidth par smallskip footnotesize pm cdot times le ge approx
to circ mu alpha beta lambda Omega sim uparrow downarrow diamond ast emptyset surd bullet
resizebox ifdim width else fi """


def commands(text: str) -> set[str]:
    return set(re.findall(r"\\([A-Za-z]+)", text))


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
    return len(re.sub(r"p\{[^{}]*\}", "p", kinds))


def entries(line: str) -> int:
    """Return how many columns a line of a tabular fills."""
    assert line.endswith(r" \\")
    parts = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
    spans = (re.match(r"\s*\\multicolumn\{(\d+)\}", part) for part in parts)
    return sum(int(span[1]) if span else 1 for span in spans)


def check_tabulars(text: str) -> None:
    found = re.findall(r"\\begin\{tabular\}\{((?:[^{}]|\{[^{}]*\})*)\}\n(.*?)\\end", text, re.S)
    assert found
    for kinds, body in found:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        assert {entries(line) for line in lines} == {columns_of(kinds)}
        others = {re.match(r"\\?\w*", line)[0] for line in body.splitlines() if line not in lines}  # type: ignore[index]
        assert others <= {r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule"}


@pytest.mark.parametrize("table_id", table_ids())
def test_every_table_is_whole_with_and_without_numbers(table_id: str, measure: Measure) -> None:
    table = load_table(table_id)
    rates = [0.6] * len(list(table.measurable()))
    for runs in ({}, measure(table, seeds=1, rates=rates)):
        text = render_latex(build_report(table, "paper", runs))
        check_whole(text)
        check_safe(text)
        check_tabulars(text)
        assert len(re.findall(r"\\begin\{table\}", text)) == 1 + bool(table.claims)


def test_ours_stands_beside_the_published_value_with_its_mark(
    table1: Table, measure: Measure
) -> None:
    report = build_report(table1, "paper", measure(table1))
    cell = report.by_place["seenet", "val"]
    text = render_latex(report)
    assert cell.verdict == "differs"
    shown = rf"{cell.mean:.1f} \ensuremath{{\pm}} {cell.sd:.1f} $\downarrow$"
    assert rf"3 SeeNet (ours) & 57.3 & {shown} \\" in text
    assert r"$\downarrow$ our runs lie below the published value" in text
    result = report.claims[0]
    assert result.effect is not None
    assert f"& +1.2 & {result.effect.value:+.1f} &" in text


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
