"""The JSON of a report. ``KEYS`` documents every key; a test holds it against what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.report.model import Cell, ClaimResult, Diagnostic, TableReport

if TYPE_CHECKING:
    from benchmark.store import Record

SCHEMA = 1

KEYS = {
    "schema": "version of this layout; rises with every change that could break a reader",
    "table": "id of the table",
    "title": "its title",
    "paper": "title, venue, reference (arXiv id or DOI) and table number of the publication",
    "profile": "scale of the experiments",
    "meaning": "what numbers under this profile may claim",
    "date": "day of the last record behind the report, ISO; empty without records",
    "seeds": "largest number of seeds behind a cell",
    "data": "what describes the data set: name, digest ...",
    "verdicts": "verdict -> how many cells of our rows have it",
    "claim_verdicts": "verdict -> how many claims have it",
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
    "diagnostics[].row": "row id",
    "diagnostics[].name": "stage and metric",
    "diagnostics[].title": "the same in words",
    "diagnostics[].values": "fraction of every seed",
    "records[].stage": "stage name",
    "records[].key": "key of the record in the store",
    "records[].config": "everything that changes the result",
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
        "paper": report.table.paper.model_dump(),
        "profile": report.profile,
        "meaning": report.meaning,
        "date": report.date,
        "seeds": report.seeds,
        "data": dict(report.data),
        "verdicts": report.verdict_counts(),
        "claim_verdicts": report.claim_counts(),
        "cells": [_cell(cell) for cell in report.cells],
        "claims": [_claim(result) for result in report.claims],
        "diagnostics": [_diagnostic(one) for one in report.diagnostics],
        "records": [_record(one, environments) for one in report.records],
        "environments": environments,
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
    }


def _diagnostic(one: Diagnostic) -> dict[str, Any]:
    return {"row": one.row.id, "name": one.name, "title": one.title, "values": list(one.values)}


def _record(record: Record, environments: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "key": record.key,
        "config": record.config,
        "inputs": record.inputs,
        "metrics": record.metrics,
        "started": record.started,
        "seconds": record.seconds,
        "peak_memory_mb": record.peak_memory_mb,
        "environment": environments.index(record.environment),
        "git_revision": record.git_revision,
    }
