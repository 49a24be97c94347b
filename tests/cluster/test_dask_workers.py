"""Stages on the workers of a Dask cluster: processes of their own, deaths and losses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.cluster.dask_workers import Cluster, DaskWorkers
from benchmark.cluster.exchange import MirroredStore, SharedStore
from benchmark.cluster.start import RunningCluster, local_cluster
from benchmark.errors import BenchmarkError
from benchmark.executor import Maker, execute
from benchmark.progress import Progress, SilentProgress
from benchmark.store import Record, Stage, Store

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # the workers look there, too
from cluster_stages import FUNCTIONS
from dask_processes import DaskProcesses, kill_tree, wait_for
from shown import Shown
from small_graph import Work, artifacts, graph

pytestmark = pytest.mark.cluster


class Run:
    """Runs stages on a cluster, and keeps what is said and shown."""

    def __init__(self, cluster: Cluster, store: Path, mirror: str | None = None) -> None:
        self._cluster, self._mirror = cluster, mirror
        self.store = Store(store)
        self.said: list[str] = []
        self.shown = Shown()
        self.failures: dict[str, str] = {}

    def __call__(self, *stages: Stage, set_aside: bool = False) -> dict[str, Record]:
        def start(make: Maker, progress: Progress, announce: object) -> DaskWorkers:
            exchange = MirroredStore(make, self._mirror) if self._mirror else SharedStore(make)
            return DaskWorkers(self._cluster, exchange, progress, self.said.append)

        return execute(
            stages,
            self.store,
            FUNCTIONS,
            self.shown,
            start=start,
            announce=self.said.append,
            set_aside=self._set_aside if set_aside else None,
        )

    def _set_aside(self, stage: Stage, error: Exception) -> None:
        self.failures[stage.label] = str(error)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A scheduler and two workers, each below a nanny that starts it again."""
    with DaskProcesses(tmp_path_factory.mktemp("dask")) as dask:
        dask.start_worker()
        dask.start_worker()
        yield dask


@pytest.fixture
def run(processes: DaskProcesses, tmp_path: Path) -> Run:
    return Run(RunningCluster(processes.address, print), tmp_path / "store")


def firsts() -> dict[str, Stage]:
    return {name: Stage("first", {"value": i}, label=name) for i, name in enumerate("abc")}


def test_what_follows_comes_after_its_inputs_and_all_is_shown(run: Run) -> None:
    inputs = firsts()
    records = run(Stage("both", {}, inputs))
    assert len(records) == 4
    assert next(run.store.root.rglob("sum.txt")).read_text() == "3"
    begun = Counter(line for line in run.shown.lines if line.endswith("0/2"))
    assert begun == Counter(f"{name} 0/2" for name in "abc")
    assert {records[stage.key].metrics["threads"] for stage in inputs.values()} == {"1"}
    assert len({records[stage.key].metrics["process"] for stage in inputs.values()}) == 3
    assert not list((run.store.root / "scratch").iterdir())
    assert not list((run.store.root / "locks").glob("run-*"))


def test_a_stage_whose_worker_is_killed_is_finished_by_another(run: Run, tmp_path: Path) -> None:
    worker = tmp_path / "worker"
    stage = Stage("unlucky", {}, {}, {"worker": str(worker)}, "unlucky")

    def kill() -> None:
        process = int(wait_for(worker))
        while "unlucky +1 half way" not in run.shown.lines:
            time.sleep(0.02)
        os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    records = run(stage)
    killer.join()
    assert records[stage.key].metrics["attempts"] == 2
    assert [line for line in run.said if "worker died" in line] == [
        f"unlucky: its worker died; {os.uname().nodename} begins again"
    ]
    assert run.shown.lines[:1] == ["unlucky 0/4"]
    assert run.shown.lines.count("unlucky stopped") == 1
    assert "unlucky 1/4" in run.shown.lines


@pytest.mark.long
def test_a_stage_that_takes_every_worker_along_is_given_up(run: Run) -> None:
    with pytest.raises(BenchmarkError, match=r"^cursed: every worker that began it died"):
        run(Stage("cursed", {}, label="cursed"))
    assert 2 <= len([line for line in run.said if "worker died" in line]) <= 3


def test_what_fails_or_dies_is_named_and_the_rest_is_made(run: Run) -> None:
    inputs = firsts()
    stages = [
        Stage("bad", {"error": "user"}, {}, {}, "wrong"),
        Stage("deadly", {}, {"a": inputs["a"]}, label="fatal"),
        Stage("bad", {"error": "ours"}, {"b": inputs["b"]}, {}, "ours"),
        Stage("both", {}, inputs),
    ]
    records = run(*stages, set_aside=True)
    assert run.failures["wrong"] == "wrong: no such folder"
    assert run.failures["fatal"].startswith("fatal: its process died 3 times (out of memory?)")
    assert run.failures["ours"] == "ZeroDivisionError: of nothing"
    assert run.said.count("fatal: its process died (out of memory?); beginning again") == 2
    assert set(records) == {stages[3].key, *(stage.key for stage in inputs.values())}


def test_a_mistake_ends_the_run_and_what_was_made_meanwhile_is_cleaned_up(
    run: Run, tmp_path: Path
) -> None:
    begun = str(tmp_path / "begun")
    stages = [
        Stage("endless", {}, {}, {"begun": begun}, "long"),
        Stage("bad", {"error": "user"}, {}, {"after": begun}, "wrong"),
    ]
    with pytest.raises(BenchmarkError, match=r"^wrong: no such folder$"):
        run(*stages)
    assert not list(run.store.root.rglob("half"))
    with run.store.lock(stages[0]).acquire(timeout=20):
        pass  # its process has gone


def test_a_slow_worker_keeps_nobody_waiting(run: Run, tmp_path: Path) -> None:
    gate = {"gate": str(tmp_path / "gate")}
    quick = {str(n): Stage("first", {"value": n}, label=f"quick {n}") for n in range(4)}
    slow = Stage("slow", {}, {}, gate, "slow")
    assert len(run(slow, *quick.values(), Stage("opener", {}, quick, gate))) == 6


def test_without_a_shared_store_files_travel_through_a_url(
    processes: DaskProcesses, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    cluster = RunningCluster(processes.address, print)
    run = Run(cluster, tmp_path / "store", f"file://{mirror}")
    inputs = firsts()
    first, *others = inputs.values()
    run(first)
    records = run(Stage("both", {}, inputs))
    assert len(records) == 4
    for stage in others:
        assert run.store.state(stage) == "cached"
        there = mirror / "stages" / "first" / stage.key
        assert (there / "value.txt").read_bytes() == (
            run.store.folder(stage) / "value.txt"
        ).read_bytes()
    on_workers = list(processes.folder.glob("store-of-worker-*/stages/first/*"))
    assert {path.name for path in on_workers} == {stage.key for stage in inputs.values()}
    assert not list((run.store.root / "scratch").iterdir())


def test_a_lost_scheduler_ends_the_run_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    undisturbed = Work(tmp_path / "undisturbed.log", 0)
    made_by(undisturbed, Store(tmp_path / "undisturbed"), None)
    with DaskProcesses(tmp_path) as dask:
        dask.start_worker("--no-nanny")
        cluster = RunningCluster(dask.address, print)

        def lose() -> None:
            while "step 1" not in (log.read_text() if log.exists() else ""):
                time.sleep(0.02)
            assert dask.scheduler is not None
            kill_tree(dask.scheduler)

        threading.Thread(target=lose, daemon=True).start()
        with pytest.raises(BenchmarkError, match=rf"^the Dask scheduler at {dask.address} is lost"):
            made_by(Work(log, 0.2), Store(store), cluster)
        dask.workers[0].wait(timeout=60)
        dask.start_scheduler()
        dask.start_worker("--no-nanny", "--resources", "GPU=1")
        made_by(Work(log, 0), Store(store), cluster)
    assert artifacts(store) == artifacts(tmp_path / "undisturbed")
    lines = Counter(log.read_text().splitlines())
    assert lines["images"] == 1
    assert max(lines[f"step {i}"] for i in range(4)) == 1  # from its checkpoint


def made_by(work: Work, store: Store, cluster: Cluster | None) -> None:
    functions = {"images": work.images, "training": work.training, "labels": work.labels}

    def start(make: Maker, progress: Progress, announce: object) -> DaskWorkers:
        assert cluster is not None
        return DaskWorkers(cluster, SharedStore(make), progress, print)

    execute(
        graph(),
        store,
        functions,
        SilentProgress(),
        start=None if cluster is None else start,
        announce=print,
    )


def test_no_scheduler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.cluster.start.CONNECT", 1)
    run = Run(RunningCluster("tcp://127.0.0.1:9", print), tmp_path / "store")
    with pytest.raises(BenchmarkError, match=r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(Stage("first", {"value": 1}))


def test_a_cluster_of_this_machine_begins_and_ends_with_the_run(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    guests = [
        Stage("meeting", {"guests": 2, "n": n}, {}, {"place": str(place)}, f"guest {n}")
        for n in range(2)
    ]
    run = Run(local_cluster(2, print), tmp_path / "store")
    assert len(run(*guests)) == 2


def test_the_run_s_own_process_never_imports_torch() -> None:
    modules = "benchmark.cluster.start, benchmark.cluster.dask_workers, benchmark.stages"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
