"""The command line: which commands there are, and what becomes of mistakes."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from benchmark.commands import about, data, methods, rows, scores, tables, weights
from benchmark.commands.options import say
from benchmark.errors import BenchmarkError
from benchmark.termination import terminable

PROGRAM = "wsss-benchmark"  # of `python -m benchmark`, too: completion is installed by this name

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reproduces the published tables of weakly-supervised segmentation, cell by cell.",
)


@app.callback()
def top(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=about.version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


for command in (
    tables.run,
    tables.report,
    tables.page,
    tables.plan,
    tables.status,
    tables.diff,
    rows.figures,
    rows.context,
    rows.gap,
    rows.submit,
):
    app.command()(command)
app.command("list")(about.list_)
app.command()(about.doctor)
app.command()(about.bench)

data_app = typer.Typer(no_args_is_help=True, help="Make or check a folder of images.")
data_app.command("scenes")(data.scenes)
data_app.command("check")(data.check)
app.add_typer(data_app, name="data")

methods_app = typer.Typer(no_args_is_help=True, help="Begin or check a method that you add.")
methods_app.command("new")(methods.new)
methods_app.command("check")(methods.check)
app.add_typer(methods_app, name="methods")

score_app = typer.Typer(no_args_is_help=True, help="Scores that only a server can give.")
score_app.command("add")(scores.add)
app.add_typer(score_app, name="score")

weights_app = typer.Typer(no_args_is_help=True, help="Initial weights that the package ships.")
weights_app.command("make")(weights.make)
app.add_typer(weights_app, name="weights")


def main() -> None:
    """Run a command; a mistake of the user's is one line on stderr and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal lacks is no failure
            stream.reconfigure(errors="replace")
    try:
        with terminable():
            status = app(prog_name=PROGRAM, standalone_mode=False)
            sys.stdout.flush()
    except BenchmarkError as error:
        sys.exit(_complain(str(error)))
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        say("interrupted; finished stages are kept, run the command again to go on")
        sys.exit(130)
    except Exception as error:
        sys.exit(_complain(_in_one_line(error)))
    sys.exit(status if isinstance(status, int) else 0)


def _in_one_line(error: Exception) -> str:
    """Return what a wrong option, a full disk or the system says; raises any other error again."""
    from benchmark.store import is_disk_full

    if usage := getattr(error, "format_message", None):
        return str(usage())
    if is_disk_full(error):
        return f"the disk is full ({error}): free space and run again"
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'no file is named'}"
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object!r} is not text in UTF-8: choose another name"
    raise error


def _complain(message: str) -> int:
    if message:  # empty where help was shown instead
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
