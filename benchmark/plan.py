"""From a table, a profile and the user's files to the stages behind every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from benchmark.costs.without_files import GraphWithoutFiles
from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError, NotGiven
from benchmark.executor import with_inputs
from benchmark.graph import StageGraph, as_scored, at_scale, broken_plugin, row_method, segments
from benchmark.profiles import Profile, why_no_family
from benchmark.proxy import find_recipe
from benchmark.registry import near_name
from benchmark.released import Released, described
from benchmark.report.card import ProtocolCard
from benchmark.store import Stage
from benchmark.tables import Column, Row, Table
from benchmark.user_files import UserFiles


@dataclass(frozen=True)
class CellPlan:
    """One cell of ours: the score stage of every seed, and what its number may be compared with."""

    row: Row
    column: Column
    card: ProtocolCard
    scores: tuple[Stage, ...]


@dataclass(frozen=True)
class Diagnostic:
    """A measure on the way to the score: one metric of one stage a seed."""

    metric: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Sheet:
    """What a row's figure shows: its maps and labels of the validation split, at one seed."""

    maps: Stage
    labels: Stage
    seed: int


@dataclass(frozen=True)
class Plan:
    """Everything that one table needs under one profile."""

    table: Table
    profile: Profile
    seeds: tuple[int, ...]
    cells: tuple[CellPlan, ...]
    diagnostics: Mapping[str, Mapping[str, Diagnostic]]
    """Row id -> name such as ``labels.val_miou`` -> where it is read."""
    absent: Mapping[tuple[str, str], str]
    """(row, column) -> why this profile cannot measure it."""
    broken: Mapping[str, str]
    """Row id -> why its plugin cannot be used; its cells are among the absent ones."""
    data: Mapping[str, str]
    """What describes the images: name, digest, number of images."""
    sheets: Mapping[str, Sheet]
    """Row id -> what its figure shows."""
    released: Released = field(default_factory=dict)
    """The released files that its one row is started from."""
    not_given: tuple[str, ...] = ()
    """Why some rows have no measures of val and no figure: what the user's files lack."""
    images: Mapping[str, int] = field(default_factory=dict)
    """How many images each split has that is trained on or scored, by the data's own names."""

    @property
    def name(self) -> str:
        """What its results are called, in the profile's folder: apart where files are given."""
        if not self.released:
            return self.table.id
        return f"from/{self.table.id}-{self.table.rows[0].id}-{'-'.join(sorted(self.released))}"

    @property
    def run_first(self) -> str:
        """What to do, in words, where something of it is not in the store yet."""
        command = f"python -m benchmark run --table {self.table.id} --profile {self.profile.id}"
        if self.released:
            files = " ".join(f"--from {kind}=..." for kind in self.released)
            command = f"{command} --rows {self.table.rows[0].id} {files}"
        return f"run {command} first, with the same options"

    def sheet(self, row_id: str) -> Sheet:
        """Return what a row's figure shows; BenchmarkError where there is no such row or figure."""
        if row_id in self.sheets:
            return self.sheets[row_id]
        if row_id in self.diagnostics and self.not_given:
            raise BenchmarkError(
                f"the files given leave no attention maps and labels of val to draw of {row_id}: "
                f"{'; '.join(self.not_given)}"
            )
        known = [name for name, found in self.diagnostics.items() if found]
        raise BenchmarkError(near_name(f"row of ours in {self.table.id}", row_id, known))

    @cached_property
    def targets(self) -> tuple[Stage, ...]:
        """The stages that the report and the figures read."""
        return self.targets_of(row.id for row in self.table.rows)

    def targets_of(self, rows: Iterable[str]) -> tuple[Stage, ...]:
        """The targets of some rows; BenchmarkError, with the near id, for one that is not there."""
        found: list[Stage] = []
        for row_id in rows:
            if row_id not in (known := [row.id for row in self.table.rows]):
                raise BenchmarkError(near_name(f"row of {self.table.id}", row_id, known))
            found += [
                score for cell in self.cells if cell.row.id == row_id for score in cell.scores
            ]
            for diagnostic in self.diagnostics.get(row_id, {}).values():
                found += diagnostic.stages
            if sheet := self.sheets.get(row_id):
                found += [sheet.maps, sheet.labels]
        return tuple({stage.key: stage for stage in found}.values())

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, each once, inputs before what needs them."""
        return tuple(with_inputs(self.targets))


def one_row(table: Table, rows: Sequence[str] | None, released: Released) -> Table:
    """Return the table with one row of ours alone, and a note of the files it is started from.

    ``rows`` names it; a table that has but one needs no name. Claims and curves are left out: they
    compare rows. BenchmarkError for any other number of rows.
    """
    ours = [row.id for row in table.rows if row.ours]
    chosen = ours if rows is None else rows
    for row_id in chosen:
        if row_id not in ours:
            raise BenchmarkError(near_name(f"row of ours in {table.id}", row_id, ours))
    if len(chosen) != 1:
        raise BenchmarkError(
            f"files are given for one row of {table.id}: name it ({', '.join(ours)})"
        )
    row = table.row(chosen[0])
    if released:
        note = f"{described(released)}. What is said of the stage they stand for does not hold."
        row = row.model_copy(update={"notes": (note, *row.notes)})
    return table.model_copy(update={"rows": (row,), "claims": (), "curves": ()})


class NothingToMeasure(BenchmarkError):
    """A profile can measure no cell of a table."""


def make_plan(
    table: Table,
    profile: Profile,
    files: UserFiles,
    seeds: Sequence[int],
    released: Released | None = None,
) -> Plan:
    """Return the plan; BenchmarkError where a method, an option or a user's file is wrong.

    With ``released`` files the table has one row of ours, see ``one_row``.
    """
    return _plan(StageGraph(profile, files, released), table, seeds)


def make_plans(
    tables: Iterable[tuple[Table, Sequence[int]]],
    profile: Profile,
    files: UserFiles,
    announce: Callable[[str], None],
    *,
    files_needed: bool = True,
) -> tuple[Plan, ...]:
    """Return the plans of several tables, each with its seeds; the user's files are read once.

    Tables that the profile cannot measure are announced and left out. Raises BenchmarkError as
    ``make_plan`` does, and where no table is left. With ``files_needed`` off the plans are there
    to be counted: files that are not given are taken as they should be.
    """
    graph = StageGraph(profile, files) if files_needed else GraphWithoutFiles(profile, files)
    plans = []
    for table, seeds in tables:
        try:
            plans.append(_plan(graph, table, seeds))
        except NothingToMeasure as error:
            announce(f"left out: {error}")
    for reason in dict.fromkeys(reason for plan in plans for reason in plan.not_given):
        announce(f"left out: measures and figures of val: {reason}")
    if not plans:
        raise NothingToMeasure(f"profile {profile.id} can measure none of these tables")
    return tuple(plans)


def union_of_targets(plans: Iterable[Plan], rows: Sequence[str] | None = None) -> tuple[Stage, ...]:
    """Return the targets of several tables, or of some of their rows, each stage once."""
    targets = [plan.targets if rows is None else plan.targets_of(rows) for plan in plans]
    return tuple({stage.key: stage for found in targets for stage in found}.values())


def _plan(graph: StageGraph, table: Table, seeds: Sequence[int]) -> Plan:
    profile = graph.profile
    cells: list[CellPlan] = []
    diagnostics: dict[str, dict[str, Diagnostic]] = {}
    absent: dict[tuple[str, str], str] = {}
    broken: dict[str, str] = {}
    sheets: dict[str, Sheet] = {}
    not_given: dict[str, None] = {}
    alike: dict[tuple[str, str], CellPlan] = {}  # a row's columns of one test share their stages
    for row, column in table.measurable():
        if reason := _absence(graph, row, column):
            absent[row.id, column.id] = reason
            continue
        if row.id not in broken:
            broken[row.id] = broken_plugin(row)
        if reason := broken[row.id]:
            absent[row.id, column.id] = f"failed: {reason}"
            continue
        test = (row.id, _test(column))
        try:
            if test not in alike:
                alike[test] = _cell(graph, row, column, seeds)
        except NotGiven as error:
            absent[row.id, column.id] = str(error)
            continue
        cells.append(replace(alike[test], column=column))
        if row.id in diagnostics:
            continue
        if row.method is None:  # true labels: there is nothing on the way to them
            diagnostics[row.id] = {}
            continue
        diagnostics[row.id] = _diagnostics(graph, table, row, seeds)
        try:
            sheets[row.id] = _sheet(graph, row, seeds[0])
        except NotGiven as error:
            not_given[str(error)] = None
    broken = {row_id: reason for row_id, reason in broken.items() if reason}
    if not cells and broken:
        raise NothingToMeasure(next(iter(broken.values())))
    if not cells and graph.released:
        raise BenchmarkError(next(iter(absent.values())))
    if not cells:
        reasons = "; ".join(dict.fromkeys(absent.values())) or "every cell waits for a server"
        raise NothingToMeasure(f"profile {profile.id} can measure no cell of {table.id}: {reasons}")
    return Plan(
        table,
        profile,
        tuple(seeds),
        tuple(cells),
        diagnostics,
        absent,
        broken,
        {**graph.described(), **_started_from(graph)},
        sheets,
        graph.released,
        tuple(not_given),
        graph.image_counts(_split(cell.column) for cell in cells),
    )


def _split(column: Column) -> str:
    assert column.evaluation is not None
    return column.evaluation.split


def _absence(graph: StageGraph, row: Row, column: Column) -> str:
    """Return why this profile and these images have nothing to measure in a cell; empty if not."""
    assert column.evaluation is not None
    if segments(column) and row.segmentation not in graph.profile.segmentation:
        return why_no_family(graph.profile, str(row.segmentation))
    if graph.lacks(column.evaluation.split):
        return f"the data set has no list {column.evaluation.split}"
    of_class = column.evaluation.of_class
    if of_class not in (None, "background", *_classes(graph)):
        return f"the data set has no {of_class}"
    return ""


def _test(column: Column) -> str:
    """Return what a column's score stages depend on: classes and metrics are read from counts."""
    assert column.evaluation is not None
    return column.evaluation.model_dump_json(exclude={"of_class", "mean_over", "metric"})


def _cell(graph: StageGraph, row: Row, column: Column, seeds: Sequence[int]) -> CellPlan:
    assert column.evaluation is not None
    scores = tuple(graph.score(row, column, seed) for seed in seeds)
    return CellPlan(row, column, _card(graph, row, column), scores)


def _diagnostics(
    graph: StageGraph, table: Table, row: Row, seeds: Sequence[int]
) -> dict[str, Diagnostic]:
    """Return the row's measures, those left out that the user's files leave no stage for."""
    found = {}
    for name in table.diagnostics:
        if row.refine or not name.startswith("refined."):
            with suppress(NotGiven):
                found[name] = _diagnostic(graph, name, row, seeds)
    return found


def _diagnostic(graph: StageGraph, name: str, row: Row, seeds: Sequence[int]) -> Diagnostic:
    readers: dict[str, tuple[str, Callable[[int], Stage]]] = {
        "attention.val_map": ("val_map", lambda seed: graph.scored_attention(row, seed)),
        "maps.val_miou": ("miou", lambda seed: graph.map_score(row, seed)),
        "refined.val_miou": ("miou", lambda seed: graph.refined_score(row, seed)),
    }
    for split in ("train", "val"):
        for metric in ("miou", "precision", "recall"):
            readers[f"labels.{split}_{metric}"] = (
                metric,
                lambda seed, split=split: graph.label_score(row, split, seed),  # type: ignore[misc]
            )
    if name not in readers:
        raise BenchmarkError(near_name("diagnostic", name, readers))
    metric, reader = readers[name]
    return Diagnostic(metric, tuple(reader(seed) for seed in seeds))


def _sheet(graph: StageGraph, row: Row, seed: int) -> Sheet:
    return Sheet(graph.maps(row, "val", seed), graph.labels(row, "val", seed), seed)


def _card(graph: StageGraph, row: Row, column: Column) -> ProtocolCard:
    assert column.evaluation is not None
    evaluation = at_scale(column.evaluation, graph.profile)
    labelled = as_scored(row, column)
    constants = {} if row.method is None else graph.label_recipe(labelled)[1]
    segmented = segments(column)
    used = graph.family(row).weights if segmented else graph.attention_weights(row)
    saliency = _uses_saliency(graph, labelled)
    card = ProtocolCard(
        stage=evaluation.stage,
        dataset=_dataset_name(graph),
        train_split=graph.split("train"),
        split=evaluation.split,
        classes=_classes(graph),
        image_labels=graph.voc.labels if graph.voc else "csv",
        labels_at_test="none" if segmented else "image labels",
        refinement=labelled.refine or "none",
        threshold=constants.get("threshold", "none"),
        threshold_policy="fixed",
        scales=evaluation.scales,
        flip=evaluation.flip,
        views=evaluation.views,
        crf=evaluation.crf,
        network=_network_name(graph, row) if segmented else used,
        initial_weights=graph.profile.weights[used].title,
        saliency=_saliency_name(graph) if saliency else "none",
        supervision="F" if row.method is None else "I+S" if saliency else "I",
        profile=graph.profile.id,
    )
    return _as_released(card, graph.released)


def _as_released(card: ProtocolCard, released: Released) -> ProtocolCard:
    """Return the card with what nobody knows of released files left unstated."""
    if not released:
        return card
    labelled = bool({"labels", "cues"} & released.keys())
    return replace(
        card,
        refinement=None if labelled else card.refinement,
        threshold=None if labelled else card.threshold,
        threshold_policy=None if labelled else card.threshold_policy,
        saliency=None,
        supervision=None,
        started_from=described(released),
    )


def _started_from(graph: StageGraph) -> dict[str, str]:
    return {"started from": described(graph.released)} if graph.released else {}


def _classes(graph: StageGraph) -> tuple[str, ...]:
    return graph.voc.classes if graph.voc else CLASS_NAMES


def _dataset_name(graph: StageGraph) -> str:
    if graph.voc is None:
        return "generated scenes"
    return graph.voc.name


def _network_name(graph: StageGraph, row: Row) -> str:
    own = graph.profile.id == "paper" and not graph.family(row).substitute
    return str(row.segmentation) if own else graph.network_path(row).stem


def _saliency_name(graph: StageGraph) -> str:
    kind = graph.profile.saliency.kind
    if kind == "network":
        return "own network, generated objects of other classes"
    if kind == "source":
        return graph.saliency_source().title
    return "none" if kind == "none" else str(graph.files.saliency_name)


def _uses_saliency(graph: StageGraph, row: Row) -> bool:
    if row.method is None:
        return False
    recipe, _ = graph.label_recipe(row)
    return row_method(row).needs_saliency or "saliency" in find_recipe(recipe).needs
