"""Makes stages on the workers of a Dask cluster, which may be on other machines.

Dask chooses the worker, and gives a stage whose worker died to another one, up to as many deaths
as its scheduler allows (``distributed.scheduler.allowed-failures``, 3). A stage whose own process
died, on a worker that lives, is given to the cluster again here.
"""

from __future__ import annotations

import logging
import queue
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from distributed import Client, Future, KilledWorker
from distributed.utils import silence_logging_cmgr

from benchmark.cluster.exchange import Exchange
from benchmark.cluster.on_worker import GPU, make_stage
from benchmark.errors import BenchmarkError, ProcessDied
from benchmark.progress import Progress
from benchmark.relay import Screen
from benchmark.store import Stage

ATTEMPTS = 3
"""How often a stage is begun whose process dies."""

FAREWELL = 10.0
"""Seconds that stages which are no longer wanted get to clean up."""

LOOK = 1.0
"""Seconds between two looks at the scheduler and its workers."""

UPKEEP = 30.0
"""Seconds between two requests for workers that have gone."""


class Cluster(Protocol):
    """A Dask cluster that runs already, or begins with the block and ends with it."""

    @property
    def address(self) -> str:
        """What it is called in messages."""

    def connected(self) -> AbstractContextManager[Client]:
        """Connect for as long as the block lasts; BenchmarkError where that cannot be."""

    def keep_up(self) -> None:
        """Ask again for workers that have gone, where they are ours to ask for."""


class SchedulerLost(BenchmarkError):
    """Nothing more can be made by this cluster."""


@dataclass
class _Attempt:
    """A stage that was given to the cluster."""

    stage: Stage
    future: Future
    screen: Screen
    maker: str | None = None  # the token of who makes it, None before somebody does
    left: bool = True  # whether that one has ended


@dataclass
class DaskWorkers:
    """As many workers as the cluster has; use as a context manager, which lets go of them."""

    cluster: Cluster
    exchange: Exchange
    progress: Progress
    announce: Callable[[str], None]
    jobs: int = 0  # how many stages the workers, which come and go, can make at once
    resources: dict[str, int] = field(default_factory=dict)  # what a stage takes of its worker
    _attempts: dict[str, _Attempt] = field(default_factory=dict)
    _deaths: Counter[str] = field(default_factory=Counter)
    _inbox: queue.SimpleQueue[list[Any]] = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> DaskWorkers:
        self._topic = f"stages-{secrets.token_hex(8)}"
        self._kept_up = time.monotonic()
        with ExitStack() as opened:
            opened.enter_context(silence_logging_cmgr(logging.CRITICAL))
            opened.enter_context(self.exchange.opened())
            self._client = opened.enter_context(self.cluster.connected())
            self._client.subscribe_topic(self._topic, lambda event: self._inbox.put(event[1]))
            self._wait_for_a_worker()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with self._opened:
            self._let_go()

    @property
    def running(self) -> set[str]:
        """The keys of the stages that the cluster has been given."""
        return set(self._attempts)

    @property
    def free(self) -> int:
        """How many more stages have a worker: none waits behind one that is being made."""
        return max(0, self.jobs - len(self._attempts))

    def begin(self, stage: Stage) -> None:
        """Give ``stage`` to the cluster."""
        make = self.exchange.give(stage)
        future = self._client.submit(
            make_stage,
            make,
            _with_absolute_locations(stage),
            self._topic,
            key=f"{stage.name}-{stage.key[:12]}-{secrets.token_hex(4)}",
            resources=self.resources,
            pure=False,
        )
        self._attempts[stage.key] = _Attempt(stage, future, Screen(self.progress))
        future.add_done_callback(lambda done: self._inbox.put([stage.key, done.key, "done"]))

    def finished(self) -> Iterator[tuple[Stage, Exception | None]]:
        """Wait a while; yield the stages that are done with, and what they raised.

        Raises SchedulerLost where the scheduler has gone, or has forgotten what it was given.
        """
        if time.monotonic() - self._looked >= LOOK:
            self._look_after_the_cluster()
        try:
            key, token, kind, *values = self._inbox.get(timeout=LOOK)
        except queue.Empty:
            return
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        if kind != "done":
            self._tell(attempt, token, kind, *values)
        elif token == attempt.future.key:
            yield from self._done(attempt)

    def _done(self, attempt: _Attempt) -> Iterator[tuple[Stage, Exception | None]]:
        stage = attempt.stage
        if attempt.future.status == "error":
            error = attempt.future.exception()
        elif attempt.future.status == "finished":
            error = None
        else:
            raise self._lost()
        attempt.screen.stop()
        del self._attempts[stage.key]
        if error is None:
            yield stage, self._taken(stage)
        elif isinstance(error, ProcessDied) and self._may_begin_again(stage):
            self.begin(stage)
        else:
            yield stage, _in_one_line(stage, error)

    def _taken(self, stage: Stage) -> BenchmarkError | None:
        try:
            self.exchange.take(stage)
        except BenchmarkError as error:
            return error
        return None

    def _may_begin_again(self, stage: Stage) -> bool:
        self._deaths[stage.key] += 1
        if self._deaths[stage.key] >= ATTEMPTS:
            return False
        self.announce(f"{stage.label}: its process died (out of memory?); beginning again")
        return True

    def _tell(self, attempt: _Attempt, token: str, kind: str, *values: Any) -> None:
        if kind == "came":
            if not attempt.left:
                self.announce(f"{attempt.stage.label}: its worker died; {values[0]} begins again")
            attempt.screen.stop()
            attempt.maker, attempt.left = token, False
        elif token != attempt.maker:
            return  # of a worker that was given up
        elif kind == "left":
            attempt.left = True
        elif kind == "said":
            self.announce(values[0])
        else:
            attempt.screen.show(kind, *values)

    def _wait_for_a_worker(self) -> None:
        self._look_after_the_cluster()
        if not self.jobs:
            self.announce(f"{self.cluster.address} has no worker yet; waiting")
        while not self.jobs:
            time.sleep(LOOK)
            self._look_after_the_cluster()

    def _look_after_the_cluster(self) -> None:
        """Count the workers, or their GPUs where they offer any; SchedulerLost where it is."""
        self._looked = time.monotonic()
        if self._client.status != "running":
            raise self._lost()
        try:
            workers = self._client.scheduler_info()["workers"].values()
        except OSError as error:
            raise self._lost() from error
        if any(GPU in worker["resources"] for worker in workers):
            self.resources = {GPU: 1}
        counted = [w["resources"].get(GPU, 0) if self.resources else w["nthreads"] for w in workers]
        self.jobs = int(sum(counted))
        if self._looked - self._kept_up > UPKEEP:
            self._kept_up = self._looked
            self.cluster.keep_up()

    def _lost(self) -> SchedulerLost:
        return SchedulerLost(
            f"the Dask scheduler at {self.cluster.address} is lost: finished stages are kept, "
            "run again when there is one"
        )

    def _let_go(self) -> None:
        """Cancel what is under way, and wait until the workers have cleaned up after it."""
        for attempt in self._attempts.values():
            attempt.screen.stop()
        if self._client.status != "running" or not self._attempts:
            return
        self._client.cancel([attempt.future for attempt in self._attempts.values()], force=True)
        deadline = time.monotonic() + FAREWELL
        while not all(attempt.left for attempt in self._attempts.values()):
            try:
                key, token, kind, *_ = self._inbox.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                return
            leaving = self._attempts.get(key)
            if kind == "left" and leaving is not None and token == leaving.maker:
                leaving.left = True


def _with_absolute_locations(stage: Stage) -> Stage:
    """Return the stage for a process that has another working directory."""
    locations = {role: str(Path(path).absolute()) for role, path in stage.locations.items()}
    return replace(stage, locations=locations)


def _in_one_line(stage: Stage, error: Exception) -> Exception:
    if isinstance(error, ProcessDied):
        return BenchmarkError(
            f"{stage.label}: its process died {ATTEMPTS} times (out of memory?); finished stages "
            "are kept, run again where there is more memory"
        )
    if isinstance(error, KilledWorker):
        return BenchmarkError(
            f"{stage.label}: every worker that began it died (out of memory?); finished stages "
            "are kept, see the workers' logs"
        )
    return error
