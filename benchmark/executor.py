"""Makes the stages that are needed, in order, each once, and goes on where a kill stopped it."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import Timeout

from benchmark.errors import BenchmarkError, DiskFull
from benchmark.freed_memory import FreedMemory
from benchmark.order import TRAININGS, chain_lengths, chosen
from benchmark.patience import alarmed
from benchmark.progress import Progress
from benchmark.provenance import PeakMemory
from benchmark.seeding import is_deterministic
from benchmark.store import Metrics, Record, Stage, State, Store, Workspace, is_disk_full
from benchmark.termination import Terminated, terminable, undisturbed
from benchmark.under_way import SignedProgress
from benchmark.workers import Workers

REFUSED = {errno.EACCES, errno.EFBIG, errno.EIO, errno.EPERM, errno.EROFS}
"""What the system says where it does not let a file be read or written, or cannot."""

NOT_DETERMINISTIC = re.compile(r"^(.+?) does not have a deterministic implementation")
"""What torch says of an operation where ``choose_deterministic_algorithms`` was called."""

StageFunction = Callable[[Workspace], Metrics]


def execute(
    stages: Sequence[Stage],
    store: Store,
    functions: Mapping[str, StageFunction],
    progress: Progress,
    *,
    keep_stale: bool = False,
    jobs: int = 1,
    patience: float | None = None,
    start: Start | None = None,
    announce: Callable[[str], None],
    set_aside: Callable[[Stage, Exception], None] | None = None,
) -> dict[str, Record]:
    """Bring the stages into the store and return the records, by key, of all that are there.

    With ``jobs`` 1 they are made here, one after the other, with all cores; else in so many
    processes of their own, each with one thread. With ``start`` its workers make them. In a
    process of its own a stage that shows no progress for ``patience`` seconds is killed, made once
    more, and fails if it hangs again.

    Made are the stages asked for, damaged ones, and what these need that is not there yet.
    Stale ones are made again unless ``keep_stale``. ``announce`` is called with one line for
    whatever is unusual. Raises BenchmarkError, with the stage's label, for mistakes of the
    user's and a full disk. With ``set_aside`` a stage that fails is told there, and all that does
    not rest on it is made all the same; a full disk still ends the run.
    """
    if patience is not None and jobs == 1 and start is None:
        raise BenchmarkError(
            "a stage timeout needs --jobs 2 or more: one job makes the stages in this process, "
            "which nothing watches"
        )
    order = with_inputs(stages)
    states = plan_states(order, store)
    wanted = {stage.key for stage in stages}
    if keep_stale:
        _announce_kept(order, states, announce)
    make = Maker(store.root, functions, keep_stale, patience)
    failed: set[str] = set()

    def todo() -> list[Stage]:
        return _not_resting_on(failed, _to_make(order, wanted, states, keep_stale))

    if todo():
        store.check_writable()
    with terminable():
        if start is not None or jobs > 1:
            workers = (start or partial(Workers, jobs))(make, progress, announce)
            made = _at_once(todo, workers, chain_lengths(order))
        else:
            made = _one_by_one(todo, make, progress, announce)
        with closing(made):
            for stage, error in made:
                if error is None:
                    states[stage.key] = "cached"
                    _spread(stage, order, states, store)
                elif set_aside is None or isinstance(error, DiskFull):
                    raise error
                else:
                    failed.add(stage.key)
                    set_aside(stage, error)
                del error  # it holds the frames of the stage, and with them a GPU's memory
    _tidy(order, states, store)
    found = {stage.key: store.record(stage) for stage in order}
    return {key: record for key, record in found.items() if record is not None}


def with_inputs(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages and all before them, inputs first, each key once.

    Those that rest on no other come first of all: they read the user's files, and a mistake there
    should not be told after days of training.
    """
    order: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if stage.key not in order:
            for upstream in stage.inputs.values():
                add(upstream)
            order[stage.key] = stage

    for stage in stages:
        add(stage)
    return sorted(order.values(), key=lambda stage: bool(stage.inputs))


def plan_states(stages: Sequence[Stage], store: Store) -> dict[str, State]:
    """Return the state, by key, of the stages and all before them; hashes each file once."""
    return {stage.key: store.state(stage) for stage in with_inputs(stages)}


def to_make(
    stages: Sequence[Stage], states: Mapping[str, State], *, keep_stale: bool = False
) -> list[Stage]:
    """Return what ``execute`` would make of the stages, in order, given ``plan_states``."""
    return _to_make(with_inputs(stages), {stage.key for stage in stages}, states, keep_stale)


def _to_make(
    order: Sequence[Stage], wanted: set[str], states: Mapping[str, State], keep_stale: bool
) -> list[Stage]:
    usable = {"cached", "stale"} if keep_stale else {"cached"}
    needed = set(wanted)
    chosen = []
    for stage in reversed(order):  # from the last stages back to the first
        state = states[stage.key]
        if state == "damaged" or (stage.key in needed and state not in usable):
            chosen.append(stage)
            needed |= {upstream.key for upstream in stage.inputs.values()}
    return chosen[::-1]


def _not_resting_on(failed: set[str], stages: Sequence[Stage]) -> list[Stage]:
    """Leave out of ``stages``, inputs first, those that failed and all that rest on them."""
    blocked = set(failed)
    for stage in stages:
        if blocked & {upstream.key for upstream in stage.inputs.values()}:
            blocked.add(stage.key)
    return [stage for stage in stages if stage.key not in blocked]


@dataclass(frozen=True)
class Maker:
    """Makes one stage of a store, unless another process has made it meanwhile."""

    root: Path
    functions: Mapping[str, StageFunction]
    keep_stale: bool
    patience: float | None = None

    def __call__(self, stage: Stage, progress: Progress, announce: Callable[[str], None]) -> None:
        """Make ``stage``; raises BenchmarkError, with its label, for mistakes of the user's."""
        store = Store(self.root)
        with terminable():
            _make(
                stage,
                store,
                self.functions,
                progress,
                self.keep_stale,
                self.patience,
                announce,
            )


Done = Generator[tuple[Stage, Exception | None], None, None]
"""Stages as they are done with, each with what went wrong."""


class StageWorkers(Protocol):
    """What makes several stages at once; a context manager, which ends what is under way."""

    @property
    def jobs(self) -> int:
        """How many stages it can make at once."""

    @property
    def running(self) -> set[str]:
        """The keys of the stages that are being made."""

    @property
    def free(self) -> int:
        """How many more stages can be begun."""

    def begin(self, stage: Stage) -> None:
        """Have ``stage``, all of whose inputs are there, made."""

    def finished(self) -> Iterator[tuple[Stage, Exception | None]]:
        """Wait a while; yield the stages that are done with, and what they raised."""

    def __enter__(self) -> StageWorkers: ...

    def __exit__(self, *error: object) -> None: ...


Start = Callable[[Maker, Progress, Callable[[str], None]], StageWorkers]
"""Returns the workers that a run makes its stages with."""


def _one_by_one(
    todo: Callable[[], list[Stage]],
    make: Maker,
    progress: Progress,
    announce: Callable[[str], None],
) -> Done:
    while remaining := todo():
        failure = None
        try:
            make(remaining[0], progress, announce)
        except Exception as error:
            failure = error
        yield remaining[0], failure


def _at_once(
    todo: Callable[[], list[Stage]], workers: StageWorkers, lengths: Mapping[str, int]
) -> Done:
    with workers:
        while remaining := todo():
            running = workers.running
            ready = _ready(remaining, running)
            waiting = [stage for stage in remaining if stage.key not in running]
            for stage in chosen(ready, waiting, lengths, workers.free, workers.jobs):
                workers.begin(stage)
            yield from workers.finished()


def _ready(remaining: Sequence[Stage], running: set[str]) -> list[Stage]:
    """Return the stages that wait for none of ``remaining`` and are not begun yet."""
    waiting = {stage.key for stage in remaining}
    return [
        stage
        for stage in remaining
        if stage.key not in running
        and not waiting & {upstream.key for upstream in stage.inputs.values()}
    ]


def _spread(made: Stage, order: Sequence[Stage], states: dict[str, State], store: Store) -> None:
    """Mark as stale what rests on files of ``made`` that are no longer the same."""
    touched = {made.key}
    for stage in order:
        if touched & {upstream.key for upstream in stage.inputs.values()}:
            touched.add(stage.key)
            if states[stage.key] == "cached" and store.staleness(stage):
                states[stage.key] = "stale"


def _make(
    stage: Stage,
    store: Store,
    functions: Mapping[str, StageFunction],
    progress: Progress,
    keep_stale: bool,
    patience: float | None,
    announce: Callable[[str], None],
) -> None:
    with _errors_told(stage), _locked(stage, store, announce):
        status = store.inspect(stage)  # another process may have made it while we waited
        if status.state == "cached" or (status.state == "stale" and keep_stale):
            return
        if status.state == "damaged":
            announce(f"{stage.label}: {status.reason}; making it again")
        if status.state == "stale":
            announce(f"{stage.label}: out of date, {status.reason}; making it again")
        if damaged := store.damaged_checkpoint(stage):
            announce(f"{stage.label}: its checkpoint {damaged} is damaged; beginning anew")
            store.discard_scratch(stage)
        _run(stage, store, functions[stage.name], progress, patience)


def _run(
    stage: Stage,
    store: Store,
    function: StageFunction,
    progress: Progress,
    patience: float | None,
) -> None:
    """Call the stage function and commit what it made; the caller holds the lock."""
    if is_deterministic():
        from benchmark.device import choose_deterministic_algorithms  # imports torch

        choose_deterministic_algorithms()
    signed = SignedProgress(store.sign_path(stage), progress)
    workspace = store.prepare(stage, signed)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    try:
        with signed:
            with PeakMemory() as memory, FreedMemory(), alarmed(signed, patience) as shown:
                metrics = function(replace(workspace, progress=shown))
            store.commit(
                stage,
                workspace,
                metrics,
                started=started,
                seconds=round(time.perf_counter() - clock, 3),
                peak_memory_mb=round(memory.megabytes, 1),
            )
    except BaseException:
        with undisturbed():
            store.discard(stage)
        raise


@contextmanager
def _locked(stage: Stage, store: Store, announce: Callable[[str], None]) -> Iterator[None]:
    lock = store.lock(stage)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        announce(f"{stage.label}: another process is making it; waiting")
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def _smaller(stage: Stage) -> str:
    """Return what of a training can be made smaller, and where; nothing of other stages."""
    if stage.name == "segmentation":
        return f"lower batch_size or crop_size in {stage.config.get('config')}, or "
    return "lower batch_size or crop in the profile, or " if stage.name in TRAININGS else ""


@contextmanager
def _errors_told(stage: Stage) -> Iterator[None]:
    """Put the stage's label before mistakes of the user's, and tell of a full disk in one line."""
    try:
        yield
    except Exception as error:
        if isinstance(error, BenchmarkError):
            raise BenchmarkError(f"{stage.label}: {error}") from error
        if is_disk_full(error):
            raise DiskFull(
                f"{stage.label}: the disk is full ({error}); "
                "free space and run again, finished stages are kept"
            ) from error
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which may not be imported
            raise BenchmarkError(
                f"{stage.label}: out of GPU memory: {_smaller(stage)}give fewer --jobs"
            ) from error
        if found := NOT_DETERMINISTIC.search(str(error)):
            raise BenchmarkError(
                f"{stage.label}: {found[1]} has no deterministic algorithm on this GPU: "
                "run it without WSSS_DETERMINISTIC"
            ) from error
        if isinstance(error, OSError) and error.errno in REFUSED:
            raise BenchmarkError(
                f"{stage.label}: {error.filename or 'a file'}: {error.strerror}"
            ) from error
        error.add_note(f"while making {stage.label}")
        raise
    except SystemExit as error:
        if isinstance(error, Terminated):
            raise
        raise RuntimeError(f"it ended the process: sys.exit({error.code!r})") from error


def _announce_kept(
    order: Sequence[Stage], states: Mapping[str, State], announce: Callable[[str], None]
) -> None:
    for stage in order:
        if states[stage.key] == "stale":
            announce(f"{stage.label}: out of date, kept as it is")


def _tidy(order: Sequence[Stage], states: Mapping[str, State], store: Store) -> None:
    """Remove what a process killed right after its commit left of a finished stage."""
    if not store.writable:
        return
    for stage in order:
        if states[stage.key] == "cached" and store.has_scratch(stage):
            lock = store.lock(stage)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                store.discard_scratch(stage)
            finally:
                lock.release()
