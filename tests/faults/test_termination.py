"""SIGTERM: the run ends at once, and leaves nothing half-written and nothing locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from forked import TESTS, Moment, Place

pytestmark = pytest.mark.faults

HELPER = TESTS / "helpers" / "small_graph.py"


def key_of(place: Place, name: str) -> str:
    return next(key for key, record in place.records().items() if record["stage"] == name)


@pytest.mark.parametrize("name", ["labels", "prediction"])
def test_sigterm_in_a_stage(place: Place, finished: Place, name: str) -> None:
    key = key_of(finished, name)
    place.copy_store(finished)
    place.forget(key)
    moment = Moment(key, 0.01, number=signal.SIGTERM)
    ended = place.run("run", moment=moment)
    assert ended.status == 128 + signal.SIGTERM
    assert "Traceback" not in ended.err
    place.check_clean(checkpoints=True)
    place.finish()
    assert place.artifacts() == finished.artifacts()


def test_sigterm_while_the_table_is_written(place: Place, finished: Place) -> None:
    place.copy_store(finished)
    moment = Moment("small_table.json", number=signal.SIGTERM)
    assert place.run("report", moment=moment).status == 128 + signal.SIGTERM
    place.check_clean()


def test_sigterm_while_scenes_are_written(place: Place) -> None:
    folder = place.folder / "scenes"
    running = place.start_plain("data", "scenes", str(folder), "--train-images", "5000")
    deadline = time.monotonic() + 60
    while not list(place.folder.glob(".scenes.*/JPEGImages/*.jpg")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.process.terminate()
    assert running.end().status == 128 + signal.SIGTERM
    assert not list(place.folder.glob(".scenes.*")) and not folder.exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["attention", "refinement", "segmentation", "prediction"])
def test_sigterm_in_one_of_two_processes(place: Place, finished: Place, name: str) -> None:
    key = key_of(finished, name)
    place.copy_store(finished)
    place.forget(key)
    running = place.start("run", "--jobs", "2")
    deadline = time.monotonic() + 120
    while not (place.store / "scratch" / key / "out").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.process.terminate()
    assert running.end().status == 128 + signal.SIGTERM
    place.check_clean(checkpoints=True)
    place.finish()
    assert place.artifacts() == finished.artifacts()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_run_at_once(tmp_path: Path, number: int) -> None:
    """As a scheduler sends it, or a terminal: the workers get it twice, from the run as well."""
    store, log = tmp_path / "store", tmp_path / "log"
    command = [sys.executable, str(HELPER), "run", str(store), str(log), "0.3", "2"]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    run = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not log.exists() or "label 1" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.killpg(run.pid, number)
    assert run.wait(60) in (128 + signal.SIGTERM, -signal.SIGINT)
    psutil.wait_procs(workers, timeout=30)
    assert not any(worker.is_running() for worker in workers)
    left = [path for path in (store / "scratch").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"made_from.txt"}
    assert len(list(store.glob("stages/*/*"))) == 2
