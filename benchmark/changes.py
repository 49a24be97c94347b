"""What changed since results were written: in the store, or between two folders of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.plan import Plan
from benchmark.report.difference import Difference, difference
from benchmark.report.document import read_document, report_to_json
from benchmark.report.server import load_server_scores
from benchmark.runner import report_plan
from benchmark.store import Store

Documents = Mapping[str, Mapping[str, Any] | None]
"""Table id -> the JSON of its report; None where there is none."""


def written_documents(folder: Path, tables: Sequence[str]) -> Documents:
    """Return the reports of these tables in results/PROFILE."""
    return {table: read_document(folder / f"{table}.json") for table in tables}


def tables_in(*folders: Path) -> tuple[str, ...]:
    """Return the ids of all tables of which one of the folders holds a report, sorted."""
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.json")}))


def documents_of_plans(plans: Sequence[Plan], store: Store, results: Path) -> Documents:
    """Return the reports that the store gives now; server scores are read from ``results``."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for plan in plans:
        server_scores = load_server_scores(results / plan.profile.id, plan.table)
        made = report_plan(plan, store, server_scores)
        found[plan.table.id] = report_to_json(made) if made.measured else None
    return found


def differences(then: Documents, now: Documents) -> list[Difference]:
    """Return what changed in the tables of ``now``; BenchmarkError where there is none at all."""
    pairs = [(then.get(table), document) for table, document in now.items()]
    found = [difference(*pair) for pair in pairs if pair != (None, None)]
    if not found:
        raise BenchmarkError(f"no numbers to compare, then or now: {', '.join(now) or 'no table'}")
    return found
