"""What ``list`` and ``plan`` show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from benchmark.data.check import CheckReport
from benchmark.errors import BenchmarkError
from benchmark.executor import plan_states, to_make
from benchmark.plan import Plan, union_of_targets
from benchmark.registry import load_method_class, method_entry_points
from benchmark.store import Store

if TYPE_CHECKING:
    from benchmark.conformance import Outcome
    from benchmark.data.paper_check import PaperCheck


PIPE_WIDTH = 10_000
"""Characters; a pipe has no width of its own, and what reads it wants whole lines."""


def listed(what: str) -> list[dict[str, str]]:
    """Return one mapping a table, method, profile, stage, label recipe ..."""
    listers = {
        "tables": _tables,
        "methods": _methods,
        "profiles": _profiles,
        "stages": _stages,
        "recipes": _recipes,
        "saliency": _saliency,
        "segmentations": _segmentations,
    }
    return listers[what]()


def print_listed(rows: list[dict[str, str]]) -> None:
    """Print mappings with equal keys as a table."""
    if not rows:
        Console().print("there is none")
        return
    _print_grid(rows[0], [list(row.values()) for row in rows])


def _print_grid(header: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """Print cells below their header; in a terminal long ones are folded, and none is cut."""
    columns = [Column(name, overflow="fold") for name in header]
    grid = Grid(*columns, box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(grid)


def plan_rows(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Return one mapping a stage: label, key, state, seconds it will take (None: not known)."""
    states = plan_states(plan.stages, store)
    making = {stage.key for stage in to_make(plan.targets, states)}
    return [
        {
            "stage": stage.name,
            "label": stage.label,
            "key": stage.key,
            "state": states[stage.key],
            "runs": stage.key in making,
            "seconds": store.typical_seconds(stage) if stage.key in making else 0.0,
        }
        for stage in plan.stages
    ]


def print_plan(rows: list[dict[str, Any]]) -> None:
    """Print the stages, how many are to be made, and what that will take."""
    _print_grid(
        ("stage", "state", "will take", "key"),
        [(row["label"], row["state"], _cost(row), row["key"][:12]) for row in rows],
    )
    making = [row for row in rows if row["runs"]]
    known = sum(row["seconds"] or 0.0 for row in making)
    unknown = sum(row["seconds"] is None for row in making)
    Console().print(f"{len(rows)} stages, {_to_make(len(making), known, unknown)}", soft_wrap=True)


def plans_overview(plans: Sequence[Plan], store: Store) -> dict[str, Any]:
    """Return what several tables need together, equal stages counted once.

    ``tables``: one mapping a table, whose ``shared`` stages belong to a table above it, too.
    ``seconds``: what is to be made takes, one stage after the other, as far as that is known.
    """
    targets = union_of_targets(plans)
    states = plan_states(targets, store)
    making = to_make(targets, states)
    seconds = [store.typical_seconds(stage) for stage in making]
    made = {stage.key for stage in making}
    seen: set[str] = set()
    tables = []
    for plan in plans:
        keys = {stage.key for stage in plan.stages}
        tables.append(
            {
                "table": plan.table.id,
                "stages": len(keys),
                "shared": len(keys & seen),
                "cached": sum(states[key] == "cached" for key in keys),
                "to_make": len(keys & made),
            }
        )
        seen |= keys
    together = sum(len(plan.stages) for plan in plans)
    return {
        "tables": tables,
        "together": together,
        "distinct": len(seen),
        "saved": together - len(seen),
        "cached": sum(states[key] == "cached" for key in seen),
        "to_make": len(making),
        "seconds": sum(value or 0.0 for value in seconds),
        "never_timed": sum(value is None for value in seconds),
    }


def print_overview(overview: dict[str, Any]) -> None:
    """Print a line a table, then what they need together."""
    names = ("table", "stages", "shared", "cached", "to_make")
    _print_grid(
        (name.replace("_", " ") for name in names),
        [[str(table[name]) for name in names] for table in overview["tables"]],
    )
    Console().print(
        "{together} stages together, {distinct} of them distinct (saved {saved}), "
        "{cached} cached, ".format_map(overview)
        + _to_make(overview["to_make"], overview["seconds"], overview["never_timed"]),
        soft_wrap=True,
    )


def _to_make(number: int, seconds: float, never_timed: int) -> str:
    """Return how many stages are to be made, and how long that takes as far as it is known."""
    if number and never_timed == number:
        return f"{number} to make, none of them timed here yet"
    more = f", and {never_timed} stages never timed here" if never_timed else ""
    return f"{number} to make: about {seconds:.0f} s{more}"


def print_check(report: CheckReport) -> None:
    """Print what a data set holds, then its problems, a line each."""
    for split in report.splits:
        held = ", ".join(f"{name} {count}" for name, count in split.images_per_class.items())
        print(f"{report.name} {split.split}: {split.images} images ({held})")
        print(f"  {split.images_without_class} without a class, {split.void_fraction:.1%} void")
    print("\n".join(report.problems) if report.problems else "no problem found")


def print_paper_check(check: PaperCheck) -> None:
    """Print what a folder holds of VOC 2012, what is wrong, and where the rest is to be had."""
    print(", ".join(f"{name} {count}" for name, count in check.counts.items()))
    print(f"{len(check.manifest)} files, sha256 of their manifest {check.digest}")
    print("\n".join(check.problems) if check.problems else "no problem found")
    if check.sources:
        print("to be had from (nothing is downloaded):")
        print("\n".join(f"  {source}" for source in check.sources))


def print_conformance(name: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Print a line a check as it ends, ticked or crossed, with the reason of every failure.

    Returns the outcomes.
    """
    console = Console(highlight=False)
    signs = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "dim")}
    ended = []
    for outcome in outcomes:
        sign, style = signs[outcome.passed]
        reason = f": {outcome.reason}" if outcome.reason else ""
        console.print(Text(f"{sign} {outcome.check}{reason}", style=style), soft_wrap=True)
        ended.append(outcome)
    failed = sum(outcome.passed is False for outcome in ended)
    untried = sum(outcome.passed is None for outcome in ended)
    passed = len(ended) - failed - untried
    console.print(f"method {name}: {passed} checks passed, {failed} failed, {untried} not tried")
    return ended


def _cost(row: dict[str, Any]) -> str:
    if not row["runs"]:
        return "-"
    return "not known" if row["seconds"] is None else f"{row['seconds']:.0f} s"


def _tables() -> list[dict[str, str]]:
    from benchmark.tables import table_ids

    return [_table(table_id) for table_id in table_ids()]


def _table(table_id: str) -> dict[str, str]:
    from benchmark.tables import load_table

    try:
        table = load_table(table_id)
    except BenchmarkError as error:
        return {"table": table_id, "title": f"broken: {error}", "paper": "", "ours": ""}
    ours = f"{sum(row.ours for row in table.rows)} of {len(table.rows)} rows"
    return {"table": table.id, "title": table.title, "paper": table.source, "ours": ours}


def _methods() -> list[dict[str, str]]:
    return [_method(name) for name in method_entry_points()]


def _method(name: str) -> dict[str, str]:
    try:
        method = load_method_class(name)
        paper = f"{method.paper.title}, {method.paper.venue}"
    except BenchmarkError as error:
        return {"method": name, "paper": f"broken: {error}", "supervision": ""}
    except AttributeError:
        return {"method": name, "paper": "broken: it names no paper", "supervision": ""}
    return {"method": name, "paper": paper, "supervision": str(method.supervision)}


def _profiles() -> list[dict[str, str]]:
    from benchmark.profiles import load_profile, profile_ids

    profiles = [load_profile(profile_id) for profile_id in profile_ids()]
    return [{"profile": p.id, "title": p.title, "about": p.about} for p in profiles]


def _stages() -> list[dict[str, str]]:
    from benchmark.stages import stage_summaries

    return [{"stage": name, "what": what} for name, what in stage_summaries().items()]


def _recipes() -> list[dict[str, str]]:
    from benchmark.proxy import find_recipe, recipe_names, recipe_source

    rows = []
    for name in recipe_names():
        row = {"recipe": name, "from": recipe_source(name)}
        try:
            recipe = find_recipe(name)
        except BenchmarkError as error:
            rows.append({**row, "needs": "", "constants": "", "what": str(error)})
            continue
        needs, constants = ", ".join(recipe.needs), ", ".join(recipe.constants)
        what = _first_line(recipe.function)
        rows.append({**row, "needs": needs, "constants": constants, "what": what})
    return rows


def _saliency() -> list[dict[str, str]]:
    from benchmark.registry import plugin_points
    from benchmark.saliency.source import GROUP, load_source_class, source_names

    rows = []
    for name in source_names():
        try:
            source = load_source_class(name)
            title, what = source.title, _first_line(source)
        except BenchmarkError as error:
            title, what = "", str(error)
        value = plugin_points(GROUP)[name].value
        rows.append({"source": name, "from": value, "title": title, "what": what})
    return rows


def _segmentations() -> list[dict[str, str]]:
    from benchmark.profiles import load_profile, plugin_families, profile_ids

    rows = []
    for profile in map(load_profile, profile_ids()):
        given = {one.name: one for one in plugin_families(profile)}
        for name, family in profile.segmentation.items():
            plugin = given.pop(name, None)
            own = plugin is None or plugin.settings != family
            row = {"segmentation": name, "profile": profile.id, "config": Path(family.config).name}
            rows.append(
                {**row, "from": "mmseg_configs" if own or plugin is None else plugin.package}
            )
        for broken in (one for one in given.values() if one.reason):
            row = {"segmentation": broken.name or "-", "profile": profile.id}
            rows.append({**row, "config": broken.reason, "from": broken.package})
    return rows


def _first_line(documented: object) -> str:
    return ((getattr(documented, "__doc__", None) or "").strip().splitlines() or [""])[0]
