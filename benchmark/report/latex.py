"""The LaTeX of a report: one booktabs table of the scores, one of the claims.

The text is a fragment for ``\\input``; it needs booktabs and graphicx, and UTF-8 input.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmark.report.latex_layout import SIZES, Entry, Group, Layout, fit, text_width
from benchmark.report.markdown import (
    NONE,
    claim_cells,
    classes_go_down,
    mean_and_sd,
    published_score,
)
from benchmark.report.marks import mark
from benchmark.report.model import TableReport
from benchmark.report.verdicts import MEANINGS, seeds_text
from benchmark.tables.schema import Column, Row

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end it would begin an option
    "]": "{]}",
    "*": "{*}",  # likewise
    "µ": r"\ensuremath{\mu}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "·": r"\ensuremath{\cdot}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "≈": r"\ensuremath{\approx}",
    "→": r"\ensuremath{\to}",
    "²": r"\ensuremath{^2}",
    "°": r"\ensuremath{^\circ}",
    "†": r"\ensuremath{\dagger}",
    "‡": r"\ensuremath{\ddagger}",
    "\N{NO-BREAK SPACE}": "~",
}

LOWER_GREEK = "αβγδεζηθικλμνξπρστυφχψω"
UPPER_GREEK = "ΓΔΘΛΞΠΣΥΦΨΩ"
SHRUNK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Opens a box that shrinks what is wider than the page, and leaves all else alone."""

SENTENCES = SIZES[2]
"""For the claims: they are sentences, and span the page."""

SIGN = text_width(" +")
"""Room for the mark of a verdict."""

DOUBT = r"\textsuperscript{?}"

LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿČčŁłŒœŠšŽž")
"""Beyond ASCII, what LaTeX's first font encoding can set."""


def render_latex(report: TableReport) -> str:
    """Return the report's LaTeX."""
    parts = [
        "% Written by python -m benchmark; do not edit. Needs \\usepackage{booktabs,graphicx}.",
        _scores(report),
        *([_claims(report)] if report.claims else []),
    ]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it stands, on one line; ``L_{seed}`` becomes a subscript.

    A character that a plain LaTeX has no glyph for becomes its code point, ``[U+1F600]``.
    """
    text = re.sub(r'(?<![^\s(])"', "“", text).replace('"', "”")
    pieces = re.split(r"([A-Za-z]+_\{[^{}\\$]*\})", " ".join(text.split()))
    return "".join(
        _subscript(piece) if index % 2 else _plain(piece) for index, piece in enumerate(pieces)
    )


def _subscript(piece: str) -> str:
    base, below = piece[:-1].split("_{", 1)
    return rf"{_plain(base)}\ensuremath{{_{{\textrm{{{_plain(below)}}}}}}}"


def _plain(text: str) -> str:
    return "".join(_character(one) for one in text)


def _character(one: str) -> str:
    if one in SPECIAL:
        return SPECIAL[one]
    if one in LETTERS or (one.isascii() and one.isprintable()):
        return one
    return _greek(one) or f"{{[}}U+{ord(one):04X}{{]}}"


def _greek(one: str) -> str:
    """Return a Greek letter as mathematics; empty for any other character."""
    if one not in LOWER_GREEK + UPPER_GREEK:
        return ""
    name = unicodedata.name(one).split()[-1].replace("LAMDA", "LAMBDA")
    return rf"\ensuremath{{\{name.lower() if one in LOWER_GREEK else name.capitalize()}}}"


def _scores(report: TableReport) -> str:
    table = report.table
    titles, groups = _classes_down(report) if classes_go_down(table) else _as_printed(report)
    layout = fit(titles, groups)
    heads, rules, place = [""], [], 2
    for group, lines in zip(groups, layout.heads, strict=True):
        heads.append(_head(group, lines))
        if lines:
            rules.append(rf"\cmidrule(lr){{{place}-{place + len(group.columns) - 1}}}")
        place += len(group.columns)
    names = [escape(name) for group in groups for name in group.names]
    header = [_line(heads), " ".join(rules), _line(["", *names])]
    columns = [column for group in groups for column in group.columns]
    rows = [
        _line([_title(title, layout), *(entry.latex for entry in entries)])
        for title, *entries in zip(titles, *columns, strict=True)
    ]
    caption = (
        f"{escape(table.title)}: {escape(table.source)}, beside ours. "
        f"Profile {escape(report.profile)}, {seeds_text(report.seeds)}; scores in points. "
        f"{escape(report.meaning)}"
    )
    return _float(caption.strip(), f"tab:{table.id}", layout, header, rows, _legend(report))


def _as_printed(report: TableReport) -> tuple[list[str], list[Group]]:
    """Return the titles of the rows, and what stands beside them, as the paper lays it out."""
    rows = report.table.rows
    groups = []
    for column in report.table.columns:
        if column.kind == "text":
            texts = tuple(_entry(row.text.get(column.id, NONE)) for row in rows)
            groups.append(Group("", (column.title,), (texts,), "l"))
        else:
            groups.append(_group(column.title, [_pair(report, row, column) for row in rows]))
    return [row.title for row in rows], groups


def _classes_down(report: TableReport) -> tuple[list[str], list[Group]]:
    """Return the titles of the columns, which go down here, and the rows, which go across."""
    columns = report.table.score_columns
    groups = [
        _group(row.title, [_pair(report, row, column) for column in columns])
        for row in report.table.rows
    ]
    return [column.title for column in columns], groups


def _group(title: str, pairs: Sequence[tuple[Entry, Entry]]) -> Group:
    """Return the columns of published scores and of ours; the latter only where there are any."""
    published, ours = zip(*pairs, strict=True)
    if any(entry.latex for entry in ours):
        doubtful = any(DOUBT in entry.latex for entry in published)
        return Group(title, ("paper", "ours"), (published, ours), gap=3 if doubtful else 0)
    return Group(title, ("paper",), (published,))


def _pair(report: TableReport, row: Row, column: Column) -> tuple[Entry, Entry]:
    """Return the published score, and ours with its mark."""
    cell = report.by_place.get((row.id, column.id))
    if cell is None:
        return _entry(NONE), _entry("")
    published = _score(published_score(row, column))
    if cell.flag:  # beyond the right edge, so that the numbers stay in line
        published = replace(published, latex=rf"{published.latex}\rlap{{{DOUBT}}}")
    if not row.ours:
        return published, _entry("")
    sign = mark(cell.verdict).latex
    if cell.mean is None:
        return published, Entry(sign, SIGN)
    ours = _score(mean_and_sd(cell))
    return published, replace(ours, latex=f"{ours.latex} {sign}", width=ours.width + SIGN)


def _entry(text: str) -> Entry:
    return Entry(escape(text), text_width(text))


def _score(text: str) -> Entry:
    """Return a score; its spread, if there is one, stands smaller beside it."""
    mean, _, spread = text.partition(" ± ")
    if not spread:
        return _entry(text)
    latex = rf"{escape(mean)}{{\scriptsize\,{escape(f'± {spread}')}}}"
    return Entry(latex, text_width(mean), text_width(f" ± {spread}"))


def _legend(report: TableReport) -> str:
    used = {cell.verdict for cell in report.cells if cell.row.ours}
    parts = [f"{mark(name).latex} {escape(MEANINGS[name])}" for name in MEANINGS if name in used]
    if any(row.flags for row in report.table.rows):
        parts.append(f"{DOUBT} read from the paper with some doubt")
    return "; ".join(parts)


def _head(group: Group, lines: Sequence[str]) -> str:
    """Return the title of a group above its columns."""
    if not lines:
        return ""
    shown = r"\\".join(map(escape, lines))
    title = rf"\shortstack{{{shown}}}" if len(lines) > 1 else shown
    return rf"\multicolumn{{{len(group.columns)}}}{{c}}{{{title}}}"


def _title(text: str, layout: Layout) -> str:
    """Return an entry of the first column, which may be broken into lines."""
    broken = "" if layout.first is None else r"\raggedright\hangindent1em "
    return f"{broken}{escape(text)}"


def _claims(report: TableReport) -> str:
    texts, entries = [], []
    for result in report.claims:
        text, published, effect, interval, verdict, _ = claim_cells(result)
        texts.append(text)
        shown = Entry(f"{mark(verdict).latex} {escape(verdict)}", text_width(verdict) + SIGN)
        entries.append((*map(_number, (published, effect, interval)), shown))
    names = ("paper", "ours", "95 % interval", "verdict")
    groups = [
        Group("", (name,), (column,), "l" if name == "verdict" else "r")
        for name, column in zip(names, zip(*entries, strict=True), strict=True)
    ]
    layout = fit(texts, groups, [SENTENCES])
    rows = [
        _line([_title(text, layout), *(entry.latex for entry in line)])
        for text, line in zip(texts, entries, strict=True)
    ]
    table = report.table
    source = table.source if table.paper else f"“{table.title}”"
    caption = (
        f"Claims of {escape(source)}, tested on ours. Profile {escape(report.profile)}, "
        f"{seeds_text(report.seeds)}; differences in points; the interval is a paired bootstrap "
        f"over images and seeds. {escape(report.meaning)}"
    ).strip()
    if any(result.claim.kind == "unstable" for result in report.claims):
        caption += rf" {escape('×')}: a ratio of the variances over the seeds, by an F-test."
    header = [_line(["claim", *map(escape, names)])]
    label = f"tab:{report.table.id}_claims"
    return _float(caption, label, layout, header, rows, _claim_notes(report))


def _claim_notes(report: TableReport) -> str:
    """Return every note on the claims once, with the places of the claims that it is on."""
    noted: dict[str, list[str]] = {}
    for place, result in enumerate(report.claims, start=1):
        if result.note:
            noted.setdefault(result.note, []).append(str(place))
    parts = [
        f"Claim{'s' if len(places) > 1 else ''} {', '.join(places)}: {note}"
        for note, places in noted.items()
    ]
    return ". ".join(map(escape, parts))


def _number(text: str) -> Entry:
    """Return an entry with the minus of a number as a minus."""
    latex = re.sub(r"(?<![\w}])-(?=\d)", r"\\ensuremath{-}", escape(text))
    return Entry(latex, text_width(re.sub(r"-(?=\d)", "−", text)))


def _float(
    caption: str,
    label: str,
    layout: Layout,
    header: Sequence[str],
    rows: Sequence[str],
    legend: str,
) -> str:
    size = layout.size
    lines = [
        rf"\begin{{{size.environment}}}",
        r"\centering",
        size.type,
        rf"\setlength{{\tabcolsep}}{{{size.separation}pt}}",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        r"\par\smallskip",
        SHRUNK,
        rf"\begin{{tabular}}{{{layout.kinds}}}",
        r"\toprule",
        *filter(None, header),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}}",
        *([rf"\par\smallskip\footnotesize {legend}."] if legend else []),
        rf"\end{{{size.environment}}}",
    ]
    return "\n".join(lines)


def _line(entries: Iterable[str]) -> str:
    return " & ".join(entries) + r" \\"
