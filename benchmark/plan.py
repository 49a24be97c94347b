"""From a table, a profile and the user's files to the stages behind every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.data.voc import CLASS_NAMES
from benchmark.errors import BenchmarkError
from benchmark.executor import with_inputs
from benchmark.graph import StageGraph, row_method, segments
from benchmark.profiles import Profile
from benchmark.proxy import find_recipe
from benchmark.registry import near_name
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
    data: Mapping[str, str]
    """What describes the images: name, digest, number of images."""
    sheets: Mapping[str, Sheet]
    """Row id -> what its figure shows."""

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


def make_plan(table: Table, profile: Profile, files: UserFiles, seeds: Sequence[int]) -> Plan:
    """Return the plan; BenchmarkError where a method, an option or a user's file is wrong."""
    graph = StageGraph(profile, files)
    cells: list[CellPlan] = []
    diagnostics: dict[str, dict[str, Diagnostic]] = {}
    absent: dict[tuple[str, str], str] = {}
    sheets: dict[str, Sheet] = {}
    for row, column in table.measurable():
        if segments(column) and row.segmentation not in profile.segmentation:
            absent[row.id, column.id] = f"profile {profile.id} has no {row.segmentation}"
            continue
        cells.append(_cell(graph, row, column, seeds))
        if row.method is None:  # true labels: there is nothing on the way to them
            diagnostics[row.id] = {}
            continue
        diagnostics[row.id] = {
            name: _diagnostic(graph, name, row, seeds)
            for name in table.diagnostics
            if row.refine or not name.startswith("refined.")
        }
        sheets[row.id] = _sheet(graph, row, seeds[0])
    if not cells:
        raise BenchmarkError(f"profile {profile.id} can measure no cell of {table.id}")
    return Plan(
        table,
        profile,
        tuple(seeds),
        tuple(cells),
        diagnostics,
        absent,
        graph.described(),
        sheets,
    )


def _cell(graph: StageGraph, row: Row, column: Column, seeds: Sequence[int]) -> CellPlan:
    assert column.evaluation is not None
    scores = tuple(graph.score(row, column, seed) for seed in seeds)
    return CellPlan(row, column, _card(graph, row, column), scores)


def _diagnostic(graph: StageGraph, name: str, row: Row, seeds: Sequence[int]) -> Diagnostic:
    readers: dict[str, tuple[str, Callable[[int], Stage]]] = {
        "attention.val_map": ("val_map", lambda seed: graph.attention(row, seed)),
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
    evaluation = column.evaluation
    assert evaluation is not None
    constants = {} if row.method is None else graph.label_recipe(row)[1]
    segmented = segments(column)
    used = graph.family(row).weights if segmented else graph.profile.attention.weights
    saliency = _uses_saliency(graph, row)
    return ProtocolCard(
        stage=evaluation.stage,
        dataset=_dataset_name(graph),
        train_split=graph.split("train"),
        split=evaluation.split,
        classes=graph.voc.classes if graph.voc else CLASS_NAMES,
        image_labels=graph.voc.labels if graph.voc else "csv",
        labels_at_test="none" if segmented else "image labels",
        refinement=row.refine or "none",
        threshold=constants.get("threshold", "none"),
        threshold_policy="fixed",
        scales=evaluation.scales,
        flip=evaluation.flip,
        crf=evaluation.crf,
        network=_network_name(graph, row) if segmented else used,
        initial_weights=graph.profile.weights[used].title,
        saliency=_saliency_name(graph) if saliency else "none",
        supervision="F" if row.method is None else "I+S" if saliency else "I",
        profile=graph.profile.id,
    )


def _dataset_name(graph: StageGraph) -> str:
    if graph.voc is None:
        return "generated scenes"
    return graph.voc.name


def _network_name(graph: StageGraph, row: Row) -> str:
    family = str(row.segmentation)
    return family if graph.profile.id == "paper" else graph.network_path(row).stem


def _saliency_name(graph: StageGraph) -> str:
    kind = graph.profile.saliency.kind
    if kind == "network":
        return "own network, generated objects of other classes"
    return "none" if kind == "none" else str(graph.files.saliency_name)


def _uses_saliency(graph: StageGraph, row: Row) -> bool:
    if row.method is None:
        return False
    recipe, _ = graph.label_recipe(row)
    return row_method(row).needs_saliency or "saliency" in find_recipe(recipe).needs
