"""Makes stages in processes of their own, several at once, on this machine.

A worker gets one stage after the other and keeps what it imported. On a CPU each has one thread,
so that a number does not depend on how many cores there are; with GPUs each has one of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import psutil

from benchmark.cores import CORES_SHARED_BY
from benchmark.errors import BenchmarkError, DiskFull, ProcessDied
from benchmark.patience import HUNG
from benchmark.progress import Progress
from benchmark.relay import Screen, ToldProgress
from benchmark.store import Stage

MEMORY_PER_WORKER = 2_000_000_000
"""Bytes; twice what a stage of the scenes takes."""

LOW_MEMORY = 0.05
"""The share of the machine's memory that must stay free: else the system picks what it kills."""
WATCH = 1.0
"""Seconds between two looks at the memory."""

GRACE = 20.0
"""Seconds that a process gets to clean up before it is killed."""

Make = Callable[[Stage, Progress, Callable[[str], None]], None]
"""Makes one stage; what it has to say goes to the third argument. Must be picklable."""


def default_jobs() -> int:
    """Return one job a GPU; without any, one a core, or as many as the memory allows."""
    return len(_gpus()) or jobs_without_gpus()


def jobs_without_gpus() -> int:
    """Return one job a core, or as many as the memory allows."""
    memory = int(psutil.virtual_memory().available // MEMORY_PER_WORKER)
    return max(1, min(len(os.sched_getaffinity(0)), memory))


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    environment: Mapping[str, str]
    screen: Screen
    stage: Stage | None = None
    held: int = 0  # bytes, when it was killed to save the others


class Workers:
    """``jobs`` processes; use as a context manager, which ends them.

    ``environments``: what is added to the environment of each; else one GPU, or one thread.
    """

    def __init__(
        self,
        jobs: int,
        make: Make,
        progress: Progress,
        announce: Callable[[str], None],
        environments: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        self.jobs = jobs
        self._make = make
        self._progress = progress
        self._announce = announce
        self._environments = _environments(jobs) if environments is None else environments
        self._workers: list[_Worker] = []
        self._hung: set[str] = set()  # the keys of the stages that have hung once
        self._looked = 0.0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            if worker.stage is not None:
                worker.process.terminate()  # the stage cleans up and keeps its checkpoints
            worker.connection.close()
            worker.screen.stop()
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

    def finished(self, timeout: float | None = None) -> Iterator[tuple[Stage, Exception | None]]:
        """Wait until something happens; yield the stages that are done with, and what they raised.

        After ``timeout`` seconds in which nothing did, nothing is yielded.

        A process that dies is replaced, and its stage has failed with ProcessDied; one that was
        ended because its stage hung is begun once more first. Where the machine's memory runs out
        the process that holds the most is killed, before the system kills any.
        """
        busy = {worker.connection: worker for worker in self._workers if worker.stage is not None}
        self._save_memory(list(busy.values()))
        for connection in wait(list(busy), WATCH if timeout is None else min(timeout, WATCH)):
            worker = busy[connection]  # type: ignore[index]
            stage = worker.stage
            assert stage is not None
            try:
                kind, *values = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                worker.process.join()
                worker.connection.close()
                worker.screen.stop()
                self._workers.remove(worker)
                if worker.process.exitcode == HUNG and stage.key not in self._hung:
                    self._hung.add(stage.key)
                    self._announce(f"{stage.label}: no progress for too long; trying once more")
                    self.begin(stage)
                else:
                    yield stage, _died(stage, worker)
                continue
            if kind == "made":
                worker.stage = None
                yield stage, None
            elif kind == "failed":
                worker.stage = None
                worker.screen.stop()
                yield stage, values[0]
            elif kind == "said":
                self._announce(values[0])
            else:
                worker.screen.show(kind, *values)

    def _save_memory(self, busy: Sequence[_Worker]) -> None:
        if not busy or time.monotonic() - self._looked < WATCH:
            return
        self._looked = time.monotonic()
        memory = psutil.virtual_memory()
        if memory.available >= LOW_MEMORY * memory.total:
            return
        largest = max(busy, key=lambda worker: _held(worker.process.pid))
        if (held := _held(largest.process.pid)) > MEMORY_PER_WORKER:  # else others fill the memory
            largest.held = held
            largest.process.kill()

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        taken = [id(worker.environment) for worker in self._workers]
        environment = next(one for one in self._environments if id(one) not in taken)
        process = context.Process(target=_work, args=(theirs, self._make, environment))
        process.start()
        theirs.close()
        worker = _Worker(process, ours, environment, Screen(self._progress))
        self._workers.append(worker)
        return worker


def _held(process: int | None) -> int:
    """Return the bytes that a process holds in memory; 0 where it is gone."""
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _died(stage: Stage, worker: _Worker) -> BenchmarkError:
    status = worker.process.exitcode
    if worker.held:
        return ProcessDied(
            f"{stage.label}: the machine's memory ran out, and its process held "
            f"{worker.held / 1e9:.1f} GB: it was killed, finished stages are kept"
        )
    if status == HUNG:
        return BenchmarkError(
            f"{stage.label}: no progress for longer than the stage timeout, twice; its process "
            "was killed, finished stages are kept"
        )
    return ProcessDied(
        f"{stage.label}: its process ended with status {status} "
        "(out of memory?); run again with fewer --jobs, finished stages are kept"
    )


def _work(connection: Connection, make: Make, environment: Mapping[str, str]) -> None:
    """Make the stages that come in until the connection closes; never outlive the parent."""
    os.environ.update(environment)  # before torch is imported
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            stage = connection.recv()
            try:
                make(
                    stage,
                    ToldProgress(connection.send),
                    lambda line: connection.send(("said", line)),
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


def _environments(jobs: int) -> list[dict[str, str]]:
    gpus = _gpus()
    if not gpus:
        return [{"OMP_NUM_THREADS": "1"} for _ in range(jobs)]
    return [
        {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)], CORES_SHARED_BY: str(jobs)}
        for index in range(jobs)
    ]


def _gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each GPU."""
    import torch

    if not torch.cuda.is_available():
        return []
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return visible.split(",")
    return [str(index) for index in range(torch.cuda.device_count())]
