"""Show what there is, what this machine has, and how fast it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from benchmark.commands.options import Json, print_json
from benchmark.given import split_names


class Listed(StrEnum):
    """What ``list`` can list."""

    tables = "tables"
    methods = "methods"
    profiles = "profiles"
    stages = "stages"
    recipes = "recipes"
    saliency = "saliency"
    segmentations = "segmentations"


def version(wanted: bool) -> None:
    """Print the version of the installed package, which pyproject.toml alone states."""
    if wanted:
        from importlib.metadata import version as installed

        print(f"wsss-benchmark {installed('wsss-benchmark')}")
        raise typer.Exit


def list_(what: Listed, as_json: Json = False) -> None:
    """List what there is, plugins included: tables, methods, label recipes and so on."""
    from benchmark.listing import listed, print_listed

    rows = listed(what.value)
    if as_json:
        print_json(rows)
    else:
        print_listed(rows)


def doctor(as_json: Json = False) -> None:
    """Show versions and devices, and what each profile still needs on this machine."""
    from benchmark.doctor import examine, print_examination

    found = examine()
    if as_json:
        print_json(found)
    else:
        print_examination(found)
    if found["problems"]:
        raise typer.Exit(1)


def bench(
    groups: Annotated[
        str | None,
        typer.Option(help="scoring, crf, loading, steps, growth, scaling; else all."),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Whose training steps are timed: scenes, paper.")
    ] = "scenes",
    rows: Annotated[
        str | None, typer.Option("--rows", help="With steps: only these rows of table methods.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast the suite is: beside the plain way, a training step, on several cores."""
    from benchmark.bench import run_benchmarks
    from benchmark.listing import print_listed
    from benchmark.progress import make_progress

    found = run_benchmarks(
        split_names(groups), make_progress(as_json), profile, split_names(rows) or ()
    )
    if as_json:
        print_json([one.to_json() for group in found for one in group])
        return
    for group in found:
        print_listed([one.shown() for one in group])
