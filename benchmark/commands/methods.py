"""Begin or check a method."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark import completion
from benchmark.commands.options import Json, print_json


def new(
    name: Annotated[str, typer.Argument(help="The method's name, e.g. my_method.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where the package is written; by default ./NAME.")
    ] = None,
) -> None:
    """Write the package of a new method: it runs, tests itself, and has a table of its own."""
    from benchmark.new_method import write_method_package

    root = folder or Path(name)
    for path in write_method_package(name, root):
        print(f"wrote {path}")
    print(f"now: pip install -e {root}; python -m benchmark run --table {name}_table1")


def check(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a method; see `list methods`.", autocompletion=completion.methods
        ),
    ],
    as_json: Json = False,
) -> None:
    """Check that a method keeps its contract, on tiny images; exit 1 if it does not."""
    from benchmark.registry import build_method, load_method_class

    load_method_class(name)
    from benchmark.conformance import checked
    from benchmark.listing import print_conformance

    running = checked(lambda: build_method(name, {}))
    if as_json:
        outcomes = list(running)
        print_json([dataclasses.asdict(outcome) for outcome in outcomes])
    else:
        outcomes = print_conformance(name, running)
    if any(outcome.passed is False for outcome in outcomes):
        raise typer.Exit(1)
