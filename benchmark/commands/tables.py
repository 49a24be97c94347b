"""Run tables, write them, plan them, and tell what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.clusters import (
    ClusterConfig,
    ClusterKind,
    MirrorUrl,
    Scheduler,
    chosen_start,
)
from benchmark.commands.options import (
    ALL,
    MOST_SEEDS,
    Jobs,
    Json,
    KeepStale,
    OneRow,
    Results,
    Rows,
    Seeds,
    StageTimeout,
    StoreFolder,
    Tables,
    open_store,
    print_json,
    say,
    seconds_of,
)
from benchmark.errors import BenchmarkError
from benchmark.given import Given, ProfileName, split_names, split_tables, takes_given

if TYPE_CHECKING:
    from benchmark.plan import Plan
    from benchmark.store import Store


@takes_given
def run(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    results: Results = Path("results"),
    rows: Rows = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    cluster: ClusterKind = None,
    cluster_config: ClusterConfig = None,
    mirror: MirrorUrl = None,
    stage_timeout: StageTimeout = None,
    keep_stale: KeepStale = False,
    as_json: Json = False,
) -> None:
    """Run what a table still needs and write the table beside the published one.

    Of several tables, equal stages run once. A row that fails does not stop the others: the table
    says why it failed, and the command ends with an error.
    """
    if rows and _several(table):
        raise BenchmarkError("--rows are of one table: give its id with --table")
    patience = seconds_of(stage_timeout)
    start = chosen_start(scheduler, cluster, cluster_config, mirror, jobs, say)
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds), split_names(rows))
    from benchmark.progress import make_progress
    from benchmark.runner import run_plans
    from benchmark.workers import default_jobs

    finished = open_store(store)
    failures = run_plans(
        plans,
        finished,
        make_progress(as_json),
        rows=split_names(rows),
        keep_stale=keep_stale,
        jobs=jobs or (default_jobs() if start is None else 1),
        patience=patience,
        start=start,
        announce=say,
    )
    _report(plans, _several(table), finished, results, as_json, failures)
    if failed := _failed(plans, failures):
        raise BenchmarkError(failed)


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
    written = _report(plans, _several(table), open_store(store), results, as_json)
    if not (written or _several(table)):
        raise BenchmarkError(
            f"store {store} holds no number of {table}, and {results} has some: "
            "choose another --store or --results, or run it"
        )


def page(
    profile: ProfileName = "scenes",
    results: Results = Path("results"),
) -> None:
    """Make a profile's page and the index again from the results beside them; nothing is run."""
    from benchmark.profiles import PROFILE_ID
    from benchmark.report.page import write_page
    from benchmark.report.writers import write_index

    if not re.fullmatch(PROFILE_ID, profile) or not (results / profile).is_dir():
        raise BenchmarkError(f"{results} holds no results of profile {profile!r}")
    for path in (write_page(results, profile), write_index(results)):
        print(f"wrote {path}")


@takes_given
def plan(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    rows: OneRow = None,
    hours: Annotated[
        bool,
        typer.Option(
            "--hours", help="Show hours on several devices; needs no --data and the like."
        ),
    ] = False,
    gpus: Annotated[str, typer.Option(help="With --hours: numbers of devices.")] = "1,8,64",
    tflops: Annotated[
        float | None,
        typer.Option(help="With --hours: TFLOP/s assumed of a device, for stages never timed."),
    ] = None,
    finished_too: Annotated[
        bool,
        typer.Option("--finished-too", help="With --hours: as if nothing were cached."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the stages of a table, which are cached, and what the others will cost."""
    _check_one_row(given, rows)
    if hours:
        if given.released:
            raise BenchmarkError("--hours plans whole tables: leave out --from")
        numbers = dict.fromkeys(split_tables(table), seeds)
        _print_hours(given, numbers, open_store(store), gpus, tflops, finished_too, as_json)
        return
    if tflops is not None or finished_too:
        raise BenchmarkError("--tflops and --finished-too go with --hours")
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds), split_names(rows))
    from benchmark.listing import plan_rows, plans_overview, print_overview, print_plan

    if _several(table):
        overview = plans_overview(plans, open_store(store))
        print_json(overview) if as_json else print_overview(overview)
        return
    stages = plan_rows(plans[0], open_store(store))
    if as_json:
        print_json(stages)
    else:
        print_plan(stages)


def _print_hours(
    given: Given,
    seeds: Mapping[str, int],
    store: Store,
    gpus: str,
    tflops: float | None,
    finished_too: bool,
    as_json: bool,
) -> None:
    from benchmark.costs.hours import check_rate, hours_markdown, parse_devices, table_hours
    from benchmark.progress import make_progress

    check_rate(tflops)
    devices = parse_devices(gpus)
    found = table_hours(
        given.plans(seeds, say, files_needed=False),
        store,
        devices,
        operations_per_second=tflops * 1e12 if tflops else None,
        finished_too=finished_too,
        progress=make_progress(as_json),
    )
    if as_json:
        print_json({"tflops_assumed": tflops, "tables": [one.to_json() for one in found]})
    else:
        print(hours_markdown(found, tflops))


@takes_given
def status(
    table: Tables,
    given: Given,
    seeds: Seeds = 1,
    store: StoreFolder = Path("store"),
    live: Annotated[
        bool, typer.Option("--live", help="Go on showing what is under way, until the run ends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show where each stage of a run stands: how far, since when and by whom it is being made."""
    if live and as_json:
        raise BenchmarkError("--live is for people: leave out --json")
    plans = _plans(given, dict.fromkeys(split_tables(table), seeds))
    from benchmark.plan import union_of_targets
    from benchmark.status import print_statuses, stage_statuses, watch_statuses

    targets, opened = union_of_targets(plans), open_store(store)
    if live:
        watch_statuses(lambda: stage_statuses(targets, opened))
        return
    found = stage_statuses(targets, opened)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        print_statuses(found)


@takes_given
def diff(
    table: Tables,
    given: Given,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, max=MOST_SEEDS, help="Else as many as the results have."),
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

    Exit 1, too, if no number of a table can be compared. With --against, between two folders of
    results; then no store is read.
    """
    if given.released:
        raise BenchmarkError("diff compares whole tables: leave out --from")
    from benchmark.changes import differences, documents_of_plans, tables_in, written_documents
    from benchmark.profiles import load_profile
    from benchmark.report.difference import difference_lines, passes

    profile = load_profile(given.profile).id
    folder = results / profile
    if against:
        tables = tables_in(against / profile, folder) if table == ALL else _ids(split_tables(table))
        then = written_documents(against / profile, tables)
        now = written_documents(folder, tables)
    else:
        tables = split_tables(table)
        then = written_documents(folder, tables)
        wanted = {name: seeds or (then[name] or {}).get("seeds") or 1 for name in tables}
        now = documents_of_plans(_plans(given, wanted), open_store(store), results)
    found = differences(then, now)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        print("\n".join(difference_lines(found)))
    if not passes(found):
        raise typer.Exit(1)


def _check_one_row(given: Given, rows: str | None) -> None:
    if rows is not None and not given.released:
        raise BenchmarkError("--rows goes with --from here: a table is shown whole")


def _ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; BenchmarkError for what is no id, and may lead out of the results."""
    from benchmark.tables.schema import ID

    for name in names:
        if not re.fullmatch(ID, name):
            raise BenchmarkError(f"no table {name!r}: ids are lower-case letters, digits and _")
    return names


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
        plans: tuple[Plan, ...] = (given.plan(table, number, rows),)
    else:
        plans = given.plans(seeds, say)
    for reason in dict.fromkeys(reason for plan in plans for reason in plan.broken.values()):
        say(f"{reason}; going on without it")
    return plans


def _failed(plans: Sequence[Plan], failures: Mapping[str, str]) -> str:
    """Return how many stages and plugins failed, and the first of the reasons; empty for none."""
    broken = dict.fromkeys(reason for plan in plans for reason in plan.broken.values())
    counts = [(len(failures), "stage"), (len(broken), "plugin")]
    told = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count]
    return f"{' and '.join(told)} failed; {[*failures.values(), *broken][0]}" if told else ""


def _written(results: Path, plan: Plan) -> bool:
    return (results / plan.profile.id / f"{plan.name}.json").is_file()


def _report(
    plans: Sequence[Plan],
    several: bool,
    store: Store,
    results: Path,
    as_json: bool,
    failures: Mapping[str, str] | None = None,
) -> bool:
    """Write and print the tables; those without a number of ours only where none is written yet.

    Of several, none without a number is written. Return whether any was.
    """
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
        made = report_plan(plan, store, scores, failures, say)
        if not made.measured and (several or failures or _written(results, plan)):
            say(f"{plan.table.id}: no number of ours, left as it is")
            continue
        reports.append((made, write_report(made, results, plan.name)))
    shared = []
    if own and reports:
        shared = [write_page(results, plans[0].profile.id), write_index(results)]
    if as_json:
        documents = [report_to_json(made) for made, _ in reports]
        if several or documents:
            print_json(documents if several else documents[0])
        return bool(reports)
    for made, written in reports:
        print_report(made, [*written, *shared])
    return bool(reports)
