"""Stages as jobs of a real Slurm, begun on this machine for the tests alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.cluster import dask_workers
from benchmark.cluster.dask_workers import DaskWorkers
from benchmark.cluster.exchange import SharedStore
from benchmark.cluster.slurm import load_slurm_config
from benchmark.cluster.start import slurm_cluster
from benchmark.errors import BenchmarkError
from benchmark.executor import Maker, execute
from benchmark.progress import Progress, SilentProgress
from benchmark.store import Store

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from slurm_localhost import slurm, why_not
from small_graph import Work, artifacts, graph
from tiny import write_profile

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "slurm.toml"
    helpers = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    path.write_text(
        f'jobs = 2\nmemory = "1GB"\nwalltime = "01:00:00"\nqueue = "main"\n'
        f'log_directory = "{tmp_path}/logs"\nlocal_directory = "{tmp_path}"\n'
        f'prologue = ["export PYTHONPATH={helpers} OMP_NUM_THREADS=1"]\n'
    )
    return path


def jobs(environment: dict[str, str]) -> list[str]:
    """Return the ids of the jobs that run or wait."""
    command = ["squeue", "--noheader", "--format=%i"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()


def check_no_job_is_left(environment: dict[str, str]) -> None:
    """Assert that the jobs end; Slurm takes some seconds to be done with a cancelled one."""
    deadline = time.monotonic() + 60
    while jobs(environment):
        assert time.monotonic() < deadline, "jobs were left behind"
        time.sleep(0.2)


def test_a_run_s_stages_are_made_by_jobs_and_a_cancelled_job_is_replaced(
    environment: dict[str, str], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
    monkeypatch.setattr(dask_workers, "UPKEEP", 2.0)
    work = Work(tmp_path / "undisturbed.log", 0)
    functions = {"images": work.images, "training": work.training, "labels": work.labels}
    execute(graph(), Store(tmp_path / "undisturbed"), functions, SilentProgress(), announce=print)

    log, said = tmp_path / "log", []
    cluster = slurm_cluster(load_slurm_config(config), 1, print)

    def start(make: Maker, progress: Progress, announce: object) -> DaskWorkers:
        return DaskWorkers(cluster, SharedStore(make), progress, said.append)

    def cancel() -> None:
        while "step 1" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.05)
        subprocess.run(["scancel", *jobs(environment)], env=environment, check=True)

    threading.Thread(target=cancel, daemon=True).start()
    work = Work(log, 0.5)
    functions = {"images": work.images, "training": work.training, "labels": work.labels}
    store = Store(tmp_path / "store")
    execute(graph(), store, functions, SilentProgress(), start=start, announce=said.append)
    assert artifacts(store.root) == artifacts(tmp_path / "undisturbed")
    assert [line for line in said if "its worker died" in line]
    lines = Counter(log.read_text().splitlines())
    assert max(lines[f"step {i}"] for i in range(4)) == 1  # it went on from its checkpoint
    check_no_job_is_left(environment)


def test_a_job_that_slurm_refuses_is_one_line(
    environment: dict[str, str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
    config.write_text('queue = "nowhere"\nmemory = "1GB"\n')
    cluster = slurm_cluster(load_slurm_config(config), None, print)
    refused = pytest.raises(BenchmarkError, match=r"^Slurm refuses the job: .*invalid partition")
    with refused, cluster.connected():
        pass
    assert not jobs(environment)


@pytest.mark.long
@pytest.mark.parametrize(
    ("table", "rows", "stages"),
    [("dsna_decoupling", ["--rows", "single"], 7), ("seenet_table1", [], 38)],
)
def test_the_command_runs_a_table_as_jobs(
    environment: dict[str, str],
    config: Path,
    tmp_path: Path,
    table: str,
    rows: list[str],
    stages: int,
) -> None:
    command = [
        *(sys.executable, "-m", "benchmark", "run", "--table", table, *rows),
        *("--profile", str(write_profile(tmp_path))),
        *("--store", str(tmp_path / "store"), "--results", str(tmp_path / "results")),
        *("--cluster", "slurm", "--cluster-config", str(config)),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    print(done.stderr, done.stdout)
    assert len(list((tmp_path / "store").glob("stages/*/*/record.json"))) == stages
    assert (tmp_path / "results" / "tiny" / f"{table}.csv").is_file()
    check_no_job_is_left(environment)
