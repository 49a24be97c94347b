"""The LaTeX of a report: one booktabs table of the scores, one of the claims.

The text is a fragment for ``\\input``; it needs booktabs and graphicx, and UTF-8 input.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from benchmark.report.markdown import NONE, claim_cells, mean_and_sd, verdict_cells
from benchmark.report.marks import mark
from benchmark.report.model import TableReport
from benchmark.report.verdicts import MEANINGS
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
    "\N{NO-BREAK SPACE}": "~",
}

LOWER_GREEK = "αβγδεζηθικλμνξπρστυφχψω"
UPPER_GREEK = "ΓΔΘΛΞΠΣΥΦΨΩ"
SHRUNK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Opens a box that shrinks what is wider than the page, and leaves all else alone."""

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
    columns = table.columns
    kinds = "l" + "".join("l" if column.kind == "text" else "rr" for column in columns)
    titles, rules, halves, place = [""], [], ["row"], 2
    for column in columns:
        if column.kind == "text":
            titles.append("")
            halves.append(escape(column.title))
            place += 1
            continue
        titles.append(rf"\multicolumn{{2}}{{c}}{{{escape(column.title)}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + 1}}}")
        halves += ["paper", "ours"]
        place += 2
    rows = [_row(report, row, columns) for row in table.rows]
    seeds = f"{report.seeds} seed{'' if report.seeds == 1 else 's'}"
    caption = (
        f"{escape(table.title)}: {escape(table.source)}, beside ours. "
        f"Profile {escape(report.profile)}, {seeds}; scores in points. {escape(report.meaning)}"
    )
    used = {cell.verdict for cell in report.cells if cell.row.ours}
    legend = [f"{mark(name).latex} {escape(MEANINGS[name])}" for name in MEANINGS if name in used]
    return _float(
        caption.strip(),
        f"tab:{table.id}",
        kinds,
        [_line(titles), " ".join(rules), _line(halves)],
        [_line(row) for row in rows],
        "; ".join(legend),
    )


def _row(report: TableReport, row: Row, columns: Sequence[Column]) -> list[str]:
    entries = [escape(row.title)]
    for column in columns:
        if column.kind == "text":
            entries.append(escape(row.text.get(column.id, NONE)))
            continue
        cell = report.by_place.get((row.id, column.id))
        entries.append(escape(verdict_cells(cell)[0] if cell else NONE))
        if cell is None or not row.ours:
            entries.append("")
        elif cell.mean is None:
            entries.append(mark(cell.verdict).latex)
        else:
            entries.append(f"{escape(mean_and_sd(cell))} {mark(cell.verdict).latex}")
    return entries


def _claims(report: TableReport) -> str:
    rows = []
    for result in report.claims:
        text, published, effect, interval, verdict, _ = claim_cells(result)
        shown = rf"{mark(verdict).latex} {escape(verdict)}"
        rows.append(_line([*map(_number, (text, published, effect, interval)), shown]))
    caption = (
        f"Claims of {escape(report.table.source)}, tested on ours. Differences in points; the "
        "interval is a paired bootstrap over images and seeds."
    )
    header = _line(["claim", "paper", "ours", r"95\,\% interval", "verdict"])
    kinds = r"p{0.42\linewidth}rrrl"
    return _float(caption, f"tab:{report.table.id}_claims", kinds, [header], rows, "")


def _number(text: str) -> str:
    """Return an entry with the minus of a number as a minus."""
    return re.sub(r"(?<![\w}])-(?=\d)", r"\\ensuremath{-}", escape(text))


def _float(
    caption: str, label: str, kinds: str, header: list[str], rows: list[str], legend: str
) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        SHRUNK,
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        *filter(None, header),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}}",
        *([rf"\par\smallskip\footnotesize {legend}."] if legend else []),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _line(entries: Sequence[str]) -> str:
    return " & ".join(entries) + r" \\"
