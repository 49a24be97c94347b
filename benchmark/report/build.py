"""Build a table's report from its measurements."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import mean_over_classes, per_class
from benchmark.provenance import repeats
from benchmark.report.card import TITLES, published_card
from benchmark.report.claims import (
    ClaimVerdict,
    Draws,
    Effect,
    Score,
    gain_verdict,
    order_verdict,
    resampled_scores,
    smallest_difference,
    smallest_of_pairs,
    smallest_step,
    unstable_verdict,
    unsteady,
    variance_ratio,
)
from benchmark.report.model import (
    Cell,
    ClaimResult,
    Diagnostic,
    Measurement,
    TableReport,
)
from benchmark.report.outlook import Outlook, cell_outlook, claim_outlook
from benchmark.report.server import ServerScore
from benchmark.report.verdicts import (
    COMPARED,
    MARGIN,
    MINIMUM_SEEDS,
    compare,
    no_noise_estimate,
    prediction_interval,
)
from benchmark.tables.schema import (
    Claim,
    Column,
    Evaluation,
    PeakClaim,
    Row,
    Table,
    UnstableClaim,
)
from benchmark.tables.schema import Place as Place  # whoever calls build_report needs it

if TYPE_CHECKING:
    from benchmark.store import Record

Measurements = Mapping[Place, Measurement]


def build_report(
    table: Table,
    profile: str,
    measurements: Measurements,
    *,
    meaning: str = "",
    absent: Mapping[Place, str] | None = None,
    data: Mapping[str, str] | None = None,
    server_scores: Mapping[Place, ServerScore] | None = None,
    deterministic: bool = False,
) -> TableReport:
    """Return the report of one table under one profile.

    ``measurements`` by (row, column), any of them may be missing; ``absent`` says why, if known.
    ``meaning`` is what the profile may claim; ``data`` describes the data set (name, digest ...).
    ``deterministic``: the user asks for the same numbers from the same seed.
    """
    known = {(row.id, column.id) for row, column in table.measurable()}
    if unknown := sorted(set(measurements) - known):
        raise ValueError(f"{table.id} has no measurable cell {unknown[0]}")
    cells = tuple(
        _cell(table, row, row.scored(column), measurements, absent or {}, server_scores or {})
        for row in table.rows
        for column in table.score_columns
        if row.ours or column.id in row.published
    )
    records = _records(measurements)
    return TableReport(
        table=table,
        profile=profile,
        meaning=meaning,
        cells=cells,
        claims=_claims(table, cells, measurements),
        diagnostics=_diagnostics(table, measurements),
        records=records,
        data=dict(data or {}),
        caveats=_unrepeatable(records) if deterministic else (),
        threshold_curves={
            row_id: one.threshold_curves
            for (row_id, _), one in measurements.items()
            if one.threshold_curves
        },
    )


def _cell(
    table: Table,
    row: Row,
    column: Column,
    measurements: Measurements,
    absent: Mapping[Place, str],
    server_scores: Mapping[Place, ServerScore],
) -> Cell:
    blank = Cell(
        row=row,
        column=column,
        verdict="missing" if row.ours else "cited",
        published=row.published.get(column.id),
        flag=row.flags.get(column.id, ""),
    )
    if not row.ours:
        return blank
    blank = replace(blank, published_card=published_card(table, row, column))
    place = (row.id, column.id)
    if column.server:
        beside = _measured_beside(row, column, table, measurements)
        return _server_cell(blank, server_scores.get(place), beside)
    if place not in measurements:
        return replace(blank, note=absent.get(place, "not measured"))
    return _measured_cell(blank, measurements[place])


def _measured_cell(blank: Cell, measured: Measurement) -> Cell:
    if measured.error is not None:
        note = f"failed: {_without_folders(measured.error)}"
        return replace(blank, card=measured.card, note=note)
    evaluation = blank.column.evaluation
    assert evaluation is not None
    totals = np.stack([counts.sum(axis=0) for counts in measured.counts])
    scores = per_class(evaluation.metric, totals)
    chosen = evaluated_classes(evaluation, measured.card.classes)
    if evaluation.of_class is not None and not totals[:, chosen].any():
        return replace(blank, card=measured.card, note=f"the data set has no {evaluation.of_class}")
    values = mean_over_classes(scores[:, chosen])
    cell = replace(
        blank,
        card=measured.card,
        seeds=measured.seeds,
        values=tuple(100.0 * float(value) for value in values),
        class_scores=_class_scores(scores) if evaluation.of_class is None else (),
        keys=measured.keys,
        images=len(measured.image_ids),
    )
    return _with_outlook(_judged(cell, stale=measured.stale))


def _with_outlook(cell: Cell) -> Cell:
    """Return the cell with what more seeds would do to its verdict, where it has been compared."""
    if cell.verdict not in COMPARED or cell.published is None:
        return cell
    outlook = cell_outlook(cell.values, cell.published, cell.column.decimals)
    note = _joined(cell.note, outlook.note)
    return replace(cell, note=note, more_seeds=outlook.more_seeds)


def evaluated_classes(evaluation: Evaluation, classes: Sequence[str]) -> slice:
    """Return where the classes that a score is the mean of stand among the counts' (background 0).

    ``classes`` are the data set's, the background left out; ValueError if the one is not there.
    """
    if evaluation.of_class is not None:
        place = ("background", *classes).index(evaluation.of_class)
        return slice(place, place + 1)
    return slice(1 if evaluation.mean_over == "foreground" else 0, None)


def _judged(cell: Cell, stale: bool = False) -> Cell:
    """Return the cell, which holds our values and both cards, with its verdict."""
    assert cell.card is not None
    assert cell.published_card is not None
    cell = replace(
        cell,
        interval=prediction_interval(cell.values),
        differing=tuple(cell.card.differences(cell.published_card)),
    )
    if stale:
        return replace(cell, verdict="stale", note="the code behind it has changed since")
    few = no_noise_estimate(len(cell.values)) if cell.interval is None else ""
    if cell.differing:
        return replace(cell, verdict="not-comparable", note=few)
    if cell.published is None:
        note = _joined("the paper prints no value here", few)
        return replace(cell, verdict="not-comparable", note=note)
    judgement = compare(cell.values, cell.published, cell.column.decimals)
    return replace(cell, verdict=judgement.verdict, note=judgement.note)


def _server_cell(blank: Cell, score: ServerScore | None, beside: Measurement | None) -> Cell:
    if score is None:
        return replace(blank, note="waits for a score of the evaluation server")
    assert blank.column.evaluation is not None
    cell = replace(blank, values=(score.value,), note=f"server: {score.source}")
    if beside is None:
        # without a measured run beside it, nobody can say how the submission came about
        note = f"no measured column of this row to compare by; {cell.note}"
        return replace(cell, verdict="not-comparable", differing=("profile",), note=note)
    card = replace(beside.card, split=blank.column.evaluation.split)
    judged = _judged(replace(cell, card=card), beside.stale)
    return replace(judged, note=_joined(judged.note, cell.note))


def _measured_beside(
    row: Row, column: Column, table: Table, measurements: Measurements
) -> Measurement | None:
    """Return the row's measurement of the column that differs in the split alone."""
    for other in (row.scored(column) for column in table.score_columns):
        measured = measurements.get((row.id, other.id))
        if measured is None or other.evaluation is None or column.evaluation is None:
            continue
        split = column.evaluation.split
        if other.evaluation.model_copy(update={"split": split}) == column.evaluation:
            return measured
    return None


def _class_scores(scores: np.ndarray) -> tuple[float | None, ...]:
    """Return the mean over seeds a class, in points; None where no run has the class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that is nan in every run
        means = np.nanmean(100.0 * scores, axis=0)
    return tuple(None if math.isnan(value) else float(value) for value in means)


def _diagnostics(table: Table, measurements: Measurements) -> tuple[Diagnostic, ...]:
    """Return the measures before the score; the columns of a row share them."""
    found = []
    for row in table.rows:
        of_row = [one for (row_id, _), one in measurements.items() if row_id == row.id]
        for name, title in table.diagnostics.items():
            values = next((one.diagnostics[name] for one in of_row if name in one.diagnostics), ())
            if values:
                found.append(Diagnostic(row, name, title, tuple(values)))
    return tuple(found)


def _unrepeatable(records: Sequence[Record]) -> tuple[str, ...]:
    """Return a line on the stages whose numbers another run may not give again, if there are any.

    A stage's key knows no device, so one that was made without the user's asking is not made anew.
    """
    count = sum(not repeats(record.environment) for record in records)
    if not count:
        return ()
    stages, them = ("1 stage was", "it") if count == 1 else (f"{count} stages were", "them")
    return (
        f"{stages} made on a GPU without WSSS_DETERMINISTIC: another run may give other numbers; "
        f"--store NEW makes {them} again",
    )


def _records(measurements: Measurements) -> tuple[Record, ...]:
    once = {record.key: record for one in measurements.values() for record in one.records}
    return tuple(sorted(once.values(), key=lambda record: (record.started, record.key)))


def _claims(
    table: Table, cells: tuple[Cell, ...], measurements: Measurements
) -> tuple[ClaimResult, ...]:
    by_place = {(cell.row.id, cell.column.id): cell for cell in cells}
    draws: dict[Place, Draws] = {}  # a cell serves several claims
    return tuple(_claim(claim, by_place, measurements, draws) for claim in table.claims)


def _claim(
    claim: Claim,
    cells: Mapping[Place, Cell],
    measurements: Measurements,
    draws: dict[Place, Draws],
) -> ClaimResult:
    places = claim.cells()
    published = _published_effect(claim, [cells[place] for place in places if place in cells])
    obstacle = _obstacle(claim, cells, measurements)
    if obstacle:
        note = _joined(obstacle, _contradiction(claim))
        return ClaimResult(claim, "undecided", None, published, note)
    found = [cells[place] for place in places]

    def score(cell: Cell) -> Score:
        if not cell.row.ours:
            return _value(cell), _value(cell)
        place = (cell.row.id, cell.column.id)
        if place not in draws:
            draws[place] = _draws(cell, measurements[place])
        return _value(cell), draws[place]

    if isinstance(claim, UnstableClaim):
        effect = variance_ratio(found[0].values, [cell.values for cell in found[1:]])
    else:
        effect = _effect(claim, [score(cell) for cell in found])
    verdict, reason = _claim_verdict(claim, effect, _fewest_seeds(found))
    contradiction = _contradiction(claim)
    if any(cell.verdict == "stale" for cell in found):
        caveats = ["a number behind it is stale: run again", contradiction]
        return ClaimResult(claim, "undecided", effect, published, _joined(*caveats))
    outlook = _claim_outlook(claim, found, measurements) if verdict == "undecided" else None
    caveats = [reason, _shape(claim, found), _caveat(found), outlook.note if outlook else ""]
    note = _joined(*caveats, contradiction)
    more_seeds = outlook.more_seeds if outlook else None
    return ClaimResult(claim, verdict, effect, published, note, more_seeds)


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _claim_outlook(claim: Claim, cells: list[Cell], measurements: Measurements) -> Outlook | None:
    """Return what more seeds would do to a claim on one difference; None for any other."""
    seeds = {cell.seeds for cell in cells if cell.row.ours}
    if claim.kind not in ("gain", "order") or len(cells) != 2:
        return None
    if len(seeds) != 1 or len(cells[0].seeds) < MINIMUM_SEEDS:
        return None  # seeds that cannot be paired, or too few of them
    (better, better_draws), (worse, worse_draws) = (
        _by_seed(cell, measurements.get((cell.row.id, cell.column.id))) for cell in cells
    )
    by = claim.by if claim.kind == "gain" else 0.0
    image_variance = float(np.nanvar(better_draws - worse_draws))
    return claim_outlook((better - worse).tolist(), image_variance, by)


def _by_seed(cell: Cell, measured: Measurement | None) -> tuple[np.ndarray, Draws]:
    """Return the score of every seed, and their mean under resampled images alone, in points."""
    if measured is None:  # cited: the same for every seed and image
        return np.array([_value(cell)]), np.array([_value(cell)])
    evaluation = cell.column.evaluation
    assert evaluation is not None
    chosen = evaluated_classes(evaluation, measured.card.classes)
    draws = [
        resampled_scores((counts,), (0,), evaluation.metric, classes=chosen)
        for counts in measured.counts
    ]
    return np.array(cell.values), np.mean(draws, axis=0)


def _draws(cell: Cell, measured: Measurement) -> Draws:
    evaluation = cell.column.evaluation
    assert evaluation is not None
    chosen = evaluated_classes(evaluation, measured.card.classes)
    return resampled_scores(measured.counts, cell.seeds, evaluation.metric, classes=chosen)


def _claim_verdict(claim: Claim, effect: Effect | None, seeds: int) -> tuple[ClaimVerdict, str]:
    if effect is None:
        return "undecided", "a row that does not vary at all has no ratio of variances"
    if claim.kind == "unstable":
        return unstable_verdict(effect)
    margin = MARGIN if seeds < MINIMUM_SEEDS else 0.0
    if claim.kind == "gain":
        return gain_verdict(effect, claim.by, margin)
    return order_verdict(effect, margin)


def _contradiction(claim: Claim) -> str:
    return f"the paper's own numbers: {claim.contradicted}" if claim.contradicted else ""


def _effect(claim: Claim, scores: list[Score]) -> Effect:
    """Return the smallest difference between the first score and each other one.

    Of a trend: between each score and the next; of ``every``: within each column.
    """
    if claim.kind == "trend":
        return smallest_step(scores)
    if claim.kind == "every":
        return smallest_of_pairs(list(zip(scores[::2], scores[1::2], strict=True)))
    return smallest_difference(scores[0], scores[1:])


def _shape(claim: Claim, cells: list[Cell]) -> str:
    """Return how our means depart from a peak's rise and fall; of ``every`` the closest column."""
    values = [_value(cell) for cell in cells]
    if claim.kind == "every":
        gaps = [high - low for high, low in zip(values[::2], values[1::2], strict=True)]
        return f"smallest in {cells[2 * gaps.index(min(gaps))].column.title}"
    if not isinstance(claim, PeakClaim):
        return ""
    best, *others = values
    place = claim.rows.index(claim.best)
    return unsteady(others[:place], best, others[place:])


def _value(cell: Cell) -> float:
    value = cell.mean if cell.row.ours else cell.published
    assert value is not None
    return value


def _published_effect(claim: Claim, cells: list[Cell]) -> float | None:
    values = [cell.published for cell in cells if cell.published is not None]
    if claim.kind == "unstable" or len(values) < len(claim.cells()):
        return claim.printed
    if claim.kind == "trend":
        return min(higher - lower for higher, lower in pairwise(values))
    if claim.kind == "every":
        return min(high - low for high, low in zip(values[::2], values[1::2], strict=True))
    return min(values[0] - other for other in values[1:])


def _obstacle(claim: Claim, cells: Mapping[Place, Cell], measurements: Measurements) -> str:
    """Return why a claim cannot be tested; empty if it can."""
    better, *worse = claim.cells()
    for place in (better, *worse):
        cell = cells.get(place)
        if cell is None or (not cell.row.ours and cell.published is None):
            return f"{'/'.join(place)}: the paper prints no value"
        if cell.row.ours and not cell.values:
            return f"{cell.row.title}: {cell.note}"
        if cell.row.ours and place not in measurements:
            return f"{cell.row.title}: a server's score, without images to draw from"
    if not cells[better].row.ours:
        return f"{cells[better].row.title}: a cited row, nothing of ours to test"
    if claim.kind == "unstable":
        return _few_seeds([cells[place] for place in (better, *worse)])
    cited = [place for place in worse if not cells[place].row.ours]
    if cited and cells[better].differing:
        fields = ", ".join(TITLES[name] for name in cells[better].differing)
        return f"compares with cited numbers, and our protocol is not the paper's: {fields}"
    images = measurements[better].image_ids
    for place in worse:
        if cells[place].row.ours and measurements[place].image_ids != images:
            return f"measured on other images than {cells[place].row.title}"
    return ""


def _few_seeds(cells: list[Cell]) -> str:
    """Return why the spreads over the seeds cannot be compared; empty if they can."""
    for cell in cells:
        if not cell.row.ours:
            return f"{cell.row.title}: a cited row, no spread of ours to compare"
        if len(cell.values) < MINIMUM_SEEDS:
            return f"{cell.row.title}: a spread needs {MINIMUM_SEEDS} seeds"
    return ""


def _fewest_seeds(cells: list[Cell]) -> int:
    return min(len(cell.seeds) for cell in cells if cell.row.ours)


def _caveat(cells: list[Cell]) -> str:
    fewest = _fewest_seeds(cells)
    if fewest >= MINIMUM_SEEDS:
        return ""
    few = "1 seed: the interval covers the images, not the training" if fewest == 1 else ""
    return f"{few or f'{fewest} seeds only'}; judged with a margin of {MARGIN:g} point"


def _without_folders(message: str) -> str:
    """Return a message on one line with absolute paths cut to their last part."""
    return re.sub(r"(?<![\w.])/(?:[^/\s'\":]+/)+", "", " ".join(message.split()))
