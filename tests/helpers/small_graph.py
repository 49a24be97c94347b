"""A small graph of stages that the store's tests run in processes of their own, and kill.

small_graph.py run STORE LOG [SLEEP] [JOBS]   execute it; each unit of work appends a line to LOG
small_graph.py kill-everywhere FOLDER  kill -9 it at every other change of a file, and go on
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from benchmark.executor import execute, plan_states
from benchmark.progress import SilentProgress
from benchmark.store import Stage, Store, Workspace, write_atomic

STEPS = 4
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}


class Work:
    """Stage functions that log what they do, so that repeated work can be counted."""

    def __init__(self, log: Path, sleep: float) -> None:
        self._log, self._sleep = log, sleep

    def note(self, line: str) -> None:
        with self._log.open("a") as file:
            file.write(f"{line}\n")
        time.sleep(self._sleep)

    def images(self, space: Workspace) -> dict[str, int]:
        self.note("images")
        for index in range(space.config["count"]):
            content = random.Random(index).randbytes(3000)
            (space.out / f"{index}.bin").write_bytes(content)
        return {"images": space.config["count"]}

    def training(self, space: Workspace) -> dict[str, float]:
        """Sums of bytes stand for weights; every step leaves a checkpoint."""
        checkpoint = space.scratch / "checkpoint.txt"
        done, weight = map(int, checkpoint.read_text().split()) if checkpoint.exists() else (0, 1)
        for step in range(done, STEPS):
            image = space.inputs["images"] / f"{step}.bin"
            weight = (weight * 31 + sum(image.read_bytes())) % 1_000_003
            write_atomic(checkpoint, f"{step + 1} {weight}")
            self.note(f"step {step}")
        (space.out / "weights.txt").write_text(f"{weight}\n")
        return {"weight": weight}

    def labels(self, space: Workspace) -> dict[str, int]:
        weight = space.input_records["training"].metrics["weight"]
        (space.out / "labels").mkdir()
        for image in sorted(space.inputs["images"].glob("*.bin")):
            self.note(f"label {image.stem}")
            content = bytes((value + int(weight)) % 256 for value in image.read_bytes())
            (space.out / "labels" / image.name).write_bytes(content)
        return {"labels": 1}


def graph(count: int = STEPS) -> list[Stage]:
    images = Stage("images", {"count": count}, label="images")
    training = Stage("training", {"seed": 0}, {"images": images}, label="training seed 0")
    inputs = {"images": images, "training": training}
    return [Stage("labels", {}, inputs, label="labels seed 0")]


def run(store: Path, log: Path, sleep: float = 0.0, jobs: float = 1) -> None:
    work = Work(log, sleep)
    functions = {"images": work.images, "training": work.training, "labels": work.labels}
    execute(graph(), Store(store), functions, SilentProgress(), jobs=int(jobs), announce=work.note)


def artifacts(store: Path) -> dict[str, bytes]:
    """Return all bytes that must not depend on what happened on the way."""
    stages = store / "stages"
    return {
        path.relative_to(stages).as_posix(): path.read_bytes()
        for path in stages.rglob("*")
        if path.is_file() and path.name not in ("record.json", "SHA256SUMS")
    }


def run_and_die(store: Path, log: Path, event: int) -> bool:
    """Run in a forked child that kills itself at the given change; True if it got that far."""
    child = os.fork()
    if child == 0:
        sys.addaudithook(_Killer(store, event))
        try:
            run(store, log)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


class _Killer:
    """An audit hook that kills the process just before its n-th change below a folder."""

    def __init__(self, folder: Path, event: int) -> None:
        self._folder, self._left = str(folder), event

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and int(arguments[2]) & (os.O_WRONLY | os.O_RDWR)  # type: ignore[call-overload]
        if (writes or event in CHANGES) and str(arguments[0]).startswith(self._folder):
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def kill_everywhere(folder: Path) -> None:
    """Kill a run at every other change, finish it, and compare with the undisturbed one."""
    os.fsync = lambda descriptor: None  # it is the process that dies, not the machine
    run(folder / "undisturbed", folder / "undisturbed.log")
    expected = artifacts(folder / "undisturbed")
    for event in itertools.count(step=2):
        store, log = folder / f"killed{event}", folder / f"killed{event}.log"
        died = run_and_die(store, log, event)
        states = plan_states(graph(), Store(store)).values()
        assert set(states) <= {"cached", "missing"}, f"killed at change {event}: {states}"
        run(store, log)
        assert artifacts(store) == expected, f"killed at change {event}: other files"
        assert not list((store / "scratch").iterdir()), f"killed at change {event}: leftovers"
        steps = Counter(line for line in log.read_text().splitlines() if line.startswith("step"))
        # A step whose checkpoint was on the disk is never taken again, one in flight at most once.
        assert sum(steps.values()) <= STEPS + 1, f"killed at change {event}: {steps}"
        if not died:
            print(event // 2)
            return


if __name__ == "__main__":
    # Python leaves it ignored where the shell that began the tests in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command, *arguments = sys.argv[1:]
    if command == "run":
        run(Path(arguments[0]), Path(arguments[1]), *map(float, arguments[2:]))
    else:
        kill_everywhere(Path(arguments[0]))
