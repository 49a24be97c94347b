"""The JSON of a report. ``KEYS`` documents every key; a test holds it against what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.report.model import Cell, ClaimResult, Diagnostic, TableReport, ThresholdCurve
from benchmark.report.verdicts import MEANINGS
from benchmark.report.written import mistake
from benchmark.tables.schema import Column, Curve, Row

if TYPE_CHECKING:
    from benchmark.store import Record

SCHEMA = 2
"""2: rows and columns in the table's order, its text, sweeps and threshold curves."""

KEYS = {
    "schema": "version of this layout; rises with every change that could break a reader",
    "table": "id of the table",
    "title": "its title",
    "caption": "what the paper prints under it",
    "notes": "where the table leaves something open, and what is done here",
    "caveats": "how records were made, where that limits what the numbers say",
    "paper": "title, venue, reference (arXiv id or DOI) and table number; null for none",
    "profile": "scale of the experiments",
    "meaning": "what numbers under this profile may claim",
    "date": "day of the last record behind the report, ISO; empty without records",
    "seeds": "largest number of seeds behind a cell",
    "data": "what describes the data set: name, digest ...",
    "verdict_meanings": "every verdict that a cell can have -> what it means",
    "verdicts": "verdict -> how many cells of our rows have it",
    "claim_verdicts": "verdict -> how many claims have it",
    "columns[].id": "column id; columns stand in the order of the paper",
    "columns[].title": "as printed by the paper",
    "columns[].kind": "score, or text that the paper prints",
    "columns[].metric": "miou, precision or recall; null for a text",
    "columns[].decimals": "as the paper prints",
    "columns[].server": "whether only an evaluation server can give the score",
    "columns[].notes": "as for the table",
    "rows[].id": "row id; rows stand in the order of the paper",
    "rows[].title": "as printed by the paper",
    "rows[].ours": "whether the suite measures it; else it is cited",
    "rows[].supervision": "I, or I+S with saliency; null for a cited row",
    "rows[].text": "id of a text column -> what the paper prints",
    "rows[].notes": "as for the table",
    "cells[].row": "row id",
    "cells[].row_title": "row as printed by the paper",
    "cells[].column": "column id",
    "cells[].column_title": "column as printed by the paper",
    "cells[].published": "published value in points; null where none is printed",
    "cells[].deviation": "standard deviation printed beside it, points; null where none is",
    "cells[].flag": "doubt about how the published value was read; empty without",
    "cells[].verdict": "see benchmark.report.verdicts.MEANINGS",
    "cells[].mean": "our mean over the seeds, points, unrounded; null without a number of ours",
    "cells[].sd": "our sample standard deviation, points; null below two seeds",
    "cells[].seeds": "our seeds",
    "cells[].values": "our score of every seed, points",
    "cells[].interval": "95 % prediction interval of a single run; null below three seeds",
    "cells[].difference": "ours - published, points; null unless the protocol cards agree",
    "cells[].differing": "fields in which the protocol cards differ",
    "cells[].note": "caveats in words",
    "cells[].more_seeds": "seeds that would settle a compared cell, 0: settled; null: not compared",
    "cells[].records": "keys of the score records, one a seed",
    "cells[].card": "our protocol card; null without a number of ours",
    "cells[].published_card": "the paper's protocol card, null fields not stated; null if cited",
    "cells[].images": "number of images scored",
    "cells[].class_scores": "class -> points, mean over the seeds; null for an absent class; empty "
    "where the cell is one class's score",
    "claims[].id": "claim id",
    "claims[].kind": "gain, order, every, trend, peak or unstable, see benchmark.report.claims",
    "claims[].text": "what the paper says",
    "claims[].verdict": "holds, fails or undecided, see benchmark.report.claims",
    "claims[].by": "least gain that the paper names, points; null for other kinds",
    "claims[].effect": "our smallest difference, points; a ratio of variances if unstable; or null",
    "claims[].interval": "its 95 % interval, bootstrap (unstable: F-test); null likewise",
    "claims[].published_effect": "the same difference between the published values",
    "claims[].contradicted": "how the paper's own numbers contradict the claim; null if they don't",
    "claims[].note": "why, and caveats",
    "claims[].more_seeds": "seeds that would decide an undecided claim, 0: none; null: not known",
    "diagnostics[].row": "row id",
    "diagnostics[].name": "stage and metric",
    "diagnostics[].title": "the same in words",
    "diagnostics[].values": "fraction of every seed",
    "curves[].id": "sweep id",
    "curves[].title": "what is swept",
    "curves[].x_title": "name of the number that is swept",
    "curves[].x": "its values, rising",
    "curves[].rows": "row id of every x; the scores stand in cells",
    "curves[].columns": "ids of the columns that are swept",
    "threshold_curves[].row": "row id",
    "threshold_curves[].seed": "seed of the attention maps",
    "threshold_curves[].thresholds": "background thresholds, rising",
    "threshold_curves[].values": "mIoU of the maps on val at each, fractions, image labels known",
    "threshold_curves[].oracle": "threshold and value where the value is highest",
    "threshold_curves[].fixed": "those of the row's recipe; null without, value null if not scored",
    "records[].stage": "stage name",
    "records[].key": "key of the record in the store",
    "records[].config": "everything that changes the result",
    "records[].digest": "sha256 over the sums of all its files",
    "records[].inputs": "role -> key of the record before it",
    "records[].metrics": "what the stage measured",
    "records[].started": "ISO time, UTC",
    "records[].seconds": "time it took",
    "records[].peak_memory_mb": "peak memory, MB",
    "records[].environment": "index into environments",
    "records[].git_revision": "commit of the suite; null outside a checkout",
    "environments": "versions, platform and device that records ran on",
}


def report_to_json(report: TableReport) -> dict[str, Any]:
    """Return the report as JSON values, with the keys of ``KEYS``."""
    environments: list[dict[str, str]] = []
    for record in report.records:
        if record.environment not in environments:
            environments.append(record.environment)
    return {
        "schema": SCHEMA,
        "table": report.table.id,
        "title": report.table.title,
        "caption": report.table.caption,
        "notes": list(report.table.notes),
        "caveats": list(report.caveats),
        "paper": report.table.paper.model_dump() if report.table.paper else None,
        "profile": report.profile,
        "meaning": report.meaning,
        "date": report.date,
        "seeds": report.seeds,
        "data": dict(report.data),
        "verdict_meanings": dict(MEANINGS),
        "verdicts": report.verdict_counts(),
        "claim_verdicts": report.claim_counts(),
        "columns": [_column(column) for column in report.table.columns],
        "rows": [_row(row) for row in report.table.rows],
        "cells": [_cell(cell) for cell in report.cells],
        "claims": [_claim(result) for result in report.claims],
        "diagnostics": [_diagnostic(one) for one in report.diagnostics],
        "curves": [_curve(curve) for curve in report.table.curves],
        "threshold_curves": [
            _threshold_curve(row.id, curve)
            for row in report.table.rows
            for curve in report.threshold_curves.get(row.id, ())
        ],
        "records": [_record(one, environments) for one in report.records],
        "environments": environments,
    }


def read_document(path: Path) -> dict[str, Any] | None:
    """Return the JSON of a written report, None without one; BenchmarkError if it is another.

    One of the first layout gets its rows and columns from its cells; what it lacked stays empty.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path} cannot be read as a report: {error}") from error
    if isinstance(document, dict) and document.get("schema") == 1:
        document = _upgraded(document)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BenchmarkError(f"{path} is no report of this version: write it again")
    if wrong := mistake(document):
        raise BenchmarkError(f"{path} is no report of this version ({wrong}): write it again")
    return document


def _upgraded(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return a document of the first layout in today's; None where it is not even of that one."""
    try:
        return _from_first_layout(document)
    except (AttributeError, KeyError, TypeError):
        return None


def read_documents(folder: Path) -> dict[str, dict[str, Any] | None]:
    """Return the reports in a folder by file name; None for one that cannot be read."""
    return {path.stem: _readable(path) for path in sorted(folder.glob("*.json"))}


def _readable(path: Path) -> dict[str, Any] | None:
    try:
        return read_document(path)
    except BenchmarkError:
        return None


def _from_first_layout(document: dict[str, Any]) -> dict[str, Any]:
    cells = document.get("cells", [])
    rows = {
        cell["row"]: {
            "id": cell["row"],
            "title": cell["row_title"],
            "ours": cell["verdict"] != "cited",
            "supervision": (cell["card"] or {}).get("supervision"),
            "text": {},
            "notes": [],
        }
        for cell in cells
    }
    columns = {
        cell["column"]: {
            "id": cell["column"],
            "title": cell["column_title"],
            "kind": "score",
            "metric": None,
            "decimals": 1,
            "server": False,
            "notes": [],
        }
        for cell in cells
    }
    return document | {
        "schema": SCHEMA,
        "caption": "",
        "notes": [],
        "verdict_meanings": dict(MEANINGS),
        "columns": list(columns.values()),
        "rows": list(rows.values()),
        "curves": [],
        "threshold_curves": [],
        "records": [{"digest": None} | record for record in document.get("records", [])],
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "id": column.id,
        "title": column.title,
        "kind": column.kind,
        "metric": column.evaluation.metric if column.evaluation else None,
        "decimals": column.decimals,
        "server": column.server,
        "notes": list(column.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "ours": row.ours,
        "supervision": row.supervision,
        "text": dict(row.text),
        "notes": list(row.notes),
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "id": curve.id,
        "title": curve.title,
        "x_title": curve.x_title,
        "x": list(curve.x),
        "rows": list(curve.rows),
        "columns": list(curve.columns),
    }


def _threshold_curve(row: str, curve: ThresholdCurve) -> dict[str, Any]:
    threshold, value = curve.oracle
    fixed = {"threshold": curve.fixed, "value": curve.fixed_value}
    return {
        "row": row,
        "seed": curve.seed,
        "thresholds": list(curve.thresholds),
        "values": list(curve.values),
        "oracle": {"threshold": threshold, "value": value},
        "fixed": None if curve.fixed is None else fixed,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    names = ("background", *cell.card.classes) if cell.card else ()
    return {
        "row": cell.row.id,
        "row_title": cell.row.title,
        "column": cell.column.id,
        "column_title": cell.column.title,
        "published": cell.published,
        "deviation": cell.row.deviation.get(cell.column.id),
        "flag": cell.flag,
        "verdict": cell.verdict,
        "mean": cell.mean,
        "sd": cell.sd,
        "seeds": list(cell.seeds),
        "values": list(cell.values),
        "interval": list(cell.interval) if cell.interval else None,
        "difference": cell.difference,
        "differing": list(cell.differing),
        "note": cell.note,
        "more_seeds": cell.more_seeds,
        "records": list(cell.keys),
        "card": cell.card.to_json() if cell.card else None,
        "published_card": cell.published_card.to_json() if cell.published_card else None,
        "images": cell.images,
        "class_scores": dict(zip(names, cell.class_scores, strict=bool(cell.class_scores))),
    }


def _claim(result: ClaimResult) -> dict[str, Any]:
    claim, effect = result.claim, result.effect
    return {
        "id": claim.id,
        "kind": claim.kind,
        "text": claim.text,
        "verdict": result.verdict,
        "by": claim.by if claim.kind == "gain" else None,
        "effect": effect.value if effect else None,
        "interval": [effect.low, effect.high] if effect else None,
        "published_effect": result.published_effect,
        "contradicted": claim.contradicted,
        "note": result.note,
        "more_seeds": result.more_seeds,
    }


def _diagnostic(one: Diagnostic) -> dict[str, Any]:
    return {"row": one.row.id, "name": one.name, "title": one.title, "values": list(one.values)}


def _record(record: Record, environments: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "key": record.key,
        "config": record.config,
        "digest": record.digest,
        "inputs": record.inputs,
        "metrics": record.metrics,
        "started": record.started,
        "seconds": record.seconds,
        "peak_memory_mb": record.peak_memory_mb,
        "environment": environments.index(record.environment),
        "git_revision": record.git_revision,
    }
