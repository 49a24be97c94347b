"""Makes stages in processes of their own, several at once, on this machine.

A worker gets one stage after the other and keeps what it imported. On a CPU each has one thread,
so that a number does not depend on how many cores there are; with GPUs each has one of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from benchmark.errors import BenchmarkError, DiskFull
from benchmark.patience import HUNG
from benchmark.progress import Progress, Task
from benchmark.store import Stage

MEMORY_PER_WORKER = 2_000_000_000
"""Bytes; twice what a stage of the scenes takes."""

GRACE = 20.0
"""Seconds that a process gets to clean up before it is killed."""

Make = Callable[[Stage, Progress, Callable[[str], None]], None]
"""Makes one stage; what it has to say goes to the third argument. Must be picklable."""


def default_jobs() -> int:
    """Return one job a GPU; without any, one a core, or as many as the memory allows."""
    if gpus := len(_gpus()):
        return gpus
    memory = int(psutil.virtual_memory().available // MEMORY_PER_WORKER)
    return max(1, min(len(os.sched_getaffinity(0)), memory))


class _Stopped(Exception):
    """Ends the display of a task that was not finished."""


@dataclass(frozen=True)
class _Shown:
    manager: AbstractContextManager[Task]
    task: Task

    def end(self, stopped: _Stopped | None = None) -> None:
        with suppress(_Stopped):
            self.manager.__exit__(None if stopped is None else _Stopped, stopped, None)


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    environment: Mapping[str, str]
    stage: Stage | None = None
    shown: dict[int, _Shown] = field(default_factory=dict)  # what it has under way

    def end_shown(self) -> None:
        """End the display of what it will not finish."""
        for shown in self.shown.values():
            shown.end(_Stopped())
        self.shown.clear()


class Workers:
    """``jobs`` processes; use as a context manager, which ends them."""

    def __init__(
        self, jobs: int, make: Make, progress: Progress, announce: Callable[[str], None]
    ) -> None:
        self.jobs = jobs
        self._make = make
        self._progress = progress
        self._announce = announce
        gpus = _gpus()
        self._environments = [
            {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {"OMP_NUM_THREADS": "1"}
            for index in range(jobs)
        ]
        self._workers: list[_Worker] = []
        self._hung: set[str] = set()  # the keys of the stages that have hung once

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            if worker.stage is not None:
                worker.process.terminate()  # the stage cleans up and keeps its checkpoints
            worker.connection.close()
            worker.end_shown()
        for worker in self._workers:
            worker.process.join(GRACE)
            if worker.process.exitcode is None:  # it hangs where no signal handler is reached
                worker.process.kill()
                worker.process.join()

    @property
    def running(self) -> set[str]:
        """The keys of the stages that are being made."""
        return {worker.stage.key for worker in self._workers if worker.stage is not None}

    @property
    def free(self) -> int:
        """How many more stages can be begun."""
        return len(self._environments) - len(self.running)

    def begin(self, stage: Stage) -> None:
        """Give ``stage`` to a worker that has none."""
        idle = next((worker for worker in self._workers if worker.stage is None), None)
        if idle is None:
            idle = self._start()
        idle.stage = stage
        idle.connection.send(stage)

    def finished(self) -> Iterator[tuple[Stage, Exception | None]]:
        """Wait until something happens; yield the stages that are done with, and what they raised.

        A process that dies is replaced, and its stage has failed with a BenchmarkError; one that
        was ended because its stage hung is begun once more first.
        """
        busy = {worker.connection: worker for worker in self._workers if worker.stage is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            stage = worker.stage
            assert stage is not None
            try:
                kind, *values = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                worker.process.join()
                worker.connection.close()
                worker.end_shown()
                self._workers.remove(worker)
                if worker.process.exitcode == HUNG and stage.key not in self._hung:
                    self._hung.add(stage.key)
                    self._announce(f"{stage.label}: no progress for too long; trying once more")
                    self.begin(stage)
                else:
                    yield stage, _died(stage, worker.process.exitcode)
                continue
            if kind == "made":
                worker.stage = None
                yield stage, None
            elif kind == "failed":
                worker.stage = None
                worker.end_shown()
                yield stage, values[0]
            elif kind == "said":
                self._announce(values[0])
            else:
                self._show(worker, kind, *values)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        taken = [id(worker.environment) for worker in self._workers]
        environment = next(one for one in self._environments if id(one) not in taken)
        process = context.Process(target=_work, args=(theirs, self._make, environment))
        process.start()
        theirs.close()
        worker = _Worker(process, ours, environment)
        self._workers.append(worker)
        return worker

    def _show(self, worker: _Worker, kind: str, number: int, *values: Any) -> None:
        if kind == "begun":
            manager = self._progress.task(*values)
            worker.shown[number] = _Shown(manager, manager.__enter__())
        elif kind == "advanced":
            worker.shown[number].task.advance(*values)
        else:
            worker.shown.pop(number).end()


def _died(stage: Stage, status: int | None) -> BenchmarkError:
    if status == HUNG:
        return BenchmarkError(
            f"{stage.label}: no progress for longer than the stage timeout, twice; its process "
            "was killed, finished stages are kept"
        )
    return BenchmarkError(
        f"{stage.label}: its process ended with status {status} "
        "(out of memory?); run again with fewer --jobs, finished stages are kept"
    )


class _RemoteProgress:
    """Sends what tasks tell to the process that shows it."""

    def __init__(self, connection: Connection) -> None:
        self._send = connection.send
        self._number = 0

    @contextmanager
    def task(self, label: str, total: int | None = None, done: int = 0) -> Iterator[Task]:
        self._number += 1
        number = self._number
        self._send(("begun", number, label, total, done))
        yield _RemoteTask(self._send, number)
        self._send(("ended", number))


@dataclass(frozen=True)
class _RemoteTask:
    send: Callable[[Any], None]
    number: int

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.send(("advanced", self.number, steps, note))


def _work(connection: Connection, make: Make, environment: Mapping[str, str]) -> None:
    """Make the stages that come in until the connection closes; never outlive the parent."""
    os.environ.update(environment)  # before torch is imported
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            stage = connection.recv()
            try:
                make(
                    stage, _RemoteProgress(connection), lambda line: connection.send(("said", line))
                )
            except Exception as error:
                connection.send(("failed", _sendable(error)))
            else:
                connection.send(("made",))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        sys.exit()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _sendable(error: Exception) -> Exception:
    """Return an exception that survives the way to another process, with its traceback."""
    if isinstance(error, BenchmarkError):
        return (DiskFull if isinstance(error, DiskFull) else BenchmarkError)(str(error))
    told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return told


def _gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each GPU."""
    import torch

    if not torch.cuda.is_available():
        return []
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return visible.split(",")
    return [str(index) for index in range(torch.cuda.device_count())]
