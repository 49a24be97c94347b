"""Look closer at one row of a table, or send it to the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import completion
from benchmark.commands.options import (
    ALL,
    Jobs,
    Json,
    Results,
    Row,
    Seeds,
    StoreFolder,
    Table,
    open_store,
    say,
)
from benchmark.errors import BenchmarkError
from benchmark.given import Given, takes_given


@takes_given
def figures(
    table: Table,
    row: Annotated[
        str,
        typer.Option(
            "--row",
            help="Id of one of the table's rows that we run, or `all`.",
            autocompletion=completion.row_or_all,
        ),
    ],
    given: Given,
    images: Annotated[int, typer.Option("--images", min=1, max=20, help="Number of images.")] = 8,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
) -> None:
    """Draw images, attention, proxy labels and truth of finished rows; nothing is run."""
    made = given.plan(table, rows=None if row == ALL else [row])
    from benchmark.report.sheet import write_sheet, write_sheets

    finished = open_store(store)
    if row != ALL:
        print(f"wrote {write_sheet(made, row, finished, results, images, announce=say)}")
        return
    for path in write_sheets(made, finished, results, images, announce=say):
        print(f"wrote {path}")


@takes_given
def context(
    table: Table,
    row: Row,
    image: Annotated[str, typer.Option("--image", help="Id of an image of train or val.")],
    pixel: Annotated[
        list[str], typer.Option("--pixel", help="X,Y from the upper left; may be given again.")
    ],
    given: Given,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
) -> None:
    """Draw to where the attention carries what it sees at a pixel; nothing is run."""
    from benchmark.report.context import parse_pixels, write_context

    pixels = parse_pixels(pixel)
    made = given.plan(table, rows=[row])
    path = write_context(made, row, image, pixels, open_store(store), results, announce=say)
    print(f"wrote {path}")


@takes_given
def gap(
    table: Table,
    row: Annotated[
        str,
        typer.Option(
            "--row",
            help="Id of the row that was started from files.",
            autocompletion=completion.row,
        ),
    ],
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Compare a row all the way ours with the same row from released files; nothing is run."""
    if not given.released:
        raise BenchmarkError("gap compares with released files: name them, --from KIND=PATH")
    started = given.plan(table, seeds, [row])
    ours = given.plan_ours(table, seeds, row)
    from benchmark.report.gap import build_gap, render_gap, write_gap

    made = build_gap(ours, started, open_store(store))
    text, document = write_gap(made, results / started.profile.id, started.name)
    print(document.read_text() if as_json else f"{render_gap(made)}\nwritten: {text}, {document}")


@takes_given
def submit(
    table: Table,
    row: Row,
    given: Given,
    out: Annotated[Path, typer.Option("--out", help="The archive.")] = Path("submission.tar.gz"),
    store: StoreFolder = Path("store"),
    jobs: Jobs = None,
) -> None:
    """Segment the test images with a row's network and pack them for VOC's evaluation server."""
    from benchmark.executor import execute
    from benchmark.progress import make_progress
    from benchmark.stages import STAGES
    from benchmark.submission import plan_submission, write_submission
    from benchmark.tables import load_table
    from benchmark.workers import default_jobs

    if given.released:
        raise BenchmarkError("submit takes no --from: the archive is of a network trained here")
    submission = plan_submission(load_table(table), row, *given.chosen())
    finished = open_store(store)
    execute(
        [submission.prediction],
        finished,
        STAGES,
        make_progress(),
        jobs=jobs or default_jobs(),
        announce=say,
    )
    images = write_submission(submission, finished, out)
    print(f"wrote {out} with {images} images; then: score add --table {table} --row {row}")
