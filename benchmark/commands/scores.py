"""Scores that only a server can give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import Results, Row, Table
from benchmark.given import ProfileName


def add(
    table: Table,
    row: Row,
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
