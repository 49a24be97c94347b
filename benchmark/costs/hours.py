"""How many hours tables take on several devices, and what each number rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.costs.makespan import longest_chain, makespan
from benchmark.errors import BenchmarkError
from benchmark.executor import plan_states, to_make, with_inputs
from benchmark.plan import Plan, union_of_targets
from benchmark.progress import Progress
from benchmark.store import Stage, Store

Basis = Literal["recorded", "counted", "no network", "not known"]

WITHOUT_NETWORK = frozenset(
    {
        "backbone",
        "fully_connected_backbone",
        "xception_backbone",
        "scenes",
        "labels",
        "true_labels",
        "released_labels",
        "released_maps",
        "score",
        "map_score",
    }
)


@dataclass(frozen=True)
class Cost:
    """What one stage takes, in seconds, and how that is known.

    ``recorded``: its own time, or the median of its like; ``counted``: its networks' arithmetic
    over the rate that the user stated; ``no network``: never recorded, the CPU's work, taken as
    nothing; ``not known``: taken as nothing as well.
    """

    seconds: float
    basis: Basis


@dataclass(frozen=True)
class TableHours:
    """What one table takes: hours by number of devices; ``all`` tables have equal stages once."""

    table: str
    stages: int
    total: float
    """The hours of all stages, one after the other."""
    chain: float
    """The hours of the stages that must follow one another."""
    devices: Mapping[int, float]
    bases: Mapping[Basis, int]
    """How many stages each basis has."""

    def to_json(self) -> dict[str, Any]:
        """Return the table's hours for machines."""
        return {
            "table": self.table,
            "stages": self.stages,
            "hours": self.total,
            "chain_hours": self.chain,
            "hours_on_devices": {str(number): hours for number, hours in self.devices.items()},
            "bases": dict(self.bases),
        }


def check_rate(tflops: float | None) -> None:
    """Raise BenchmarkError for a rate in TFLOP/s at which nothing would take its time."""
    if tflops is not None and not (math.isfinite(tflops) and tflops > 0):
        raise BenchmarkError(f"--tflops {tflops:g}: give a rate above 0, such as 20")


def parse_devices(given: str) -> tuple[int, ...]:
    """Return the numbers in e.g. ``1,8,64``; BenchmarkError for what is none."""
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise BenchmarkError(f"--gpus {given}: give numbers of devices, such as 1,8,64")
    return tuple(dict.fromkeys(map(int, parts)))


def table_hours(
    plans: Sequence[Plan],
    store: Store,
    devices: Sequence[int],
    *,
    operations_per_second: float | None,
    finished_too: bool,
    progress: Progress,
) -> list[TableHours]:
    """Return the hours of each plan and, of several, of all together.

    Counted is what is to be made; with ``finished_too`` every stage, as if into an empty store.
    Stages without a record cost what their networks' arithmetic takes at
    ``operations_per_second``, where that is given.
    """
    targets = union_of_targets(plans)
    order = with_inputs(targets)
    chosen = order if finished_too else to_make(targets, plan_states(targets, store))
    images = {split: count for plan in plans for split, count in plan.images.items()}
    costs: dict[str, Cost] = {}
    with progress.task("costs of stages", len(chosen)) as task:
        for stage in chosen:
            costs[stage.key] = stage_cost(stage, store, images, operations_per_second)
            task.advance(note=stage.label)
    found = [
        _hours(plan.table.id, [s for s in plan.stages if s.key in costs], costs, devices)
        for plan in plans
    ]
    return found if len(plans) == 1 else [*found, _hours("all", chosen, costs, devices)]


def stage_cost(
    stage: Stage, store: Store, images: Mapping[str, int], operations_per_second: float | None
) -> Cost:
    """Return what a stage takes; ``images`` are the numbers of its data set's splits."""
    record = store.record(stage)
    seconds = store.typical_seconds(stage) if record is None else record.seconds
    if seconds is not None:
        return Cost(seconds, "recorded")
    if stage.name in WITHOUT_NETWORK or stage.config.get("source") == "folder":
        return Cost(0.0, "no network")
    if operations_per_second is None:
        return Cost(0.0, "not known")
    from benchmark.costs.flops import stage_flops  # imports torch

    operations = stage_flops(stage, images)
    if operations is None:
        return Cost(0.0, "not known")
    return Cost(operations / operations_per_second, "counted")


def _hours(
    name: str, stages: Sequence[Stage], costs: Mapping[str, Cost], devices: Sequence[int]
) -> TableHours:
    seconds = {stage.key: costs[stage.key].seconds for stage in stages}
    return TableHours(
        table=name,
        stages=len(stages),
        total=sum(seconds.values()) / 3600,
        chain=longest_chain(stages, seconds) / 3600,
        devices={number: makespan(stages, seconds, number) / 3600 for number in devices},
        bases=Counter(costs[stage.key].basis for stage in stages),
    )


def hours_markdown(found: Sequence[TableHours], tflops: float | None) -> str:
    """Return the hours as a Markdown table, with what they rest on above it."""
    numbers = list(found[0].devices)
    names = ["table", "stages", *(f"on {number}" for number in numbers), "longest chain"]
    lines = [
        f"| {' | '.join(names)} |",
        f"|---|{'---:|' * (len(names) - 1)}",
    ]
    for one in found:
        hours = [*one.devices.values(), one.chain]
        cells = [one.table, str(one.stages), *map(_shown, hours)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([_caption(found, tflops), "", *lines])


def _caption(found: Sequence[TableHours], tflops: float | None) -> str:
    """Say what the hours of all tables rest on."""
    bases = found[-1].bases
    parts = []
    if count := bases.get("recorded"):
        parts.append(f"{_stages(count)} as recorded in the store.")
    if count := bases.get("counted"):
        parts.append(
            f"{_stages(count)} counted: the arithmetic of their networks at {tflops:g} TFLOP/s "
            "sustained by each device, which is an assumption and not a measurement; at twice the "
            "rate they take half the time. Reading images, CRFs and random walks are left out."
        )
    if count := bases.get("no network"):
        parts.append(f"{_stages(count)} without a network, never recorded: taken as 0.")
    if count := bases.get("not known"):
        hint = "" if tflops else " (--tflops N counts them at a rate that you assume)"
        parts.append(f"{_stages(count)} never timed, left out{hint}.")
    return " ".join(["Hours on so many devices, one stage on each at a time.", *parts])


def _stages(count: int) -> str:
    return f"{count} stage{'s' if count != 1 else ''}"


def _shown(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2f}"
