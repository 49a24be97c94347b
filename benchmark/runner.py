"""Runs a plan, and turns the records in the store into a table's report."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmark.errors import BenchmarkError
from benchmark.executor import Start, execute, with_inputs
from benchmark.plan import CellPlan, Plan, union_of_targets
from benchmark.progress import Progress
from benchmark.report.build import Place, build_report
from benchmark.report.model import Measurement, TableReport, ThresholdCurve
from benchmark.report.server import ServerScore
from benchmark.report.visible import in_short
from benchmark.seeding import is_deterministic
from benchmark.stages import STAGES
from benchmark.stages.score import read_counts
from benchmark.store import Record, Stage, State, Store

MAP_SCORE = "maps.val_miou"
"""The diagnostic whose stage scores the attention maps at every threshold."""

READABLE = {"cached", "stale"}


def run_plans(
    plans: Sequence[Plan],
    store: Store,
    progress: Progress,
    *,
    rows: Sequence[str] | None = None,
    keep_stale: bool,
    jobs: int,
    patience: float | None = None,
    start: Start | None = None,
    announce: Callable[[str], None],
) -> dict[str, str]:
    """Make what tables need, equal stages once; return why stages failed, by their key.

    A stage that fails takes along what rests on it, and nothing else. ``rows``: these of each
    table alone. BenchmarkError where there is nothing to run, and where the disk is full.
    """
    targets = union_of_targets(plans, rows)
    if not targets:
        names = ", ".join(rows or (plan.table.id for plan in plans))
        reasons = dict.fromkeys(
            reason
            for plan in plans
            for (row, _), reason in plan.absent.items()
            if rows is None or row in rows
        )
        why = "; ".join(reasons) or f"cited, or not of profile {plans[0].profile.id}"
        raise BenchmarkError(f"{names}: {why}: nothing to run")
    failures: dict[str, str] = {}

    def set_aside(stage: Stage, error: Exception) -> None:
        if isinstance(error, BenchmarkError):
            failures[stage.key] = in_short(str(error))
        else:
            failures[stage.key] = in_short(f"{stage.label}: {type(error).__name__}: {error}")
            announce("".join(traceback.format_exception(error)).rstrip())
        announce(f"{failures[stage.key]}; going on with what does not rest on it")

    execute(
        targets,
        store,
        STAGES,
        progress,
        keep_stale=keep_stale,
        jobs=jobs,
        patience=patience,
        start=start,
        announce=announce,
        set_aside=set_aside,
    )
    return failures


def report_plan(
    plan: Plan,
    store: Store,
    server_scores: Mapping[Place, ServerScore],
    failures: Mapping[str, str] | None = None,
    announce: Callable[[str], None] | None = None,
) -> TableReport:
    """Report from what the store holds; cells without a record are missing.

    ``failures``: why stages failed, by key, for the cells that miss them. ``announce`` is told of
    every score whose files are not what they were; it is left out.
    """
    scores = {stage.key: stage for cell in plan.cells for stage in cell.scores}
    found = {key: store.inspect(stage) for key, stage in scores.items()}
    states = {key: status.state for key, status in found.items()}
    damage = {
        key: f"{scores[key].label}: {status.reason}; left out until the table is run again"
        for key, status in found.items()
        if status.state == "damaged"
    }
    for line in damage.values():
        if announce:
            announce(line)
    errors = {**damage, **(failures or {})}
    measurements: dict[tuple[str, str], Measurement] = {}
    absent = dict(plan.absent)
    taken: dict[tuple[str, tuple[str, ...]], Measurement | None] = {}  # columns share their stages
    for cell in plan.cells:
        place = (cell.row.id, cell.column.id)
        test = (cell.row.id, tuple(stage.key for stage in cell.scores))
        if test not in taken:
            taken[test] = _measurement(plan, cell, store, states, errors)
        if measurement := taken[test]:
            measurements[place] = replace(measurement, card=cell.card)
        else:
            absent[place] = "not run yet"
    return build_report(
        plan.table,
        plan.profile.id,
        measurements,
        meaning=plan.profile.about,
        absent=absent,
        data=plan.data,
        server_scores=server_scores,
        deterministic=is_deterministic(),
    )


def _measurement(
    plan: Plan,
    cell: CellPlan,
    store: Store,
    states: Mapping[str, State],
    errors: Mapping[str, str],
) -> Measurement | None:
    finished = [
        (seed, stage)
        for seed, stage in zip(plan.seeds, cell.scores, strict=True)
        if states[stage.key] in READABLE
    ]
    if not finished:
        behind = with_inputs(cell.scores)
        error = next((errors[stage.key] for stage in behind if stage.key in errors), None)
        return Measurement(card=cell.card, error=error) if error else None
    counts = [read_counts(store.folder(stage) / "counts.safetensors") for _, stage in finished]
    stages = [stage for _, stage in finished]
    diagnostics = plan.diagnostics[cell.row.id]
    return Measurement(
        card=cell.card,
        seeds=tuple(seed for seed, _ in finished),
        counts=tuple(array for _, array in counts),
        image_ids=counts[0][0],
        keys=tuple(stage.key for stage in stages),
        records=_records(stages, store),
        diagnostics={
            name: store.metrics(diagnostic.stages, diagnostic.metric)
            for name, diagnostic in diagnostics.items()
        },
        threshold_curves=threshold_curves(plan, cell.row.id, store),
        stale=any(states[stage.key] == "stale" for stage in stages),
    )


def _records(stages: list[Stage], store: Store) -> tuple[Record, ...]:
    found = [store.record(stage) for stage in with_inputs(stages)]
    return tuple(record for record in found if record is not None)


def threshold_curves(plan: Plan, row_id: str, store: Store) -> tuple[ThresholdCurve, ...]:
    """Return the curve of every seed whose maps were scored at several thresholds."""
    scored = plan.diagnostics[row_id].get(MAP_SCORE)
    if scored is None:
        return ()
    sheet = plan.sheets.get(row_id)
    fixed = _fixed_threshold(sheet.labels) if sheet else None
    curves = []
    for seed, stage in zip(plan.seeds, scored.stages, strict=True):
        path = store.folder(stage) / "curve.json"
        if store.state(stage) in READABLE and path.is_file():
            curve = {float(name): value for name, value in json.loads(path.read_text()).items()}
            curves.append(ThresholdCurve(seed, tuple(curve), tuple(curve.values()), fixed))
    return tuple(curves)


def _fixed_threshold(labels: Stage) -> float | None:
    """Return the threshold that makes these labels of the maps alone; None of other recipes."""
    constants = labels.config["constants"]
    assert isinstance(constants, Mapping)
    plain = labels.inputs["maps"].name == "maps"  # not refined ones, which have no such curve
    if not plain or labels.config["recipe"] != "background_threshold":
        return None
    threshold = constants.get("threshold")
    return float(threshold) if isinstance(threshold, int | float) else None
