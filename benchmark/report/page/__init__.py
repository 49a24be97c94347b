"""The page of a profile: every table, claim, curve, figure and record of it, in one file.

``results/PROFILE/index.html`` is made from the JSON documents and figure sheets beside it alone, so
it can be made again from committed results. It loads nothing from anywhere: styles, the script, the
pictures are in it, and its Content-Security-Policy names their digests. The same folder gives the
same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.report.claims import ClaimVerdict
from benchmark.report.curves import (
    RATIOS,
    Panel,
    ThresholdPanel,
    Whisker,
    sweep_panels,
    threshold_panels,
    whiskers,
)
from benchmark.report.document import read_documents
from benchmark.report.markdown import effect_text, signed
from benchmark.report.marks import MARKS, mark
from benchmark.report.page.figures import OTHERS, Figure, read_figures
from benchmark.report.page.records import Provenance
from benchmark.report.page.scores import (
    CardLine,
    ClassTable,
    Detail,
    Remark,
    ScoreTable,
    StageTable,
    card_lines,
    class_tables,
    data_text,
    details,
    minus,
    remarks,
    score_table,
    slug,
    stage_table,
)
from benchmark.store import write_atomic

FILE_NAME = "index.html"

CLAIM_MEANINGS: dict[ClaimVerdict, str] = {
    "holds": "the interval lies above 0 and, for a gain, reaches the gain that the paper names",
    "fails": "the interval lies below 0 or, for a gain, below the gain that the paper names",
    "undecided": "the interval decides neither way, or a number behind it is missing or stale",
}


@dataclass(frozen=True)
class ClaimLine:
    """One claim with what its picture needs."""

    text: str
    kind: str
    published: str
    effect: str
    effect_value: float | None
    interval: str
    verdict: str
    note: str
    whisker: Whisker
    ratio: bool  # of variances, instead of a difference


@dataclass(frozen=True)
class Section:
    """One table of the page, as the template shows it."""

    id: str
    label: str  # its title, with the table's id where several have the same
    document: Mapping[str, Any]
    verdicts: list[tuple[str, int]]
    claim_verdicts: list[tuple[str, int]]
    source: str
    link: str
    data: str
    scores: ScoreTable
    remarks: list[Remark]
    claims: list[ClaimLine]
    sweeps: list[Panel]
    thresholds: list[ThresholdPanel]
    stages: StageTable | None
    classes: list[ClassTable]
    card: list[CardLine]
    notes: list[str]
    figures: list[Figure]
    details: list[Detail]


def write_page(results: Path, profile: str) -> Path:
    """Write results/PROFILE/index.html from the files beside it and return its path.

    BenchmarkError where it cannot be written.
    """
    path = results / profile / FILE_NAME
    write_atomic(path, render_page(results / profile))
    return path


def render_page(folder: Path) -> str:
    """Return the page of the reports in a folder; the folder's name is the profile."""
    from benchmark.report.templates import render, source

    read = read_documents(folder)
    documents = [document for document in read.values() if document]
    figures = read_figures(folder / "figures", _figure_titles(documents))
    provenance = Provenance(documents)
    titles = Counter(one["title"] for one in documents)
    sections = [
        _section(one, titles[one["title"]] > 1, figures.get(one["table"], []), provenance)
        for one in documents
    ]
    style, script = source("charts.css") + source("page.css"), source("page.js")
    return render(
        "page.html",
        profile=folder.name,
        policy=_policy(style, script),
        style=_inline(style),
        script=_inline(script),
        sections=sections,
        other_figures=figures.get(OTHERS, []),
        unreadable=[name for name, document in read.items() if document is None],
        meanings=list(dict.fromkeys(" ".join(one["meaning"].split()) for one in documents)),
        comparable=_comparable(documents),
        verdicts=_total(documents, "verdicts"),
        claim_verdicts=_total(documents, "claim_verdicts"),
        verdict_meanings=_meanings(documents),
        claim_meanings=CLAIM_MEANINGS,
        records=provenance.records,
        environments=provenance.environments,
        revisions=provenance.revisions,
        mark=mark,
    )


def _section(
    document: Mapping[str, Any], shared: bool, figures: list[Figure], provenance: Provenance
) -> Section:
    paper = document["paper"]
    return Section(
        id=slug("table", document["table"]),
        label=f"{document['title']} ({document['table']})" if shared else document["title"],
        verdicts=_in_order(document["verdicts"].items()),
        claim_verdicts=_in_order(document["claim_verdicts"].items()),
        document=document,
        source=_source(paper),
        link=_link(paper["reference"]) if paper else "",
        data=data_text(document, 32),
        scores=score_table(document),
        remarks=remarks(document),
        claims=_claims(document["claims"]),
        sweeps=sweep_panels(document),
        thresholds=threshold_panels(document),
        stages=stage_table(document),
        classes=class_tables(document),
        card=card_lines(document),
        notes=_notes(document),
        figures=figures,
        details=details(document, provenance.of(document)),
    )


def _claims(claims: Sequence[Mapping[str, Any]]) -> list[ClaimLine]:
    return [
        ClaimLine(
            text=" ".join(claim["text"].split()),
            kind=claim["kind"] if claim["by"] is None else f"{claim['kind']} of {claim['by']:g}",
            published=minus(signed(claim["published_effect"])),
            effect=minus(effect_text(claim["effect"], claim["kind"])),
            effect_value=claim["effect"],
            interval=" to ".join(
                minus(effect_text(end, claim["kind"])) for end in claim["interval"] or [None]
            ),
            verdict=claim["verdict"],
            note=claim["note"],
            whisker=whisker,
            ratio=claim["kind"] in RATIOS,
        )
        for claim, whisker in zip(claims, whiskers(claims), strict=True)
    ]


def _notes(document: Mapping[str, Any]) -> list[str]:
    titles = {column["id"]: column["title"] for column in document["columns"]}
    notes = [*document.get("caveats", ()), *document["notes"]]
    for kind, entries in (("Column", document["columns"]), ("Row", document["rows"])):
        notes += [f"{kind} {one['title']}: {note}" for one in entries for note in one["notes"]]
    for cell in document["cells"]:
        if cell["flag"]:
            notes.append(f"(?) {cell['row_title']}, {titles[cell['column']]}: {cell['flag']}")
    return [" ".join(note.split()) for note in notes]


def _source(paper: Mapping[str, str] | None) -> str:
    if paper is None:
        return "Printed in no paper"
    return ", ".join(paper[name] for name in ("table", "title", "venue", "reference"))


def _link(reference: str) -> str:
    """Return the address of a paper whose reference names one; else nothing."""
    found = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", reference)
    return f"https://arxiv.org/abs/{found[1]}" if found else ""


def _figure_titles(documents: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return table id and row title by the name of the row's figure sheet."""
    return {
        f"{document['table']}_{row['id']}": (document["table"], row["title"])
        for document in documents
        for row in document["rows"]
    }


def _comparable(documents: Iterable[Mapping[str, Any]]) -> int:
    """Return how many of our numbers may be held against a published one."""
    return sum(
        bool(cell["values"]) and not cell["differing"] and cell["published"] is not None
        for document in documents
        for cell in document["cells"]
    )


def _total(documents: Iterable[Mapping[str, Any]], name: str) -> list[tuple[str, int]]:
    total: Counter[str] = Counter()
    for document in documents:
        total.update(document[name])
    return _in_order(total.items())


def _meanings(documents: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what the verdicts that occur mean."""
    found: dict[str, str] = {}
    for document in documents:
        used = {cell["verdict"] for cell in document["cells"]}
        meant = document["verdict_meanings"]
        found |= {name: meaning for name, meaning in meant.items() if name in used}
    return _in_order(found.items())


def _in_order(items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Sort what stands by verdict as the marks stand, unknown ones last."""
    known = list(MARKS)
    return sorted(items, key=lambda item: known.index(item[0]) if item[0] in MARKS else len(known))


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows these two texts and pictures in the page."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inline(text: str) -> Any:
    """Return the package's own style or script, which stands in the page as it is."""
    from markupsafe import Markup

    if "</" in text:
        raise ValueError("a style or script with </ would end its element")
    return Markup(text)
