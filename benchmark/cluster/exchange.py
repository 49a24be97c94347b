"""How the files of stages pass between a run and the workers that make its stages."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from benchmark.cluster.mirror import Mirror
from benchmark.errors import BenchmarkError
from benchmark.executor import Maker
from benchmark.progress import Progress
from benchmark.store import Stage, Store
from benchmark.workers import Make

PATIENCE = 90.0
"""Seconds until a file that another machine wrote must be seen here; NFS caches for up to 60."""

WORKER_STORE = "WSSS_WORKER_STORE"
"""Environment variable of a worker: the folder of its own store, where none is shared."""


class Exchange(Protocol):
    """Brings stages to workers and back; used by the run while it is connected."""

    def opened(self) -> AbstractContextManager[None]:
        """Prepare for workers until the block ends."""

    def give(self, stage: Stage) -> Make:
        """Make the inputs of ``stage`` available, and return what makes it on a worker."""

    def take(self, stage: Stage) -> None:
        """Wait until a stage that a worker has finished is in the run's own store."""


class SharedStore:
    """The workers see the run's store at the same path, on a file system that they share.

    The run holds the lock of a file in it. So each worker finds out before it makes anything
    whether it sees the store, and whether locks hold between its machine and the run's.
    """

    def __init__(self, make: Maker) -> None:
        self._store = Store(make.root.absolute())
        self._make = replace(make, root=self._store.root)
        self._mark = self._store.root / "locks" / f"run-{secrets.token_hex(4)}.lock"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the mark."""
        self._mark.parent.mkdir(exist_ok=True)
        try:
            with FileLock(self._mark):
                yield
        finally:
            self._mark.unlink(missing_ok=True)

    def give(self, stage: Stage) -> Make:
        """Return what makes ``stage`` in the shared store."""
        return MakeInSharedStore(self._make, self._mark, stage.code_fingerprint())

    def take(self, stage: Stage) -> None:
        """Wait until the stage is seen here; BenchmarkError if it never is."""
        _wait_until_seen(stage, self._store)


@dataclass(frozen=True)
class MakeInSharedStore:
    """Makes a stage in a store that this machine shares with the run's."""

    make: Maker
    mark: Path  # locked by the run
    code: str

    def __call__(self, stage: Stage, progress: Progress, announce: Callable[[str], None]) -> None:
        """Make ``stage``; BenchmarkError where the store or its locks are not shared."""
        _check_code(stage, self.code)
        self._check_store(stage)
        store = Store(self.make.root)
        for upstream in stage.inputs.values():
            _wait_until_seen(upstream, store)
        self.make(stage, progress, announce)

    def _check_store(self, stage: Stage) -> None:
        where = f"{stage.label}: {socket.gethostname()}"
        if not self.mark.exists():
            raise BenchmarkError(
                f"{where} does not see the store {self.make.root}: put --store on a file system "
                "that all workers share, or give --mirror URL"
            )
        try:
            with FileLock(self.mark, timeout=0):
                pass
        except Timeout:
            return
        raise BenchmarkError(
            f"{where} could take a lock in {self.make.root} that the run holds: mount that file "
            "system with locks that hold between machines, or give --mirror URL"
        )


class MirroredStore:
    """Each machine has a store of its own, and finished stages pass through a URL."""

    def __init__(self, make: Maker, url: str) -> None:
        self._store = Store(make.root)
        self._make = make
        self._url = url
        self._mirror = Mirror(url)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Do nothing: the URL was looked at when this was made."""
        yield

    def give(self, stage: Stage) -> Make:
        """Upload what the mirror lacks of the inputs; return what makes ``stage`` from there."""
        for upstream in stage.inputs.values():
            self._mirror.push(upstream, self._store)
        return MakeThroughMirror(self._make, self._url, stage.code_fingerprint())

    def take(self, stage: Stage) -> None:
        """Download the stage into the run's own store."""
        self._mirror.pull(stage, self._store)


@dataclass(frozen=True)
class MakeThroughMirror:
    """Makes a stage in this machine's own store, from inputs that it downloads."""

    make: Maker  # its root is the run's own
    url: str
    code: str

    def __call__(self, stage: Stage, progress: Progress, announce: Callable[[str], None]) -> None:
        """Download the inputs, make ``stage`` and upload it."""
        _check_code(stage, self.code)
        mirror, store = Mirror(self.url), Store(_own_store())
        for upstream in stage.inputs.values():
            mirror.pull(upstream, store)
        replace(self.make, root=store.root)(stage, progress, announce)
        mirror.push(stage, store)


def _own_store() -> Path:
    return Path(os.environ.get(WORKER_STORE) or Path(tempfile.gettempdir()) / "wsss-store")


def _check_code(stage: Stage, code: str) -> None:
    if stage.code_fingerprint() != code:
        raise BenchmarkError(
            f"{stage.label}: {socket.gethostname()} has other code than the machine that runs the "
            "table: install the same version on both"
        )


def _wait_until_seen(stage: Stage, store: Store, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while store.record(stage) is None:
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"{stage.label}: another machine finished it, and {socket.gethostname()} does not "
                f"see it in {store.root} after {patience:.0f} s: run again"
            )
        time.sleep(0.2)
