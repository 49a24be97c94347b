"""The command in processes forked off one that has imported everything, and killed on purpose.

Such a process starts at once, so that a whole run on a few images takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from filelock import FileLock

TESTS = Path(__file__).parents[1]
FAULTS = TESTS / "faults"
for _folder in (TESTS / "helpers", FAULTS):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

PRELOADED = [
    "benchmark.cli",
    "benchmark.attention",
    "benchmark.conformance",
    "benchmark.plan",
    "benchmark.report.page",
    "benchmark.report.sheet",
    "benchmark.report.writers",
    "benchmark.runner",
    "benchmark.saliency.network",
    "benchmark.segmentation",
    "benchmark.submission",
    "pydensecrf.densecrf",
    "mmseg.models",
    "methods.acol",
    "methods.affinity",
    "methods.seenet",
]

REFINEMENT = """
[refinement]
iterations = 2
batch_size = 2
"""


@dataclass(frozen=True)
class Moment:
    """When a run kills itself: so much computing after it has begun a stage.

    It dies at the latest just before the stage would appear in the store, or, with ``after``, just
    after that, before what is left is cleaned up.
    """

    name: str  # the stage's key, or the name of a file of the results: just before it appears
    seconds: float = 0.0  # of processor time, which a busy machine does not change
    after: bool = False
    number: int = signal.SIGKILL


@dataclass(frozen=True)
class Call:
    """One command, and what is done to the process that runs it."""

    arguments: tuple[str, ...]
    out: Path
    err: Path
    log: Path | None = None  # gets a line for every stage that appears in the store
    moment: Moment | None = None
    before: Callable[[], None] | None = None  # called first, in the process itself

    def __call__(self) -> None:
        for stream, path in ((sys.stdout, self.out), (sys.stderr, self.err)):
            with path.open("ab") as file:
                os.dup2(file.fileno(), stream.fileno())
        os.setsid()
        if self.before:
            self.before()
        if self.log or self.moment:
            sys.addaudithook(_Watch(self.log, self.moment))
        from benchmark import cli

        sys.argv = ["benchmark", *self.arguments]
        cli.main()


class _Watch:
    """An audit hook that sees stages begin and appear in the store."""

    def __init__(self, log: Path | None, moment: Moment | None) -> None:
        self._log, self._moment = log, moment
        self._begun: dict[str, float] = {}
        self._dying = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._dying:
            self._die()
        if event == "os.mkdir":
            path = Path(os.fsdecode(arguments[0]))  # type: ignore[arg-type]
            if path.name == "out" and path.parents[1].name == "scratch":
                self._begins(path.parent.name)
        elif event == "os.rename":
            path = Path(os.fsdecode(arguments[1]))  # type: ignore[arg-type]
            self._appears(path.name)

    def _begins(self, key: str) -> None:
        if key in self._begun:
            return
        self._begun[key] = time.process_time()
        if self._moment and self._moment.name == key and not self._moment.after:
            threading.Thread(target=self._die_later, daemon=True).start()

    def _die_later(self) -> None:
        assert self._moment is not None
        end = time.process_time() + self._moment.seconds
        while time.process_time() < end:
            time.sleep(0.001)
        self._die()

    def _die(self) -> None:
        if self._moment is not None:
            moment, self._moment, self._dying = self._moment, None, False
            os.kill(os.getpid(), moment.number)

    def _appears(self, name: str) -> None:
        if self._moment and self._moment.name == name:
            if self._moment.after:
                self._dying = True  # at the next event of any kind, once it is there
            else:
                self._die()
        if self._log and name in self._begun:
            spent = time.process_time() - self._begun[name]
            with self._log.open("a") as file:
                file.write(f"{name} {spent}\n")


@dataclass
class Running:
    """A command under way."""

    process: BaseProcess
    out: Path
    err: Path

    def end(self, timeout: float = 1800.0) -> Ended:
        """Wait until it has ended."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"still running after {timeout} s: {self.err.read_text()}")
        text = self.out.read_text(errors="replace"), self.err.read_text(errors="replace")
        return Ended(self.process.exitcode, *text)


@dataclass(frozen=True)
class Ended:
    """What a command left: its status, negative for a signal's, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a user's mistake; asserts that there is no traceback."""
        assert "Traceback" not in self.err, self.err
        assert self.status == 2, (self.status, self.err)
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error: ")


@dataclass
class Place:
    """A folder with a profile, a store, results, and what commands there print."""

    folder: Path
    profile: Path
    tables: Path
    calls: list[Running] = field(default_factory=list)

    @classmethod
    def new(cls, folder: Path) -> Place:
        """Make the profile and the table on a few images."""
        from tiny import write_profile

        folder.mkdir(parents=True, exist_ok=True)
        tables = folder / "tables"
        package, about = tables / "small_tables", tables / "small_tables-1.dist-info"
        package.mkdir(parents=True)
        about.mkdir()
        (package / "__init__.py").touch()
        shutil.copy(FAULTS / "small_table.toml", package)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: small_tables\nVersion: 1\n")
        (about / "entry_points.txt").write_text("[wsss_benchmark.tables]\nsmall = small_tables\n")
        profile = write_profile(folder)
        with profile.open("a") as file:
            file.write(REFINEMENT)
        return cls(folder, profile, tables)

    def beside(self, folder: Path) -> Place:
        """Return another place with the same profile and table."""
        folder.mkdir(parents=True, exist_ok=True)
        return Place(folder, self.profile, self.tables)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    @property
    def results(self) -> Path:
        """The folder of the tables."""
        return self.folder / "results"

    def start(
        self,
        command: str = "run",
        *more: str,
        log: Path | None = None,
        moment: Moment | None = None,
        before: Callable[[], None] | None = None,
    ) -> Running:
        """Start a command on the table; ``run`` makes its stages one by one unless told."""
        words = [command, "--table", "small_table", "--profile", str(self.profile)]
        words += ["--store", str(self.store)]
        if command not in ("plan", "submit"):
            words += ["--results", str(self.results)]
        if command == "run" and "--jobs" not in more:
            words += ["--jobs", "1"]
        return self.start_plain(*words, *more, log=log, moment=moment, before=before)

    def start_plain(
        self,
        *arguments: str,
        log: Path | None = None,
        moment: Moment | None = None,
        before: Callable[[], None] | None = None,
    ) -> Running:
        """Start a command with these arguments and no others."""
        number = len(self.calls)
        out, err = (self.folder / f"{number}.{name}" for name in ("out", "err"))
        call = Call(arguments, out, err, log, moment, before)
        process = context().Process(target=_run, args=(call, str(self.tables)))
        process.start()
        self.calls.append(Running(process, out, err))
        return self.calls[-1]

    def run(self, command: str = "run", *more: str, **what: object) -> Ended:
        """Run a command on the table to its end."""
        return self.start(command, *more, **what).end()  # type: ignore[arg-type]

    def finish(self, *more: str) -> Ended:
        """Run the table; asserts that it ends well."""
        ended = self.run("run", *more)
        assert ended.status == 0, ended.err
        return ended

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the record of every stage in the store, by key."""
        paths = self.store.glob("stages/*/*/record.json")
        return {path.parent.name: json.loads(path.read_text()) for path in paths}

    def copy_store(self, source: Place) -> None:
        """Begin with all that another place's store holds, in files of its own."""
        shutil.copytree(source.store, self.store)

    def forget(self, key: str) -> None:
        """Remove a stage from the store with everything that rests on it."""
        records = self.records()
        gone = {key}
        while more := {k for k, r in records.items() if gone & set(r["inputs"].values())} - gone:
            gone |= more
        for one in gone:
            shutil.rmtree(self.store / "stages" / records[one]["stage"] / one)

    def artifacts(self) -> dict[str, str]:
        """Return the sha256 of every file that must not depend on what happened on the way."""
        return {
            path.relative_to(self.store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.store / "stages").rglob("*")
            if path.is_file() and path.name not in ("record.json", "SHA256SUMS")
        }

    def written(self) -> dict[str, bytes]:
        """Return the bytes of the table's files that name no time and no memory."""
        return {
            path.name: path.read_bytes()
            for suffix in ("csv", "tex")
            for path in self.results.rglob(f"*.{suffix}")
        }

    def check_clean(self, checkpoints: bool = False) -> None:
        """Assert that nothing half-written is left, and nothing locked."""
        from benchmark.under_way import read_sign

        scratch = self.store / "scratch"
        files = [path for path in scratch.rglob("*") if path.is_file()] if scratch.exists() else []
        signs = [path for path in files if path.name == "under_way.json"]  # why a stage failed
        assert all(read_sign(path) for path in signs), signs
        kept = [path for path in files if path.name not in ("made_from.txt", "under_way.json")]
        assert checkpoints or not files, files
        assert all("checkpoints" in path.parts for path in kept), kept
        for folder in (self.store, self.results):
            odd = [p for p in folder.rglob("*") if p.suffix in (".tmp", ".part")]
            assert not odd + list(folder.rglob("unfinished.*")), odd
        for path in self.store.glob("locks/*.lock"):
            with FileLock(path, timeout=0):
                pass


def _run(call: Call, tables: str) -> None:
    sys.path.insert(0, tables)
    call()


def context() -> multiprocessing.context.ForkServerContext:
    """Return the context whose processes have everything imported."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    return forks


def open_many(folder: Path, barrier: Barrier, rounds: int) -> None:
    """Open new stores, each at the same moment as other processes do."""
    from benchmark.store import Store

    for number in range(rounds):
        barrier.wait()
        Store(folder / str(number))
        (folder / str(number) / "locks").mkdir(exist_ok=True)  # as whoever goes on makes it


def to_a_full_disk() -> None:
    """Send what this process prints to a disk that is full."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), sys.stdout.fileno())
