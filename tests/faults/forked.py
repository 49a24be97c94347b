"""The command in processes forked off one that has imported everything, and killed on purpose.

Such a process starts at once, so that a whole run on a few images takes seconds.
"""

from __future__ import annotations

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
from pathlib import Path

TESTS = Path(__file__).parents[1]
FAULTS = TESTS / "faults"
for _folder in (TESTS, FAULTS):
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
    """When a run kills itself with SIGKILL: so much computing after it has begun a stage.

    It dies at the latest just before the stage would appear in the store, or, with ``after``, just
    after that, before what is left is cleaned up.
    """

    key: str
    seconds: float = 0.0  # of processor time, which a busy machine does not change
    after: bool = False


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
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.mkdir":
            path = Path(os.fsdecode(arguments[0]))  # type: ignore[arg-type]
            if path.name == "out" and path.parents[1].name == "scratch":
                self._begins(path.parent.name)
        elif event == "os.rename":
            path = Path(os.fsdecode(arguments[1]))  # type: ignore[arg-type]
            if len(path.parents) > 2 and path.parents[1].name == "stages":
                self._appears(path.name)

    def _begins(self, key: str) -> None:
        self._begun[key] = time.process_time()
        if self._moment and self._moment.key == key and not self._moment.after:
            threading.Thread(target=self._die_later, daemon=True).start()

    def _die_later(self) -> None:
        assert self._moment is not None
        end = time.process_time() + self._moment.seconds
        while time.process_time() < end:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    def _appears(self, key: str) -> None:
        if self._moment and self._moment.key == key:
            if not self._moment.after:
                os.kill(os.getpid(), signal.SIGKILL)
            self._dying = True  # at the next event of any kind, once the folder is there
        if self._log:
            spent = time.process_time() - self._begun[key]
            with self._log.open("a") as file:
                file.write(f"{key} {spent}\n")


@dataclass
class Running:
    """A command under way."""

    process: BaseProcess
    out: Path
    err: Path

    def end(self, timeout: float = 300.0) -> Ended:
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


def _run(call: Call, tables: str) -> None:
    sys.path.insert(0, tables)
    call()


def context() -> multiprocessing.context.ForkServerContext:
    """Return the context whose processes have everything imported."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    return forks
