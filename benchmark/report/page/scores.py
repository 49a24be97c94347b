"""The tables of a page, from a report's JSON: scores, per class, protocol cards, details."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.report.card import TITLES, shown_value
from benchmark.report.markdown import NONE, points, signed, span
from benchmark.report.page.records import ReportRecords, Step

Cell = Mapping[str, Any]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Head:
    """What stands above some columns of the page, and their names."""

    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One entry of a score table."""

    kind: str  # "text" | "paper" | "ours" | "interval" | "difference" | "seeds" | "verdict"
    text: str = NONE
    sort: float | str | None = None
    target: str = ""  # id of the details
    verdict: str = ""
    first: bool = False  # of its column


@dataclass(frozen=True)
class Line:
    """One row of a score table."""

    title: str
    kind: str  # "ours" | "cited", or empty where rows of the paper go across
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class ScoreTable:
    """The table as the paper lays it out, ours beside it."""

    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    first: str  # what the first column holds
    wide: bool  # several scores a row: a verdict is a mark beside its number
    grouped: bool  # a column has several parts, so that its title stands above them


TITLES_OF_PARTS = {
    "text": "",
    "paper": "paper",
    "ours": "ours",
    "interval": "95 % for one run",
    "difference": "ours − paper",
    "seeds": "seeds",
    "verdict": "verdict",
}


MOST_WHOLE = 2
"""Scores a row, above which intervals and differences are left to the details."""

MOST_ACROSS = 12
"""Scores a row, above which they go down, and the rows across: a score for every class does."""


def slug(*parts: str) -> str:
    """Return an id for the page: letters, digits, hyphens and underscores alone."""
    joined = "-".join(parts)
    return "".join(
        one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in joined
    )


def score_table(document: Document) -> ScoreTable:
    """Return the scores in the paper's layout, without the parts that stand nowhere."""
    scores = [column for column in document["columns"] if column["kind"] == "score"]
    if len(scores) > MOST_ACROSS:
        return _scores_down(document, scores)
    wide = len(scores) > 1
    crowded = len(scores) > MOST_WHOLE
    cells = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    parts = {
        column["id"]: _parts(
            column,
            [one for one in document["cells"] if one["column"] == column["id"]],
            wide,
            crowded,
        )
        for column in document["columns"]
    }
    lines = []
    for row in document["rows"]:
        entries: list[Entry] = []
        for column in document["columns"]:
            for index, kind in enumerate(parts[column["id"]]):
                cell = cells.get((row["id"], column["id"]))
                entries.append(_entry(kind, document, row, column, cell, index == 0))
        lines.append(Line(row["title"], "ours" if row["ours"] else "cited", tuple(entries)))
    heads = tuple(
        Head(column["title"], tuple(TITLES_OF_PARTS[kind] for kind in parts[column["id"]]))
        for column in document["columns"]
    )
    grouped = any(len(head.parts) > 1 for head in heads)
    return ScoreTable(heads, tuple(lines), "row", wide, grouped)


def _scores_down(document: Document, columns: Sequence[Mapping[str, Any]]) -> ScoreTable:
    """Return a line a score of the paper, and beside it that of every row."""
    cells = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    places = [
        (row, index, kind)
        for row in document["rows"]
        for index, kind in enumerate(("paper", "ours") if row["ours"] else ("paper",))
    ]
    lines = []
    for column in columns:
        entries = [
            _entry(kind, document, row, column, cells.get((row["id"], column["id"])), index == 0)
            for row, index, kind in places
        ]
        lines.append(Line(column["title"], "", tuple(entries)))
    heads = tuple(
        Head(row["title"], ("paper", "ours") if row["ours"] else ("paper",))
        for row in document["rows"]
    )
    return ScoreTable(heads, tuple(lines), "score", wide=True, grouped=True)


def _parts(
    column: Mapping[str, Any], cells: Sequence[Cell], wide: bool, crowded: bool
) -> tuple[str, ...]:
    if column["kind"] == "text":
        return ("text",)
    ours = any(cell["verdict"] != "cited" for cell in cells)
    there = {
        "paper": any(cell["published"] is not None for cell in cells),
        "ours": ours,
        "interval": not crowded and any(cell["interval"] for cell in cells),
        "difference": not crowded and any(cell["difference"] is not None for cell in cells),
        "seeds": not wide and any(cell["seeds"] for cell in cells),
        "verdict": ours and not wide,
    }
    return tuple(name for name, wanted in there.items() if wanted) or ("paper",)


def _entry(
    kind: str,
    document: Document,
    row: Mapping[str, Any],
    column: Mapping[str, Any],
    cell: Cell | None,
    first: bool,
) -> Entry:
    if kind == "text":
        text = row["text"].get(column["id"], NONE)
        return Entry(kind, text, text, first=first)
    if cell is None:
        return Entry(kind, NONE if kind == "paper" else "", first=first)
    if kind == "paper":
        return Entry(kind, published(cell, column["decimals"]), cell["published"], first=first)
    if cell["verdict"] == "cited":
        return Entry(kind, "", first=first)
    return Entry(
        kind,
        *_shown(kind, cell),
        target=cell_id(document, cell) if cell["values"] else "",
        verdict=cell["verdict"],
        first=first,
    )


def published(cell: Cell, decimals: int) -> str:
    """Return the paper's number for people, with its spread and a mark of doubt if it has any."""
    spread = cell.get("deviation")
    beside = "" if spread is None else f" ± {points(spread, decimals)}"
    return points(cell["published"], decimals) + beside + (" (?)" if cell["flag"] else "")


def _shown(kind: str, cell: Cell) -> tuple[str, float | str | None]:
    """Return an entry's text and what it is sorted by."""
    if kind == "ours":
        return mean_and_sd(cell), cell["mean"]
    if kind == "interval":
        return minus(span(cell["interval"])), cell["interval"][0] if cell["interval"] else None
    if kind == "difference":
        return minus(signed(cell["difference"])), cell["difference"]
    if kind == "seeds":
        return str(len(cell["seeds"])) if cell["seeds"] else NONE, len(cell["seeds"])
    return cell["verdict"], cell["verdict"]


def minus(text: str) -> str:
    """Return numbers with a minus as wide as their plus."""
    return text.replace("-", "−")


def mean_and_sd(cell: Cell, decimals: int = 1) -> str:
    """Return our score for people, with its spread where there are several seeds."""
    if cell["mean"] is None:
        return NONE
    mean = points(cell["mean"], decimals)
    return mean if cell["sd"] is None else f"{mean} ± {points(cell['sd'], decimals)}"


def cell_id(document: Document, cell: Cell) -> str:
    """Return the id of a cell's details in the page."""
    return slug("cell", document["table"], cell["row"], cell["column"])


# Remarks: what holds of several cells, said once


@dataclass(frozen=True)
class Remark:
    """What is to be said of some rows."""

    text: str
    rows: str  # their titles; empty where it is said of all


def remarks(document: Document) -> list[Remark]:
    """Return what limits our numbers, each once, with the rows that it is said of."""
    said: dict[str, list[str]] = {}
    ours = [cell for cell in document["cells"] if cell["verdict"] != "cited"]
    for cell in ours:
        if text := remark(cell):
            said.setdefault(text, []).append(cell["row_title"])
    return [
        Remark(text, "" if len(rows) == len(ours) else ", ".join(dict.fromkeys(rows)))
        for text, rows in said.items()
    ]


def remark(cell: Cell) -> str:
    """Return what stands beside a verdict: the differing fields, then the caveats."""
    differing = ", ".join(TITLES.get(name, name) for name in cell["differing"])
    parts = (f"differs in {differing}" if differing else "", cell["note"])
    return "; ".join(part for part in parts if part)


# Details of one number


@dataclass(frozen=True)
class Run:
    """One seed behind a number."""

    seed: str
    value: str
    chain: list[Step]


@dataclass(frozen=True)
class Detail:
    """Everything about one number of ours."""

    id: str
    title: str
    verdict: str
    meaning: str
    facts: list[tuple[str, str]]
    card: list[CardLine]  # the fields that differ from the paper's, or from cell to cell
    runs: list[Run]


@dataclass(frozen=True)
class CardLine:
    """One field of the protocol card."""

    title: str
    paper: str
    ours: str
    differs: bool
    varies: bool  # over the cells


def details(document: Document, records: ReportRecords) -> list[Detail]:
    """Return the details of every number of ours."""
    decimals = {column["id"]: column["decimals"] for column in document["columns"]}
    varying = {line.title for line in card_lines(document) if line.varies}
    return [
        _detail(document, cell, decimals[cell["column"]], varying, records)
        for cell in document["cells"]
        if cell["values"]
    ]


def _detail(
    document: Document, cell: Cell, decimals: int, varying: set[str], records: ReportRecords
) -> Detail:
    seeds = [str(seed) for seed in cell["seeds"]] or [""] * len(cell["values"])
    keys = cell["records"] or [""] * len(seeds)
    revisions, environments = records.origin([*cell["records"]])
    facts = [
        ("ours", mean_and_sd(cell, 2)),
        ("paper", published(cell, decimals) if cell["published"] is not None else ""),
        (
            "ours − paper",
            minus(signed(cell["difference"], 2)) if cell["difference"] is not None else "",
        ),
        ("95 % for one run", span(cell["interval"], 2) if cell["interval"] else ""),
        ("images", str(cell["images"]) if cell["images"] else ""),
        ("note", cell["note"]),
        ("doubt", cell["flag"]),
        ("data", data_text(document) if cell["records"] else ""),
        ("git revision", revisions),
        ("environment", environments),
    ]
    return Detail(
        id=cell_id(document, cell),
        title=f"{cell['row_title']}, {cell['column_title']}",
        verdict=cell["verdict"],
        meaning=document["verdict_meanings"].get(cell["verdict"], ""),
        facts=[(name, text) for name, text in facts if text],
        card=[line for line in card_of([cell]) if line.differs or line.title in varying],
        runs=[
            Run(seed, points(value, 2), records.chain(key) if key else [])
            for seed, value, key in zip(seeds, cell["values"], keys, strict=False)
        ],
    )


def data_text(document: Document, longest: int | None = None) -> str:
    """Return what describes the data set; a word of more than ``longest`` letters is cut short."""
    entries = document["data"].items()
    text = ", ".join(value if name == "name" else f"{name} {value}" for name, value in entries)
    return re.sub(rf"(\w{{12}})\w{{{longest - 12},}}", r"\1…", text) if longest else text


def card_lines(document: Document) -> list[CardLine]:
    """Return the protocol card of the table; a field with several values lists them."""
    return card_of([cell for cell in document["cells"] if cell["published_card"]])


def card_of(cells: Sequence[Cell]) -> list[CardLine]:
    """Return the protocol card over some cells."""
    theirs = [cell["published_card"] for cell in cells if cell["published_card"]]
    ours = [cell["card"] for cell in cells if cell["card"]]
    names = dict.fromkeys([*TITLES, *(name for card in (*theirs, *ours) for name in card)])
    lines = []
    for name in names if theirs or ours else ():
        paper, mine = _values(theirs, name), _values(ours, name)
        differs = any(name in cell["differing"] for cell in cells)
        varies = len(paper) > 1 or len(mine) > 1
        lines.append(CardLine(TITLES.get(name, name), _said(paper), _said(mine), differs, varies))
    return lines


def _values(cards: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Return the distinct values of one field, in their order."""
    return list(dict.fromkeys(shown_value(name, card.get(name)) for card in cards))


def _said(values: Sequence[str]) -> str:
    return "; ".join(values) or NONE


# Per class


@dataclass(frozen=True)
class ClassTable:
    """The classes of one column: a line a class, a score a row of ours."""

    title: str
    rows: list[str]
    lines: list[tuple[str, list[float | None]]]


def class_tables(document: Document) -> list[ClassTable]:
    """Return a table of class scores for every column that has some."""
    tables = []
    for column in document["columns"]:
        cells = [c for c in document["cells"] if c["column"] == column["id"] and c["class_scores"]]
        if cells:
            names = dict.fromkeys(name for cell in cells for name in cell["class_scores"])
            lines = [(name, [cell["class_scores"].get(name) for cell in cells]) for name in names]
            tables.append(ClassTable(column["title"], [cell["row_title"] for cell in cells], lines))
    return tables


# Where the points are


@dataclass(frozen=True)
class StageTable:
    """Measures on the way to the score, a line a row; all in points."""

    heads: list[str]
    lines: list[tuple[str, list[float | None]]]


def stage_table(document: Document) -> StageTable | None:
    """Return the measures before the score, then the means over classes; None without any."""
    if not document["diagnostics"]:
        return None
    found = {(one["row"], one["name"]): one for one in document["diagnostics"]}
    titles = {one["name"]: one["title"] for one in document["diagnostics"]}
    means = {cell["column"] for cell in document["cells"] if cell["class_scores"]}
    scores = [column for column in document["columns"] if column["id"] in means]
    cells = {(cell["row"], cell["column"]): cell["mean"] for cell in document["cells"]}
    lines = []
    for row in document["rows"]:
        if not any((row["id"], name) in found for name in titles):
            continue
        values = [
            100 * statistics.fmean(one["values"]) if (one := found.get((row["id"], name))) else None
            for name in titles
        ]
        lines.append((row["title"], values + [cells.get((row["id"], c["id"])) for c in scores]))
    return StageTable([*titles.values(), *(column["title"] for column in scores)], lines)
