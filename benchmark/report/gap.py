"""Where the points are lost: a row all the way ours beside the same row from released files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.coverage import labelled_share, right_share
from benchmark.errors import BenchmarkError
from benchmark.metrics import Counts, mean_over_classes, per_class
from benchmark.plan import Plan
from benchmark.released import Kind
from benchmark.report.build import evaluated_classes
from benchmark.report.card import published_card
from benchmark.report.markdown import inline, markdown_table, points, signed
from benchmark.report.verdicts import MINIMUM_SEEDS, no_noise_estimate
from benchmark.stages.score import read_counts
from benchmark.store import Stage, Store, write_atomic
from benchmark.tables import Evaluation, Row, Table

SCHEMA = 1
Points = tuple[float, ...]  # of every seed that is finished

SHARES: dict[str, tuple[str, Callable[[Counts], float]]] = {
    "labelled": ("of the pixels labelled", labelled_share),
    "right": ("of the labelled pixels right", right_share),
}
REPLACED: dict[Kind, str] = {
    "attention": "attention network",
    "maps": "attention maps",
    "cues": "labels",
    "labels": "labels",
}


@dataclass(frozen=True)
class Measure:
    """One measure on the way to the score, in points; empty where it was not taken."""

    name: str
    title: str
    ours: Points
    given: Points
    published: float | None = None  # where it differs in nothing but what was given

    @property
    def difference(self) -> float | None:
        """What the released files give more than ours; None where one of them has no value."""
        if not self.ours or not self.given:
            return None
        return statistics.fmean(self.given) - statistics.fmean(self.ours)


@dataclass(frozen=True)
class Gap:
    """A row's measures in the order of its stages, the scores last."""

    table: str
    row: str
    row_title: str
    profile: str
    started_from: tuple[dict[str, str], ...]  # kind, name, sha256
    measures: tuple[Measure, ...]
    scores: tuple[Measure, ...]
    stale: tuple[str, ...]  # labels of the stages whose code has changed since


@dataclass(frozen=True)
class _Reading:
    """What one plan says of one measure."""

    title: str
    values: Points


def build_gap(ours: Plan, started: Plan, store: Store) -> Gap:
    """Compare the one row of ``started`` with the same row of ``ours``, from what is in the store.

    BenchmarkError where nothing of it has been run from the files.
    """
    row = started.table.rows[0]
    own, given = _measures(ours, row, store), _measures(started, row, store)
    own_scores, given_scores = _scores(ours, row, store), _scores(started, row, store)
    if not any(reading.values for reading in (*given.values(), *given_scores.values())):
        raise BenchmarkError(
            f"nothing of row {row.id} is in the store {store.root} from these files: "
            f"{started.run_first}"
        )
    published = _published(started, row)
    return Gap(
        table=started.table.id,
        row=row.id,
        row_title=row.title,
        profile=started.profile.id,
        started_from=tuple(
            {"kind": kind, "name": files.name, "sha256": files.sha256}
            for kind, files in started.released.items()
        ),
        measures=_joined(_order(started.table), own, given, {}),
        scores=_joined(
            [column.id for column in started.table.columns], own_scores, given_scores, published
        ),
        stale=_stale((ours, started), row, store),
    )


def write_gap(gap: Gap, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME-gap.md and NAME-gap.json below ``folder``; return their paths."""
    text, document = folder / f"{name}-gap.md", folder / f"{name}-gap.json"
    write_atomic(text, render_gap(gap))
    write_atomic(document, json.dumps(gap_to_json(gap), indent=1, ensure_ascii=False) + "\n")
    return text, document


def render_gap(gap: Gap) -> str:
    """Return the Markdown: one table, and what it comes to."""
    files = "; ".join(
        f"{one['kind']} from `{inline(one['name']).replace('`', '')}` (sha256 {one['sha256'][:16]})"
        for one in gap.started_from
    )
    title = inline(gap.row_title)
    every = (*gap.measures, *gap.scores)
    published = any(measure.published is not None for measure in every)
    header = ["", "ours", "from the files", "difference", *(["published"] if published else [])]
    rows = [
        [
            measure.title,
            _mean(measure.ours),
            _mean(measure.given),
            signed(measure.difference),
            *([points(measure.published)] if published else []),
        ]
        for measure in every
    ]
    sections = [
        f"# Where the points are lost: {title} (`{gap.table}`, profile {gap.profile})",
        f"The row all the way ours, and the same row started from released files: {files}.",
        markdown_table(header, rows, range(1, len(header))),
        "In %. A dash: not measured, or left out by the files. mIoU counts a pixel without a label "
        "as a miss, so sparse labels are judged by the two shares below it.",
        "\n".join(_findings(gap)),
        f"Out of date, run again: {', '.join(gap.stale)}." if gap.stale else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def gap_to_json(gap: Gap) -> dict[str, Any]:
    """Return the gap as JSON values, unrounded, in points."""

    def listed(measures: Sequence[Measure]) -> list[dict[str, Any]]:
        return [{**asdict(one), "difference": one.difference} for one in measures]

    return {
        "schema": SCHEMA,
        "table": gap.table,
        "row": gap.row,
        "profile": gap.profile,
        "started_from": list(gap.started_from),
        "measures": listed(gap.measures),
        "scores": listed(gap.scores),
        "stale": list(gap.stale),
    }


def _findings(gap: Gap) -> list[str]:
    kinds = {one["kind"] for one in gap.started_from}
    last = [stage for kind, stage in REPLACED.items() if kind in kinds][-1]
    found = []
    for score in gap.scores:
        if score.difference is not None:
            seeds = min(len(score.ours), len(score.given))
            caveat = f" ({no_noise_estimate(seeds)})" if seeds < MINIMUM_SEEDS else ""
            found.append(
                f"- {inline(score.title)}: {score.difference:+.1f} points from the given {last} "
                f"instead of ours{caveat}. After that both are made alike."
            )
        if score.published is not None and score.given:
            rest = score.published - statistics.fmean(score.given)
            found.append(
                f"- {inline(score.title)}: {rest:+.1f} points remain to the published value."
            )
    return found


def _mean(values: Points) -> str:
    return points(statistics.fmean(values) if values else None)


def _joined(
    names: Sequence[str],
    ours: dict[str, _Reading],
    given: dict[str, _Reading],
    published: dict[str, float],
) -> tuple[Measure, ...]:
    empty = _Reading("", ())
    found = []
    for name in names:
        own, other = ours.get(name, empty), given.get(name, empty)
        if own.values or other.values:
            title = own.title or other.title
            found.append(Measure(name, title, own.values, other.values, published.get(name)))
    return tuple(found)


def _order(table: Table) -> list[str]:
    """Return the names of all measures before the scores, those of the labels' pixels included."""
    names: list[str] = []
    for name in table.diagnostics:
        names.append(name)
        if _is_labels(name):
            names += [_share_name(name, share) for share in SHARES]
    return list(dict.fromkeys(names))


def _is_labels(name: str) -> bool:
    return name.startswith("labels.")


def _share_name(name: str, share: str) -> str:
    """Return e.g. ``labels.train_right`` for ``labels.train_miou``."""
    return f"{name.rsplit('_', 1)[0]}_{share}"


def _measures(plan: Plan, row: Row, store: Store) -> dict[str, _Reading]:
    found = {}
    diagnostics = plan.diagnostics.get(row.id, {})
    for name, title in plan.table.diagnostics.items():
        if name not in diagnostics:
            continue
        stages = diagnostics[name].stages
        fractions = store.metrics(stages, diagnostics[name].metric)
        found[name] = _Reading(title, tuple(100 * value for value in fractions))
        if _is_labels(name):
            split = name.removeprefix("labels.").rsplit("_", 1)[0]
            for share, (about, function) in SHARES.items():
                values = _read(stages, function, store)
                found[_share_name(name, share)] = _Reading(f"{about}, {split}", values)
    return found


def _scores(plan: Plan, row: Row, store: Store) -> dict[str, _Reading]:
    found = {}
    for cell in plan.cells:
        if cell.row.id == row.id:
            evaluation = cell.column.evaluation
            assert evaluation is not None
            score = partial(_evaluated, evaluation, cell.card.classes)
            found[cell.column.id] = _Reading(cell.column.title, _read(cell.scores, score, store))
    return found


def _evaluated(evaluation: Evaluation, classes: Sequence[str], counts: Counts) -> float:
    scores = per_class(evaluation.metric, counts.sum(axis=0))
    return float(mean_over_classes(scores[evaluated_classes(evaluation, classes)]))


def _published(plan: Plan, row: Row) -> dict[str, float]:
    """Return the published scores that differ in nothing but what ours is started from."""
    return {
        cell.column.id: row.published[cell.column.id]
        for cell in plan.cells
        if cell.column.id in row.published
        and cell.card.differences(published_card(plan.table, row, cell.column)) == ["started_from"]
    }


def _read(stages: Sequence[Stage], function: Callable[[Counts], float], store: Store) -> Points:
    finished = [stage for stage in stages if store.record(stage) is not None]
    for stage in finished:
        store.check_whole(stage)
    counts = [read_counts(store.folder(stage) / "counts.safetensors")[1] for stage in finished]
    return tuple(100 * function(array) for array in counts)


def _stale(plans: Sequence[Plan], row: Row, store: Store) -> tuple[str, ...]:
    read = {
        stage
        for plan in plans
        for group in (
            *(one.stages for one in plan.diagnostics.get(row.id, {}).values()),
            *(cell.scores for cell in plan.cells if cell.row.id == row.id),
        )
        for stage in group
    }
    return tuple(sorted(stage.label for stage in read if store.staleness(stage)))
