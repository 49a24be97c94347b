"""The commands. Thin: what a command does is imported inside it, so that ``--help`` is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.errors import BenchmarkError
from benchmark.given import (
    Classes,
    Given,
    Labels,
    LabelsCsv,
    ProfileName,
    SaliencyFolder,
    WeightFiles,
    split_names,
    split_tables,
    takes_given,
)

if TYPE_CHECKING:
    from benchmark.plan import Plan
    from benchmark.store import Store

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reproduces the published tables of weakly-supervised segmentation, cell by cell.",
)
data_app = typer.Typer(no_args_is_help=True, help="Make or check a folder of images.")
weights_app = typer.Typer(no_args_is_help=True, help="Initial weights that the package ships.")
score_app = typer.Typer(no_args_is_help=True, help="Scores that only a server can give.")
methods_app = typer.Typer(no_args_is_help=True, help="Begin or check a method that you add.")
app.add_typer(data_app, name="data")
app.add_typer(methods_app, name="methods")
app.add_typer(score_app, name="score")
app.add_typer(weights_app, name="weights")


class Listed(StrEnum):
    """What ``list`` can list."""

    tables = "tables"
    methods = "methods"
    profiles = "profiles"
    stages = "stages"


Table = Annotated[str, typer.Option("--table", help="Id of a table; see `list tables`.")]
Tables = Annotated[
    str, typer.Option("--table", help="Ids of tables, comma-separated, or all; see `list tables`.")
]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds, 3 for an interval.")]
StoreFolder = Annotated[
    Path, typer.Option("--store", envvar="WSSS_STORE", help="Folder of finished stages.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder that the tables are written to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
KeepStale = Annotated[
    bool, typer.Option("--keep-stale", help="Use stages whose code has changed; cells say so.")
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Stages made at once; by default one a GPU, or one a core."),
]
Rows = Annotated[str | None, typer.Option("--rows", help="Only these rows, comma-separated ids.")]
OneRow = Annotated[
    str | None, typer.Option("--rows", help="The row that the files of --from are for.")
]

ALL = "all"


@app.command()
@takes_given
def run(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
    rows: Rows = None,
    jobs: Jobs = None,
    keep_stale: KeepStale = False,
    as_json: Json = False,
) -> None:
    """Run what a table still needs and write the table beside the published one.

    Of several tables, equal stages run once, and a row that fails does not stop the others.
    """
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds), split_names(rows))
    from benchmark.progress import make_progress
    from benchmark.runner import run_plan, run_plans
    from benchmark.workers import default_jobs

    finished, progress = _store(store), make_progress(as_json)
    how: dict[str, Any] = {
        "keep_stale": keep_stale,
        "jobs": jobs or default_jobs(),
        "announce": _say,
    }
    failures: dict[str, str] = {}
    if not _several(table):
        run_plan(plans[0], finished, progress, rows=split_names(rows), **how)
    elif rows:
        raise BenchmarkError("--rows are of one table: give its id with --table")
    else:
        failures = run_plans(plans, finished, progress, **how)
    _report(plans, _several(table), finished, results, as_json, failures)
    if failures:
        raise BenchmarkError(
            f"{len(failures)} stage{'s' if len(failures) > 1 else ''} failed; "
            + next(iter(failures.values()))
        )


@app.command()
@takes_given
def report(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
    rows: OneRow = None,
    as_json: Json = False,
) -> None:
    """Write the table from what the store holds; nothing is run."""
    _check_one_row(given, rows)
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds), split_names(rows))
    _report(plans, _several(table), _store(store), results, as_json)


@app.command()
def page(
    profile: ProfileName = "scenes",
    results: Results = Path("results"),
) -> None:
    """Make a profile's page and the index again from the results beside them; nothing is run."""
    from benchmark.report.page import write_page
    from benchmark.report.writers import write_index

    if not (results / profile).is_dir():
        raise BenchmarkError(f"{results} holds no results of profile {profile!r}")
    for path in (write_page(results, profile), write_index(results)):
        print(f"wrote {path}")


@app.command()
@takes_given
def plan(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    rows: OneRow = None,
    as_json: Json = False,
) -> None:
    """Show the stages of a table, which are cached, and what the others will cost."""
    _check_one_row(given, rows)
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds), split_names(rows))
    from benchmark.listing import plan_rows, plans_overview, print_overview, print_plan

    if _several(table):
        overview = plans_overview(plans, _store(store))
        _print_json(overview) if as_json else print_overview(overview)
        return
    stages = plan_rows(plans[0], _store(store))
    if as_json:
        _print_json(stages)
    else:
        print_plan(stages)


@app.command()
@takes_given
def diff(
    table: Tables,
    given: Given,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Else as many as the results have.")
    ] = None,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Earlier results that --results is compared with."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what changed between the written results and the store; exit 1 if anything regressed.

    With --against, between two folders of results; then no store is read.
    """
    if given.released:
        raise BenchmarkError("diff compares whole tables: leave out --from")
    from benchmark.changes import differences, documents_of_plans, tables_in, written_documents
    from benchmark.profiles import load_profile
    from benchmark.report.difference import difference_lines

    profile = load_profile(given.profile).id
    folder = results / profile
    if against:
        tables = split_tables(table) if table != "all" else tables_in(against / profile, folder)
        then = written_documents(against / profile, tables)
        now = written_documents(folder, tables)
    else:
        tables = split_tables(table)
        then = written_documents(folder, tables)
        wanted = {name: seeds or (then[name] or {}).get("seeds") or 1 for name in tables}
        now = documents_of_plans(_plans(given, wanted), _store(store), results)
    found = differences(then, now)
    if as_json:
        _print_json([one.to_json() for one in found])
    else:
        print("\n".join(difference_lines(found)))
    if any(one.regressed for one in found):
        raise typer.Exit(1)


@app.command()
@takes_given
def figures(
    table: Table,
    row: Annotated[
        str, typer.Option("--row", help="Id of one of the table's rows that we run, or `all`.")
    ],
    given: Given,
    images: Annotated[int, typer.Option("--images", min=1, max=20, help="Number of images.")] = 8,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
) -> None:
    """Draw images, attention, proxy labels and truth of finished rows; nothing is run."""
    made = given.plan(table, rows=None if row == ALL else [row])
    from benchmark.report.sheet import write_sheet, write_sheets

    finished = _store(store)
    if row != ALL:
        print(f"wrote {write_sheet(made, row, finished, results, images, announce=_say)}")
        return
    for path in write_sheets(made, finished, results, images, announce=_say):
        print(f"wrote {path}")


@app.command()
@takes_given
def context(
    table: Table,
    row: Annotated[str, typer.Option("--row", help="Id of one of the table's rows that we run.")],
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
    path = write_context(made, row, image, pixels, _store(store), results, announce=_say)
    print(f"wrote {path}")


@app.command()
@takes_given
def gap(
    table: Table,
    row: Annotated[str, typer.Option("--row", help="Id of the row that was started from files.")],
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

    made = build_gap(ours, started, _store(store))
    text, document = write_gap(made, results / started.profile.id, started.name)
    print(document.read_text() if as_json else f"{render_gap(made)}\nwritten: {text}, {document}")


@app.command()
@takes_given
def submit(
    table: Table,
    row: Annotated[str, typer.Option("--row", help="Id of one of the table's rows that we run.")],
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

    submission = plan_submission(load_table(table), row, *given.chosen())
    finished = _store(store)
    execute(
        [submission.prediction],
        finished,
        STAGES,
        make_progress(),
        jobs=jobs or default_jobs(),
        announce=_say,
    )
    images = write_submission(submission, finished, out)
    print(f"wrote {out} with {images} images; then: score add --table {table} --row {row}")


@app.command("list")
def list_(what: Listed, as_json: Json = False) -> None:
    """List tables, methods, profiles or stages."""
    from benchmark.listing import listed, print_listed

    rows = listed(what.value)
    if as_json:
        _print_json(rows)
    else:
        print_listed(rows)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions and devices, and what each profile still needs on this machine."""
    from benchmark.doctor import examine, print_examination

    found = examine()
    if as_json:
        _print_json(found)
    else:
        print_examination(found)
    if found["problems"]:
        raise typer.Exit(1)


@app.command()
def bench(
    groups: Annotated[
        str | None, typer.Option(help="scoring, crf, loading; comma-separated; else all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast the suite is beside the plain way of doing the same."""
    import dataclasses

    from benchmark.bench import run_benchmarks
    from benchmark.listing import print_listed
    from benchmark.progress import make_progress

    figures = run_benchmarks(split_names(groups), make_progress(as_json))
    if as_json:
        _print_json([{**dataclasses.asdict(one), "ratio": one.ratio} for one in figures])
    else:
        print_listed([one.shown() for one in figures])


@data_app.command("scenes")
def data_scenes(
    folder: Annotated[Path, typer.Argument(help="A new folder for the images.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    train_images: Annotated[int, typer.Option(min=1)] = 500,
    val_images: Annotated[int, typer.Option(min=1)] = 150,
    size: Annotated[int, typer.Option(min=48, help="Pixels a side.")] = 96,
    co_occurrence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Rate of the usual background.")
    ] = 0.8,
) -> None:
    """Write the generated scenes in VOC layout."""
    from benchmark.data.scenes import SceneOptions, write_scenes
    from benchmark.progress import make_progress

    options = SceneOptions(
        seed=seed,
        train_images=train_images,
        val_images=val_images,
        size=size,
        co_occurrence=co_occurrence,
    )
    with make_progress().task("scenes", train_images + val_images) as task:
        write_scenes(folder, options, task)
    print(f"wrote {train_images} training and {val_images} validation images to {folder}")


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="A folder in VOC layout.")],
    classes: Classes = None,
    labels: Labels = None,
    labels_csv: LabelsCsv = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="paper: is the folder VOC 2012, and all of it?")
    ] = None,
    weights: WeightFiles = None,
    saliency: SaliencyFolder = None,
    manifest: Annotated[
        Path | None, typer.Option(help="With --profile: write the sha256 of every file there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every image, mask and label of a folder; exit 1 if anything is wrong."""
    import dataclasses

    if profile is not None:
        _check_paper(
            folder, Given(profile=profile, weights=weights, saliency=saliency), manifest, as_json
        )
        return
    from benchmark.data.check import check_dataset
    from benchmark.data.voc import open_voc
    from benchmark.listing import print_check
    from benchmark.progress import make_progress

    dataset = open_voc(
        folder,
        classes=split_names(classes),
        labels=labels.value if labels else None,
        labels_csv=labels_csv,
    )
    checked = check_dataset(dataset, make_progress(as_json))
    if as_json:
        _print_json(dataclasses.asdict(checked))
    else:
        print_check(checked)
    if checked.problems:
        raise typer.Exit(1)


def _check_paper(folder: Path, given: Given, manifest: Path | None, as_json: bool) -> None:
    import dataclasses

    from benchmark.data.paper_check import check_paper, write_manifest
    from benchmark.listing import print_paper_check
    from benchmark.progress import make_progress

    if given.profile != "paper":
        raise BenchmarkError(f"--profile {given.profile}: only the paper profile has a data set")
    profile, files = given.chosen()
    wanted = [name for name, kind in profile.weights.items() if kind.source == "user"]
    own = {"saliency": files.saliency, **{name: files.weights.get(name) for name in wanted}}
    checked = check_paper(folder, make_progress(as_json), given=own)
    if manifest is not None:
        write_manifest(manifest, checked.manifest)
    if as_json:
        _print_json(dataclasses.asdict(checked))
    else:
        print_paper_check(checked)
    if checked.problems:
        raise typer.Exit(1)


@score_app.command("add")
def score_add(
    table: Table,
    row: Annotated[str, typer.Option("--row", help="Id of one of the table's rows that we run.")],
    column: Annotated[str, typer.Option("--column", help="Id of a column that waits for it.")],
    value: Annotated[float, typer.Option("--value", help="The server's mean, in points.")],
    link: Annotated[str, typer.Option("--link", help="The server's page of the submission.")],
    profile: ProfileName = "paper",
    results: Results = Path("results"),
) -> None:
    """Enter what the evaluation server answered; `report` shows it from then on."""
    from benchmark.profiles import load_profile
    from benchmark.report.server import add_server_score
    from benchmark.tables import load_table

    folder = results / load_profile(profile).id
    print(f"wrote {add_server_score(folder, load_table(table), row, column, value, link)}")


@weights_app.command("make")
def weights_make(
    name: Annotated[str, typer.Argument(help="Name of shipped weights, e.g. vgg16_slim.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
) -> None:
    """Make the package's own initial weights again, from generated objects alone."""
    from benchmark.pretraining import make_weights
    from benchmark.progress import make_progress

    accuracy = make_weights(name, out, make_progress())
    print(f"wrote {out} (accuracy on held-out generated objects: {accuracy:.3f})")


@methods_app.command("new")
def methods_new(
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


@methods_app.command("check")
def methods_check(
    name: Annotated[str, typer.Argument(help="Name of a method; see `list methods`.")],
    as_json: Json = False,
) -> None:
    """Check that a method keeps its contract, on tiny images; exit 1 if it does not."""
    import dataclasses

    from benchmark.registry import build_method, load_method_class

    load_method_class(name)
    from benchmark.conformance import check_method
    from benchmark.listing import print_conformance

    outcomes = check_method(lambda: build_method(name, {}))
    if as_json:
        _print_json([dataclasses.asdict(outcome) for outcome in outcomes])
    else:
        print_conformance(name, outcomes)
    if any(outcome.passed is False for outcome in outcomes):
        raise typer.Exit(1)


def main() -> None:
    """Run a command; a mistake of the user's is one line on stderr and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except BenchmarkError as error:
        sys.exit(_complain(str(error)))
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        _say("interrupted; finished stages are kept, run the command again to go on")
        sys.exit(130)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is None:
            raise
        sys.exit(_complain(usage()))
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _store(folder: Path) -> Store:
    from benchmark.store import Store

    return Store(folder)


def _check_one_row(given: Given, rows: str | None) -> None:
    if rows is not None and not given.released:
        raise BenchmarkError("--rows goes with --from here: a table is shown whole")


def _several(tables: str) -> bool:
    return len(split_tables(tables)) > 1


def _plans(
    given: Given, seeds: Mapping[str, int], rows: Sequence[str] | None = None
) -> tuple[Plan, ...]:
    """Return the plans of tables, by id with their number of seeds.

    ``rows`` names the one row that released files are for.
    """
    if len(seeds) == 1:
        ((table, number),) = seeds.items()
        return (given.plan(table, number, rows),)
    return given.plans(seeds, _say)


def _report(
    plans: Sequence[Plan],
    several: bool,
    store: Store,
    results: Path,
    as_json: bool,
    failures: Mapping[str, str] | None = None,
) -> None:
    """Write and print the tables; of several, those alone that have a number of ours."""
    from benchmark.report.console import print_report
    from benchmark.report.document import report_to_json
    from benchmark.report.page import write_page
    from benchmark.report.server import load_server_scores
    from benchmark.report.writers import write_index, write_report
    from benchmark.runner import report_plan

    own = not plans[0].released  # a row started from files is in no index, and in no server's score
    reports = []
    for plan in plans:
        scores = load_server_scores(results / plan.profile.id, plan.table) if own else {}
        made = report_plan(plan, store, scores, failures)
        if several and not made.measured:
            _say(f"{plan.table.id}: no number of ours, left as it is")
            continue
        reports.append((made, write_report(made, results, plan.name)))
    shared = []
    if own and reports:
        shared = [write_page(results, plans[0].profile.id), write_index(results)]
    if as_json:
        documents = [report_to_json(made) for made, _ in reports]
        _print_json(documents if several else documents[0])
        return
    for made, written in reports:
        print_report(made, [*written, *shared])
