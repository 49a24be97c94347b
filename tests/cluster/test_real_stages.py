"""The real stages in miniature on a cluster: the same numbers as on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny import write_profile

ROOT = Path(__file__).parents[2]
TABLE = "dsna_decoupling"

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def run(folder: Path, *options: str) -> dict[str, bytes]:
    """Run a small table and return the outputs of its stages, and the table."""
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "benchmark", "run", "--table", TABLE),
        *("--profile", str(write_profile(folder)), "--jobs", "2"),
        *("--store", str(folder / "store"), "--results", str(folder / "results")),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    table = (folder / "results" / "tiny" / f"{TABLE}.csv").read_bytes()
    sums = {
        path.parent.name: path.read_bytes()
        for path in (folder / "store").glob("stages/*/*/SHA256SUMS")
    }
    outputs = {
        key: b"\n".join(line for line in text.splitlines() if b"record.json" not in line)
        for key, text in sums.items()
    }
    return outputs | {"table": table}


def test_a_table_comes_out_as_it_does_without_dask(tmp_path: Path) -> None:
    here = run(tmp_path / "here")
    shared = run(tmp_path / "shared", "--cluster", "local")
    assert len(here) == 13
    assert shared == here
