"""What runs inside a Dask worker: one stage, in a process of its own.

The task of a worker only watches that process. A stage that crashes or outgrows the memory so
ends alone, and one whose run was stopped gets SIGTERM, as it would on the run's own machine.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from dask.typing import Key
from distributed import Worker, get_worker

from benchmark.relay import ToldProgress
from benchmark.store import Stage
from benchmark.workers import Make, Workers

GPU = "GPU"
"""What Dask workers call a GPU that they offer: ``dask worker ... --resources GPU=1``."""

INTERVAL = 1.0
"""Seconds between two looks at whether the stage is still wanted, and between two messages."""


def make_stage(make: Make, stage: Stage, topic: str) -> str:
    """Make ``stage`` in a new process and return its key; raises what the stage raised.

    What it has to tell goes to ``topic`` as events [key, attempt, kind, ...]: the kinds of
    ``ToldProgress``, "came" with host and process first, "said" with a line, "left" at the end.
    """
    worker = get_worker()
    task = worker.get_current_task()
    attempt = secrets.token_hex(4)

    def tell(message: tuple[Any, ...]) -> None:
        # NumPy's numbers, which a method may count with, do not travel as events.
        plain = (one.item() if hasattr(one, "item") else one for one in message)
        worker.log_event(topic, [stage.key, attempt, *plain])

    def say(line: str) -> None:
        tell(("said", line))

    tell(("came", socket.gethostname(), os.getpid()))
    _allow_processes()
    try:
        progress = ToldProgress(tell, INTERVAL)
        with Workers(1, make, progress, say, [_environment(worker)]) as process:
            process.begin(stage)
            while _is_wanted(worker, task):
                for _, error in process.finished(INTERVAL):
                    if error is not None:
                        raise error
                    return stage.key
    finally:
        tell(("left",))
    raise RuntimeError(f"{stage.label}: no longer wanted")  # nobody listens


def _environment(worker: Worker) -> Mapping[str, str]:
    # Whoever offers a GPU says by CUDA_VISIBLE_DEVICES which one it is.
    return {} if GPU in worker.state.total_resources else {"OMP_NUM_THREADS": "1"}


def _is_wanted(worker: Worker, task: Key) -> bool:
    """Tell whether the run still waits for the task: Dask cannot interrupt it."""
    found = worker.state.tasks.get(task)
    return found is not None and found.state in ("executing", "long-running")


def _allow_processes() -> None:
    # A worker below a nanny is "daemonic", which forbids it processes of its own. That is meant
    # to leave no orphans, and the processes of ``Workers`` end with their parent by themselves.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
